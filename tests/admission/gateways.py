"""Semaphores of one process, of one gateway on a Redis, and of two: what the contract is tested over."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager

from gateway.admission.capacity import Capacity
from gateway.admission.leases import Leases, client
from gateway.admission.local import LocalCapacity
from gateway.admission.shared import SharedCapacity
from gateway.clock import Clock
from tests.support.redis_server import RedisServer

LEASE = 60.0
"""Seconds. Longer than any test: where none is meant to run out, a machine that stands still for a while ends none."""
PATIENCE = 60.0
"""Seconds to connect to Redis in."""
_prefixes = itertools.count()


class Gateways:
    """Some gateways that share semaphores. ``settled`` returns when each knows what has happened at the others."""

    def __init__(self, leases: tuple[Leases, ...] = ()) -> None:
        self.leases = leases
        self._clock = Clock()
        self._barriers = [SharedCapacity("barrier", 1000, 0, one, self._clock) for one in leases]

    def capacity(
        self, places: int, waiting_room: int = 100, name: str = "s", weights: Mapping[str, float] | None = None
    ) -> list[Capacity]:
        """The semaphore of that name, as each gateway has it."""
        if not self.leases:
            return [LocalCapacity(places, waiting_room, self._clock, weights)]
        return [
            SharedCapacity(name, places, waiting_room, leases, self._clock, weights=weights) for leases in self.leases
        ]

    async def settled(self) -> None:
        # A grant may be on its way to a second gateway, and what that one then says on its way to the first.
        for _ in range(2):
            for leases, barrier in zip(self.leases, self._barriers, strict=True):
                leases.renew()
                async with barrier.place():
                    pass
        await turns()


async def turns() -> None:
    """Let everything in this process run that is ready to."""
    for _ in range(20):
        await asyncio.sleep(0)


@asynccontextmanager
async def gateways(count: int, server: RedisServer | None, lease: float = LEASE) -> AsyncIterator[Gateways]:
    """As many on one Redis, whose quiet time after its start is over; none: semaphores in memory."""
    if server is None:
        yield Gateways()
        return
    prefix = await fresh_prefix(server)
    made = tuple(Leases(lambda: client(server.url, PATIENCE), lease, Clock(), prefix) for _ in range(count))
    for one in made:
        await one.start()
    try:
        yield Gateways(made)
    finally:
        for one in made:
            await one.close()


async def fresh_prefix(server: RedisServer) -> str:
    """A part of Redis that seems to have been used by a gateway before: nobody waits for its quiet time."""
    prefix = f"test{next(_prefixes)}:"
    redis = client(server.url, PATIENCE)
    try:
        run = (await redis.info("server"))["run_id"]
        now = (await redis.time())[0]
        await redis.hset(f"{prefix}epoch", mapping={"run": run, "last": now * 1000, "quiet": 0})
    finally:
        await redis.aclose()
    return prefix


class Guest:
    """Holds a place until told to leave, and notes what it was told."""

    def __init__(self, where: Capacity, tenant: str = "", *, batch: bool = False) -> None:
        self.leave = asyncio.Event()
        self.entered = asyncio.Event()
        self.told: list[tuple[int, float | None]] = []
        self.waits = asyncio.Event()
        """It has a place or was told that it has to wait."""
        self.task = asyncio.create_task(self._stay(where, tenant, batch))
        self.inside = False

    async def _stay(self, where: Capacity, tenant: str, batch: bool) -> None:
        async def on_wait(position: int, eta: float | None) -> None:
            self.told.append((position, eta))
            self.waits.set()

        try:
            async with where.place(on_wait, tenant=tenant, batch=batch):
                self.inside = True
                self.entered.set()
                self.waits.set()
                await self.leave.wait()
        finally:
            self.inside = False
            self.waits.set()

    async def arrived(self) -> Guest:
        """Until it is in the queue, or has a place."""
        await self.waits.wait()
        return self

    async def let_in(self, within: float = 60.0) -> Guest:
        async with asyncio.timeout(within):
            await self.entered.wait()
        return self

    async def gone(self) -> None:
        self.leave.set()
        await asyncio.wait([self.task])

    async def cancelled(self) -> None:
        self.task.cancel()
        await asyncio.wait([self.task])


async def until(condition: Callable[[], object], *leases: Leases, within: float = 60.0) -> None:
    """Ask Redis again and again; for what only it can tell: that a lease is over it finds out when somebody asks."""
    async with asyncio.timeout(within):
        while not condition():
            for one in leases:
                one.renew()
            # How often it is asked, and no more: nothing is taken for done because of it.
            await asyncio.sleep(0.01)
