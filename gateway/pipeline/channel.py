"""The queue between two stages of the path: bounded in audio time, closable, measured."""

from __future__ import annotations

import asyncio
from collections import deque
from typing import Generic, TypeVar

T = TypeVar("T")


class Channel(Generic[T]):
    """One producer, one consumer, at most ``limit`` seconds of sound between them (and one item more).

    A deque and two futures: for one producer and one consumer that is all an ``asyncio.Queue`` does, at two
    thirds of its cost. Cancelling a ``put`` or a ``get`` loses nothing.
    """

    __slots__ = ("_closed", "_error", "_getter", "_items", "_putter", "depth", "limit")

    def __init__(self, limit: float) -> None:
        self.limit = limit
        self.depth = 0.0
        """Seconds of sound that wait."""
        self._items: deque[tuple[T, float]] = deque()
        self._getter: asyncio.Future[None] | None = None
        self._putter: asyncio.Future[None] | None = None
        self._closed = False
        self._error: BaseException | None = None

    @property
    def closed(self) -> bool:
        """The producer will put nothing more (what waits can still be taken)."""
        return self._closed

    async def put(self, item: T, seconds: float) -> None:
        """Hand over an item that lasts ``seconds``; waits while the channel is full."""
        while self.depth >= self.limit:
            self._putter = asyncio.get_running_loop().create_future()
            try:
                await self._putter
            finally:
                self._putter = None
        self._items.append((item, seconds))
        self.depth += seconds
        _wake(self._getter)

    def close(self, error: BaseException | None = None) -> None:
        """Say that nothing more comes. ``error`` is raised to the consumer once it has taken what waits."""
        if not self._closed:
            self._closed = True
            self._error = error
            _wake(self._getter)

    async def get(self) -> T | None:
        """The next item, or ``None`` when the channel is closed and empty. Raises what ``close`` was given."""
        while not self._items:
            if self._closed:
                if self._error is not None:
                    raise self._error
                return None
            self._getter = asyncio.get_running_loop().create_future()
            try:
                await self._getter
            finally:
                self._getter = None
        item, seconds = self._items.popleft()
        self.depth = self.depth - seconds if self._items else 0.0
        _wake(self._putter)
        return item


def _wake(waiter: asyncio.Future[None] | None) -> None:
    if waiter is not None and not waiter.done():
        waiter.set_result(None)
