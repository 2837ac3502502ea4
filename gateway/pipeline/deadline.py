"""One timer for many waits in a row."""

from __future__ import annotations

import asyncio
from contextlib import AbstractContextManager
from types import TracebackType

from providers.waiting import Progress, watched


class Deadline:
    """Bounds each wait between ``begin`` and ``end`` to ``limit`` seconds; one that takes longer is cancelled, and
    the ``async with`` raises ``TimeoutError``.

    Time that passes in a queue for one's turn is no engine's: it counts from the last time that the queue moved, and
    anew once the turn has come.

    ``asyncio.timeout`` around each wait would set and cancel a timer for each. Here a wait that ends in time leaves
    the timer alone: when it fires, it is set again for what is left of the wait of that moment.
    """

    __slots__ = ("_began", "_handle", "_limit", "_loop", "_queues", "_timeout", "_watched")

    def __init__(self, limit: float) -> None:
        self._limit = limit
        self._began: float | None = None
        self._queues: list[Progress] = []
        self._timeout = asyncio.timeout(None)
        self._watched: AbstractContextManager[None] = watched(self)

    def begin(self) -> None:
        """A wait begins."""
        self._began = self._loop.time()

    def end(self) -> None:
        """It is over; until the next one begins no time is counted."""
        self._began = None

    def enter(self, progress: Progress) -> None:
        self._queues.append(progress)

    def leave(self, progress: Progress) -> None:
        self._queues.remove(progress)
        if self._began is not None:
            self._began = self._loop.time()

    async def __aenter__(self) -> Deadline:
        await self._timeout.__aenter__()
        self._loop = asyncio.get_running_loop()
        self._handle = self._loop.call_later(self._limit, self._look)
        self._watched.__enter__()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._watched.__exit__(None, None, None)
        self._handle.cancel()
        timeout = self._timeout
        # A task that the engine keeps knows this watch for as long as it runs: it shall not know the caller's task.
        del self._timeout
        await timeout.__aexit__(kind, error, trace)

    def _look(self) -> None:
        now = self._loop.time()
        left = self._limit
        if self._began is not None:
            left += max([self._began, *(progress() for progress in self._queues)]) - now
        if left > 0.0:
            self._handle = self._loop.call_later(left, self._look)
        else:
            self._timeout.reschedule(now)
