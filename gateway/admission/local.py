"""The capacity of one process."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager

from gateway.admission.capacity import Capacity, OnWait
from gateway.admission.lines import Lines
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
        self._queue: Lines[asyncio.Future[None]] = Lines()
        self._usual_stay: float | None = None

    @property
    def taken(self) -> int:
        return self._taken

    @property
    def waiting(self) -> int:
        return len(self._queue)

    @property
    def waiting_batch(self) -> int:
        return self._queue.batch

    @property
    def usual_stay(self) -> float | None:
        return self._usual_stay

    @property
    def _free(self) -> bool:
        return self._taken < self.places and not self._queue

    def check(self, *, batch: bool = False) -> None:
        if not self._free and self._in_the_room(batch) >= self.waiting_room:
            raise self._refusal(batch)

    @asynccontextmanager
    async def place(
        self, on_wait: OnWait | None = None, *, tenant: str = "", batch: bool = False
    ) -> AsyncIterator[None]:
        if self._free:
            self._taken += 1
        else:
            await self._wait(on_wait, tenant, batch)
        began = self._clock.now()
        try:
            yield
        finally:
            stay = self._clock.now() - began
            usual = self._usual_stay
            self._usual_stay = stay if usual is None else usual + _MEMORY * (stay - usual)
            self._leave()

    async def _wait(self, on_wait: OnWait | None, tenant: str, batch: bool) -> None:
        self.check(batch=batch)
        turn: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._queue.push(turn, tenant, self._weights.get(tenant, 1.0), batch=batch)
        try:
            if on_wait is not None:
                position = self._queue.position(turn, tenant, batch=batch)
                await on_wait(position, self.eta(position))
            await turn
        except BaseException:
            if not self._queue.remove(turn, tenant, batch=batch) and turn.done() and not turn.cancelled():
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
            turn, tenant, batch = self._queue.first()
            if turn.done():
                # Cancelled, and not yet awake to take itself out: it shall not cost its tenant a turn.
                self._queue.remove(turn, tenant, batch=batch)
            else:
                self._queue.pop()
                self._taken += 1
                turn.set_result(None)
