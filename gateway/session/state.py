"""The life of a context as a table: which move is legal when, and what to say when it is not. Pure."""

from __future__ import annotations

from enum import Enum

from gateway.errors import IllegalMove


class State(Enum):
    """Where a context is. The value is how a sentence to the caller names it."""

    QUEUED = "waiting for a place"
    QUEUED_COMPLETE = "waiting for a place, with all its text"
    SPEAKING = "speaking"
    DRAINING = "speaking the last of its text"
    ENDED = "over: everything was spoken"
    CANCELLED = "over: it was cancelled"
    FAILED = "over: it failed"


class Move(Enum):
    """What may happen to a context. The value is how a sentence to the caller names it."""

    ADMIT = "a place"
    TEXT = "text"
    END = "end"
    CANCEL = "cancel"
    FINISH = "the end of its sound"
    FAIL = "a failure"


_NEXT: dict[tuple[State, Move], State] = {
    (State.QUEUED, Move.TEXT): State.QUEUED,
    (State.QUEUED, Move.END): State.QUEUED_COMPLETE,
    (State.QUEUED, Move.ADMIT): State.SPEAKING,
    (State.QUEUED, Move.CANCEL): State.CANCELLED,
    (State.QUEUED, Move.FAIL): State.FAILED,
    (State.QUEUED_COMPLETE, Move.ADMIT): State.DRAINING,
    (State.QUEUED_COMPLETE, Move.CANCEL): State.CANCELLED,
    (State.QUEUED_COMPLETE, Move.FAIL): State.FAILED,
    (State.SPEAKING, Move.TEXT): State.SPEAKING,
    (State.SPEAKING, Move.END): State.DRAINING,
    (State.SPEAKING, Move.CANCEL): State.CANCELLED,
    (State.SPEAKING, Move.FAIL): State.FAILED,
    (State.DRAINING, Move.FINISH): State.ENDED,
    (State.DRAINING, Move.CANCEL): State.CANCELLED,
    (State.DRAINING, Move.FAIL): State.FAILED,
}

FINAL = frozenset({State.ENDED, State.CANCELLED, State.FAILED})


class Machine:
    """Holds one state and refuses every move that the table lacks."""

    __slots__ = ("state",)

    def __init__(self) -> None:
        self.state = State.QUEUED

    @property
    def over(self) -> bool:
        return self.state in FINAL

    def allows(self, move: Move) -> bool:
        return (self.state, move) in _NEXT

    def move(self, move: Move) -> State:
        """Make a move and return the new state. Raises ``IllegalMove`` with what would have been legal."""
        target = _NEXT.get((self.state, move))
        if target is None:
            legal = [m.value for m in (Move.TEXT, Move.END, Move.CANCEL) if self.allows(m)]
            expected = f"expected {' or '.join(legal)}" if legal else "start a context anew to speak again"
            raise IllegalMove(f"{move.value!r} may not come now: the context is {self.state.value}; {expected}")
        self.state = target
        return target
