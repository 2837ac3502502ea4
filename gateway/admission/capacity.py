"""Places for sessions: a bounded number speak, a bounded number wait in order, everyone else is told when to come.

To be refused at once is better for a caller than to be served too slowly, and better for those who are being served.
"""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

from gateway.clock import Clock
from gateway.errors import Overloaded

OnWait = Callable[[int, float | None], Awaitable[None]]
"""Called with the position (1 is next) and the estimated seconds until a place is free, where known."""

_MEMORY = 0.2
"""Weight of the newest stay in the moving average of how long a place is held."""


class Capacity:
    """A first-in, first-out semaphore with a waiting room. ``async with capacity.place(): ...``"""

    def __init__(self, places: int, waiting_room: int, clock: Clock) -> None:
        self.places = places
        self.waiting_room = waiting_room
        self._clock = clock
        self.refused = 0
        """How many found the waiting room full."""
        self._taken = 0
        self._queue: OrderedDict[asyncio.Future[None], None] = OrderedDict()
        self._usual_stay: float | None = None

    @property
    def taken(self) -> int:
        return self._taken

    @property
    def waiting(self) -> int:
        return len(self._queue)

    def eta(self, position: int) -> float | None:
        """Seconds until the one at ``position`` of the queue gets a place; ``None`` before any stay was seen."""
        return None if self._usual_stay is None else self._usual_stay * position / self.places

    @property
    def _free(self) -> bool:
        return self._taken < self.places and not self._queue

    def check(self) -> None:
        """Raises ``Overloaded`` with a ``retry_after`` when one more would find neither a place nor room to wait."""
        if self._free or len(self._queue) < self.waiting_room:
            return
        self.refused += 1
        eta = self.eta(len(self._queue) + 1)
        raise Overloaded(
            f"all {self.places} places are taken and {len(self._queue)} wait; try again later",
            retry_after=max(1.0, eta or 1.0),
        )

    @asynccontextmanager
    async def place(self, on_wait: OnWait | None = None) -> AsyncIterator[None]:
        """Hold a place. Raises ``Overloaded`` with a ``retry_after`` when the waiting room is full too."""
        await self._enter(on_wait)
        began = self._clock.now()
        try:
            yield
        finally:
            stay = self._clock.now() - began
            usual = self._usual_stay
            self._usual_stay = stay if usual is None else usual + _MEMORY * (stay - usual)
            self._leave()

    async def _enter(self, on_wait: OnWait | None) -> None:
        self.check()
        if self._free:
            self._taken += 1
            return
        turn: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._queue[turn] = None
        try:
            if on_wait is not None:
                position = len(self._queue)
                await on_wait(position, self.eta(position))
            await turn
        except BaseException:
            if turn in self._queue:
                del self._queue[turn]
            elif turn.done() and not turn.cancelled():
                # The place came in the same moment as the cancellation: it goes to the next.
                self._leave()
            raise

    def _leave(self) -> None:
        self._taken -= 1
        self._admit()

    def resize(self, places: int) -> None:
        """Change how many places there are. Those that are held stay held; fewer are given out until it fits."""
        self.places = places
        self._admit()

    def _admit(self) -> None:
        while self._queue and self._taken < self.places:
            turn, _ = self._queue.popitem(last=False)
            if not turn.done():
                self._taken += 1
                turn.set_result(None)
