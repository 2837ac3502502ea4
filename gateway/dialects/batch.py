"""Many texts in one request: some spoken at a time, each outcome with its index, what waits to be sent bounded."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import TypeVar

from gateway.errors import Internal, VoxwireError
from gateway.events import Audio, Ended, Event, Failed
from gateway.session.session import Plan
from gateway.session.sessions import Sessions
from gateway.session.unsent import Share, Unsent

AT_ONCE = 16
"""Texts of one request that are spoken, or wait for an engine, at a time."""
_TRIES = 5
_LONGEST_WAIT = 30.0

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Made:
    """A text's whole sound, in its plan's format."""

    data: bytes
    seconds: float


async def run(
    jobs: Sequence[T],
    make: Callable[[T], Awaitable[Made]],
    say: Callable[[int, Made | VoxwireError], Awaitable[None]],
    unsent: Unsent,
    *,
    ordered: bool,
) -> None:
    """``make`` every job and ``say`` its outcome once, one at a time: in the jobs' order, or as they are finished.

    A job that fails is an outcome like any other. Raises what ``say`` raises, and then nothing is made any more.
    """
    with unsent.share() as share:
        order = _Order(say, share, ordered=ordered)
        left = iter(enumerate(jobs))

        async def work() -> None:
            while True:
                # Before a job is taken: the first that is not said yet is then always one that is being made.
                await share.begin()
                index, job = next(left, (-1, None))
                if job is None:
                    # The others that wait for room find out in their turn.
                    share.sent(0)
                    return
                await order.finished(index, await _outcome(make, job))
                # A thousand that cannot be made are found out at one go, and others wait for the loop.
                await asyncio.sleep(0)

        try:
            async with asyncio.TaskGroup() as group:
                for _ in range(min(AT_ONCE, len(jobs))):
                    group.create_task(work())
        except ExceptionGroup as errors:
            # Who waits for it knows what one error means: a listener that is gone is no failure of the gateway.
            raise errors.exceptions[0] from None


def _size(outcome: Made | VoxwireError) -> int:
    return len(outcome.data) if isinstance(outcome, Made) else 0


class _Order:
    """Says outcomes one after the other."""

    def __init__(
        self, say: Callable[[int, Made | VoxwireError], Awaitable[None]], share: Share, *, ordered: bool
    ) -> None:
        self._say = say
        self._share = share
        self._ordered = ordered
        self._next = 0
        self._early: dict[int, Made | VoxwireError] = {}
        self._lock = asyncio.Lock()

    async def finished(self, index: int, outcome: Made | VoxwireError) -> None:
        self._early[index] = outcome
        self._share.made(_size(outcome))
        async with self._lock:
            if not self._ordered:
                await self._tell(index)
            while self._ordered and self._next in self._early:
                self._next += 1
                await self._tell(self._next - 1)

    async def _tell(self, index: int) -> None:
        outcome = self._early.pop(index)
        await self._say(index, outcome)
        self._share.sent(_size(outcome))


async def _outcome(make: Callable[[T], Awaitable[Made]], job: T) -> Made | VoxwireError:
    """Nothing of it was sent, so what another try may mend is tried again."""
    for tries in range(_TRIES):
        try:
            return await make(job)
        except VoxwireError as error:
            failure = error
        if not failure.retryable:
            break
        if tries + 1 < _TRIES:
            await asyncio.sleep(min(_LONGEST_WAIT, failure.retry_after or 0.25 * 2**tries))
    return failure


async def spoken(sessions: Sessions, plan: Plan, text: str, dialect: str) -> Made:
    """Speak one text to its end. Raises what ended it early."""
    pieces: list[bytes] = []
    last: list[Event] = []

    async def take(event: Event) -> None:
        if type(event) is Audio:
            pieces.append(bytes(event.data))
        else:
            last[:] = [event]

    session = sessions.open(plan, dialect)
    try:
        session.text(text)
        session.end()
        await session.run(take)
    finally:
        sessions.close(session)
    match last:
        case [Ended(audio=seconds)]:
            return Made(b"".join(pieces), seconds)
        case [Failed(error=error)]:
            raise error
    raise Internal("a session ended without a last word")
