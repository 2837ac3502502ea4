"""llama-server's slots, counted here: a request that finds none waits here, and not inside llama-server, where it
would hold a connection, and a cancel would reach it late."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from providers.base import EngineBusy, EngineUnavailable

_WAITING = 256


class Slots:
    """A first-in, first-out semaphore whose size follows the server's. ``async with slots.one(): ...``"""

    def __init__(self, places: int = 1) -> None:
        self.places = places
        self.taken = 0
        self._queue: deque[asyncio.Future[None]] = deque()

    @property
    def waiting(self) -> int:
        return len(self._queue)

    @property
    def free(self) -> bool:
        """There is one for whoever comes now."""
        return self.taken < self.places and not self._queue

    def resize(self, places: int) -> None:
        """What is taken stays taken; fewer are given out until it fits."""
        self.places = places
        self._admit()

    def refuse(self, error: EngineUnavailable) -> None:
        """Fail everyone who waits."""
        while self._queue:
            turn = self._queue.popleft()
            if not turn.done():
                turn.set_exception(error)

    @asynccontextmanager
    async def one(self) -> AsyncIterator[None]:
        """Raises ``EngineBusy`` where too many wait already, or what ``refuse`` says."""
        await self._enter()
        try:
            yield
        finally:
            self._leave()

    async def _enter(self) -> None:
        if self.free:
            self.taken += 1
            return
        if len(self._queue) >= _WAITING:
            raise EngineBusy("engine 'orpheus' has no room now", retry_after=1.0)
        turn = asyncio.get_running_loop().create_future()
        self._queue.append(turn)
        try:
            await turn
        except BaseException:
            if turn in self._queue:
                self._queue.remove(turn)
            elif turn.done() and not turn.cancelled() and turn.exception() is None:
                # The slot came in the same moment as the cancellation: it goes to the next.
                self._leave()
            raise

    def _leave(self) -> None:
        self.taken -= 1
        self._admit()

    def _admit(self) -> None:
        while self._queue and self.taken < self.places:
            turn = self._queue.popleft()
            if not turn.done():
                self.taken += 1
                turn.set_result(None)
