"""Gateways of two versions on one Redis, while one takes the other's place: the earlier one knows of no batch work."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any, ClassVar

import pytest

from gateway.admission.leases import Leases, client
from gateway.admission.shared import SharedCapacity
from gateway.clock import Clock
from tests.admission.gateways import PATIENCE, Guest, fresh_prefix, turns, until
from tests.support.redis_server import RedisServer

LEASE = 6.0
"""Where it is to run out; a machine that stands still for a while ends none of the others."""
WEIGHTS = {"a": 1.0, "b": 3.0, "c": 0.7}


class Earlier(Leases):
    script: ClassVar[str] = Path(__file__).with_name("leases_without_batch.lua").read_text()


class Door(SharedCapacity):
    """Of either version."""

    def observe(self, found: Mapping[str, Any]) -> None:
        super().observe({"batch": 0, **found})


class Fleet:
    def __init__(self, server: RedisServer, prefix: str, stack: AsyncExitStack) -> None:
        self.server = server
        self.prefix = prefix
        self._stack = stack
        self._leases: dict[Door, Leases] = {}

    async def door(self, kind: type[Leases], places: int = 1, lease: float = LEASE) -> Door:
        leases = kind(lambda: client(self.server.url, PATIENCE), lease, Clock(), self.prefix)
        self._stack.push_async_callback(leases.close)
        await leases.start()
        door = Door("s", places, 1000, leases, Clock(), weights=WEIGHTS)
        self._leases[door] = leases
        return door

    async def crash(self, door: Door) -> None:
        """It says no more, and its guests are gone with it."""
        task = self._leases.pop(door)._task
        assert task is not None
        task.cancel()
        await asyncio.wait([task])

    async def counted(self, taken: int, waiting: int) -> None:
        """Until all of them know these numbers."""
        await until(
            lambda: all((door.taken, door.waiting) == (taken, waiting) for door in self._leases), *self._leases.values()
        )

    async def keys(self) -> set[str]:
        redis = client(self.server.url, PATIENCE)
        try:
            return {key.removeprefix(self.prefix) async for key in redis.scan_iter(f"{self.prefix}*")}
        finally:
            await redis.aclose()

    async def close(self) -> None:
        for leases in self._leases.values():
            await leases.close()


@pytest.fixture
async def fleet(redis: RedisServer) -> AsyncIterator[Fleet]:
    async with AsyncExitStack() as stack:
        yield Fleet(redis, await fresh_prefix(redis), stack)


async def test_batch_work_gets_places_that_an_earlier_gateway_gives_back(fleet: Fleet) -> None:
    earlier, now = await fleet.door(Earlier, lease=60.0), await fleet.door(Leases, lease=60.0)
    holder = await Guest(earlier).let_in()
    first, second = [await Guest(now, "a", batch=True).arrived() for _ in range(2)]
    late = await Guest(earlier, "a").arrived()
    await fleet.counted(1, 3)
    await holder.gone()
    for guest in (first, late, second):
        await guest.let_in()
        await guest.gone()
    await fleet.counted(0, 0)


@pytest.mark.parametrize(("gone", "stays"), [(Leases, Earlier), (Earlier, Leases)])
async def test_a_crash_costs_no_place_whichever_version_clears_up(
    fleet: Fleet, gone: type[Leases], stays: type[Leases]
) -> None:
    crashed, door = await fleet.door(gone, 2), await fleet.door(stays, 2)
    dead = [await Guest(crashed, "a", batch=number % 2 == 0).arrived() for number in range(6)]
    waiter = await Guest(door, "a", batch=True).arrived()
    await fleet.crash(crashed)
    await waiter.let_in()
    await fleet.counted(1, 0)
    await waiter.gone()
    await fleet.counted(0, 0)
    for guest in dead:
        await guest.cancelled()
    await fleet.close()
    assert await fleet.keys() <= {"epoch", "state:s"}


@pytest.mark.parametrize("seed", range(4))
async def test_no_place_is_lost_or_given_twice_whoever_comes_and_gives_up(fleet: Fleet, seed: int) -> None:
    chance = random.Random(seed)
    kinds: tuple[type[Leases], ...] = (Leases, Earlier, Leases, Earlier)
    doors = [await fleet.door(kind, 3, lease=60.0) for kind in kinds]
    guests: list[Guest] = []
    for _ in range(300):
        draw = chance.random()
        present = [guest for guest in guests if not guest.task.done()]
        if draw < 0.5:
            guest = Guest(chance.choice(doors), chance.choice("abc"), batch=chance.random() < 0.5)
            guests.append(guest)
            if chance.random() < 0.5:
                await guest.arrived()
        elif draw < 0.7 and present:
            chance.choice(present).task.cancel()
        elif inside := [guest for guest in present if guest.inside]:
            chance.choice(inside).leave.set()
        for _ in range(chance.randint(0, 3)):
            await asyncio.sleep(0)
        assert sum(guest.inside for guest in guests) <= 3
    for guest in guests:
        guest.leave.set()
    async with asyncio.timeout(60):
        await asyncio.wait([guest.task for guest in guests])
    assert all(guest.task.cancelled() or guest.task.exception() is None for guest in guests)
    await turns()
    await fleet.counted(0, 0)
    await fleet.close()
    assert await fleet.keys() <= {"epoch", "state:s"}
