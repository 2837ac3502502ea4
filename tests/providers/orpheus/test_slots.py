"""Never more requests than there are slots."""

from __future__ import annotations

import asyncio

import pytest

from providers.base import EngineBusy, EngineUnavailable
from providers.orpheus.slots import Slots
from tests.support.virtual_time import settle, virtual_time


class Users:
    """Each holds a slot until it is let go."""

    def __init__(self, slots: Slots, count: int) -> None:
        self.holding: list[int] = []
        self.gates = [asyncio.Event() for _ in range(count)]
        self.tasks = [asyncio.create_task(self._use(slots, number)) for number in range(count)]

    async def _use(self, slots: Slots, number: int) -> None:
        async with slots.one():
            self.holding.append(number)
            await self.gates[number].wait()
            self.holding.remove(number)

    async def done(self) -> None:
        for gate in self.gates:
            gate.set()
        await asyncio.gather(*self.tasks, return_exceptions=True)


@virtual_time
async def test_slots_are_given_in_the_order_of_asking() -> None:
    slots = Slots(2)
    users = Users(slots, 4)
    await settle()
    assert (users.holding, slots.taken, slots.waiting) == ([0, 1], 2, 2)
    users.gates[1].set()
    await settle()
    assert users.holding == [0, 2]
    await users.done()
    assert (slots.taken, slots.waiting) == (0, 0)


@virtual_time
async def test_a_server_with_more_slots_admits_who_waits_and_one_with_fewer_holds_back() -> None:
    slots = Slots(1)
    users = Users(slots, 4)
    await settle()
    slots.resize(3)
    await settle()
    assert users.holding == [0, 1, 2]
    slots.resize(1)
    users.gates[0].set()
    users.gates[1].set()
    await settle()
    assert users.holding == [2]
    await users.done()


@virtual_time
async def test_one_who_waits_can_be_cancelled_at_any_moment() -> None:
    slots = Slots(1)
    users = Users(slots, 3)
    await settle()
    users.gates[0].set()
    await asyncio.sleep(0)
    users.tasks[1].cancel()
    await settle()
    assert users.holding == [2]
    await users.done()
    assert slots.taken == 0


@virtual_time
async def test_all_who_wait_can_be_refused() -> None:
    slots = Slots(1)
    users = Users(slots, 3)
    await settle()
    slots.refuse(EngineUnavailable("closed"))
    await settle()
    assert [isinstance(task.exception(), EngineUnavailable) for task in users.tasks[1:]] == [True, True]
    await users.done()
    assert slots.taken == 0


@virtual_time
async def test_the_queue_is_bounded() -> None:
    slots = Slots(1)
    users = Users(slots, 257)
    await settle()
    with pytest.raises(EngineBusy):
        async with slots.one():
            pass
    await users.done()
