"""One timer for many waits in a row."""

from __future__ import annotations

import asyncio
from types import TracebackType


class Deadline:
    """Bounds each wait between ``begin`` and ``end`` to ``limit`` seconds; one that takes longer is cancelled, and
    the ``async with`` raises ``TimeoutError``.

    ``asyncio.timeout`` around each wait would set and cancel a timer for each. Here a wait that ends in time leaves
    the timer alone: when it fires, it is set again for what is left of the wait of that moment.
    """

    __slots__ = ("_began", "_handle", "_limit", "_loop", "_timeout")

    def __init__(self, limit: float) -> None:
        self._limit = limit
        self._began: float | None = None
        self._timeout = asyncio.timeout(None)

    def begin(self) -> None:
        """A wait begins."""
        self._began = self._loop.time()

    def end(self) -> None:
        """It is over; until the next one begins no time is counted."""
        self._began = None

    async def __aenter__(self) -> Deadline:
        await self._timeout.__aenter__()
        self._loop = asyncio.get_running_loop()
        self._handle = self._loop.call_later(self._limit, self._look)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._handle.cancel()
        await self._timeout.__aexit__(kind, error, trace)

    def _look(self) -> None:
        now = self._loop.time()
        left = self._limit if self._began is None else self._began + self._limit - now
        if left > 0.0:
            self._handle = self._loop.call_later(left, self._look)
        else:
            self._timeout.reschedule(now)
