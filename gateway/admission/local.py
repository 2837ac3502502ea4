"""The capacity of one process."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager

from gateway.admission.capacity import Capacity, OnWait
from gateway.admission.fair_queue import FairQueue
from gateway.clock import Clock

_MEMORY = 0.2
"""Weight of the newest stay in the moving average of how long a place is held."""


class LocalCapacity(Capacity):
    """``weights`` are those of tenants that have another one than 1; whoever finds a place at once is not asked."""

    def __init__(
        self, places: int, waiting_room: int, clock: Clock, weights: Mapping[str, float] | None = None
    ) -> None:
        super().__init__(places, waiting_room)
        self._clock = clock
        self._weights = weights or {}
        self._taken = 0
        self._queue: FairQueue[asyncio.Future[None]] = FairQueue()
        self._usual_stay: float | None = None

    @property
    def taken(self) -> int:
        return self._taken

    @property
    def waiting(self) -> int:
        return len(self._queue)

    @property
    def usual_stay(self) -> float | None:
        return self._usual_stay

    @property
    def _free(self) -> bool:
        return self._taken < self.places and not self._queue

    def check(self) -> None:
        if not self._free and len(self._queue) >= self.waiting_room:
            raise self._refusal()

    @asynccontextmanager
    async def place(self, on_wait: OnWait | None = None, *, tenant: str = "") -> AsyncIterator[None]:
        if self._free:
            self._taken += 1
        else:
            await self._wait(on_wait, tenant)
        began = self._clock.now()
        try:
            yield
        finally:
            stay = self._clock.now() - began
            usual = self._usual_stay
            self._usual_stay = stay if usual is None else usual + _MEMORY * (stay - usual)
            self._leave()

    async def _wait(self, on_wait: OnWait | None, tenant: str) -> None:
        self.check()
        turn: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._queue.push(turn, tenant, self._weights.get(tenant, 1.0))
        try:
            if on_wait is not None:
                position = self._queue.position(turn, tenant)
                await on_wait(position, self.eta(position))
            await turn
        except BaseException:
            if not self._queue.remove(turn, tenant) and turn.done() and not turn.cancelled():
                # The place came in the same moment as the cancellation: it goes to the next.
                self._leave()
            raise

    def _leave(self) -> None:
        self._taken -= 1
        self._admit()

    def resize(self, places: int) -> None:
        if places != self.places:
            self.places = places
            self._admit()

    def _admit(self) -> None:
        while self._queue and self._taken < self.places:
            turn, tenant = self._queue.first()
            if turn.done():
                # Cancelled, and not yet awake to take itself out: it shall not cost its tenant a turn.
                self._queue.remove(turn, tenant)
            else:
                self._queue.pop()
                self._taken += 1
                turn.set_result(None)
