"""The capacity of all gateways that are on one Redis: the same contract, kept through :class:`Leases`."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any

from gateway.admission.capacity import Capacity, OnWait
from gateway.admission.leases import Leases
from gateway.clock import Clock
from gateway.errors import Overloaded

_FRESH = 1.0
"""Seconds for which ``check`` refuses by what is known. Later it lets everybody pass, and ``place`` asks Redis."""


class SharedCapacity(Capacity):
    """``places`` is what Redis says: the fewest that any gateway declares. ``taken`` and ``waiting`` are those of all
    gateways together, as they were when Redis was last asked: a third of a lease ago at most."""

    def __init__(
        self,
        name: str,
        places: int,
        waiting_room: int,
        leases: Leases,
        clock: Clock,
        *,
        weights: Mapping[str, float] | None = None,
    ) -> None:
        super().__init__(places, waiting_room)
        self.name = name
        self.declared = places
        self._leases = leases
        self._clock = clock
        self._weights = weights or {}
        self._taken = 0
        self._waiting = 0
        self._waiting_batch = 0
        self._usual_stay: float | None = None
        self._seen = float("-inf")
        leases.add(self)

    @property
    def taken(self) -> int:
        return self._taken

    @property
    def waiting(self) -> int:
        return self._waiting

    @property
    def waiting_batch(self) -> int:
        return self._waiting_batch

    @property
    def usual_stay(self) -> float | None:
        return self._usual_stay

    def observe(self, found: Mapping[str, Any]) -> None:
        """As Redis has it now."""
        self.places, self._taken, self._waiting = found["places"], found["taken"], found["waiting"]
        self._waiting_batch = found["batch"]
        self._usual_stay = found.get("stay", self._usual_stay)
        self._seen = self._clock.now()

    def refusal(self, *, batch: bool) -> Overloaded:
        return self._refusal(batch)

    def check(self, *, batch: bool = False) -> None:
        """What is known of Redis may be old; while it is out of reach, only so many may wait here for it."""
        try:
            self._leases.check()
        except Overloaded:
            self.refused += 1
            raise
        if not self._leases.up:
            if sum(batch or not ticket.batch for ticket in self._leases.waiting(self)) >= self.waiting_room:
                raise self._refusal(batch)
        elif self._taken >= self.places and self._in_the_room(batch) >= self.waiting_room:
            if self._clock.now() - self._seen < _FRESH:
                raise self._refusal(batch)
            self._leases.touch(self)

    @asynccontextmanager
    async def place(
        self, on_wait: OnWait | None = None, *, tenant: str = "", batch: bool = False
    ) -> AsyncIterator[None]:
        self.check(batch=batch)
        ticket = self._leases.ask(self, tenant, self._weights.get(tenant, 1.0), batch=batch)
        began: float | None = None
        try:
            position = await ticket.answered
            if isinstance(position, Overloaded):
                raise position
            if position and on_wait is not None:
                await on_wait(position, self.eta(position))
            error = await ticket.turn
            if error is not None:
                raise error
            began = self._clock.now()
            yield
        finally:
            self._leases.leave(ticket, None if began is None else self._clock.now() - began)

    def resize(self, places: int) -> None:
        if places != self.declared:
            self.declared = places
            self._leases.touch(self)
