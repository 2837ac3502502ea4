"""A circuit breaker: after some failures in a row nobody is let through until a probe has succeeded.

    CLOSED ──failures in a row──> OPEN ──its time is over──> PROBING ──success──> CLOSED
                                   ^                            └──failure, for twice as long──> OPEN

Pure: whoever asks brings the time (seconds of any clock that does not go back).
"""

from __future__ import annotations

from enum import StrEnum


class State(StrEnum):
    CLOSED = "closed"
    OPEN = "open"
    PROBING = "probing"


class Breaker:
    """Opens after ``failures`` in a row, for ``pause`` seconds at first and ``longest`` at last."""

    def __init__(self, failures: int, pause: float, longest: float) -> None:
        self._limit = failures
        self._first_pause = self._pause = pause
        self._longest = max(pause, longest)
        self._failures = 0
        self._until = 0.0
        self.state = State.CLOSED

    @property
    def closed(self) -> bool:
        return self.state is State.CLOSED

    def wait(self, now: float) -> float:
        """Seconds until a probe is due."""
        return max(0.0, self._until - now) if self.state is State.OPEN else 0.0

    def succeed(self) -> None:
        """A request has worked. While the breaker is open that says nothing: it was begun before."""
        if self.state is State.CLOSED:
            self._failures = 0

    def fail(self, now: float) -> bool:
        """A request has failed. True when that opens the breaker."""
        if self.state is not State.CLOSED:
            return False
        self._failures += 1
        if self._failures < self._limit:
            return False
        self.trip(now)
        return True

    def trip(self, now: float) -> None:
        """Open at once."""
        self.state = State.OPEN
        self._failures = 0
        self._until = now + self._pause

    def probe(self, now: float) -> bool:
        """Begin a probe, if one is due; its end is told by ``probed``."""
        if self.state is not State.OPEN or now < self._until:
            return False
        self.state = State.PROBING
        return True

    def probed(self, now: float, *, ok: bool) -> None:
        """The probe is over."""
        if ok:
            self.state = State.CLOSED
            self._failures = 0
            self._pause = self._first_pause
            return
        self._pause = min(self._pause * 2, self._longest)
        self.trip(now)
