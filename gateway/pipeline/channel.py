"""The queue between two stages of the path: bounded in audio time, closable, measured."""

from __future__ import annotations

import asyncio
from collections import deque
from typing import Generic, TypeVar

T = TypeVar("T")


class Signal:
    """Wakes the one task that waits. It remembers nothing: look at what may have changed, then wait for more."""

    __slots__ = ("_waiter",)

    def __init__(self) -> None:
        self._waiter: asyncio.Future[None] | None = None

    def set(self) -> None:
        """Something has changed."""
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)

    async def wait(self) -> None:
        """Return when something changes from now on."""
        self._waiter = asyncio.get_running_loop().create_future()
        try:
            await self._waiter
        finally:
            self._waiter = None


class Channel(Generic[T]):
    """One producer, one consumer, at most ``limit`` seconds of sound between them (and one item more).

    A deque and two signals: for one producer and one consumer that is all an ``asyncio.Queue`` does, at two
    thirds of its cost. Cancelling a ``put`` or a ``get`` loses nothing.
    """

    __slots__ = ("_closed", "_error", "_items", "_put", "_taken", "depth", "limit")

    def __init__(self, limit: float) -> None:
        self.limit = limit
        self.depth = 0.0
        """Seconds of sound that wait."""
        self._items: deque[tuple[T, float]] = deque()
        self._put = Signal()
        self._taken = Signal()
        self._closed = False
        self._error: BaseException | None = None

    @property
    def closed(self) -> bool:
        """The producer will put nothing more (what waits can still be taken)."""
        return self._closed

    async def put(self, item: T, seconds: float) -> None:
        """Hand over an item that lasts ``seconds``; waits, when the channel is full, until half of it is taken.

        A producer that was woken for every item would cost more than what it makes.
        """
        if self.depth >= self.limit:
            while self.depth > self.limit / 2:
                await self._taken.wait()
        self._items.append((item, seconds))
        self.depth += seconds
        self._put.set()

    def close(self, error: BaseException | None = None) -> None:
        """Say that nothing more comes. ``error`` is raised to the consumer once it has taken what waits."""
        if not self._closed:
            self._closed = True
            self._error = error
            self._put.set()

    async def get(self) -> T | None:
        """The next item, or ``None`` when the channel is closed and empty. Raises what ``close`` was given."""
        while not self._items:
            if self._closed:
                if self._error is not None:
                    raise self._error
                return None
            await self._put.wait()
        return self.ready()

    def ready(self) -> T | None:
        """The next item if there is one now."""
        if not self._items:
            return None
        item, seconds = self._items.popleft()
        self.depth = self.depth - seconds if self._items else 0.0
        if self.depth <= self.limit / 2:
            self._taken.set()
        return item
