import asyncio
from itertools import pairwise

import pytest

from gateway.admission.capacity import Capacity
from gateway.admission.local import LocalCapacity
from gateway.clock import Clock
from gateway.errors import Overloaded
from tests.support.virtual_time import settle, virtual_time


def capacity(places: int, waiting_room: int = 10) -> Capacity:
    return LocalCapacity(places, waiting_room, Clock(now=asyncio.get_running_loop().time))


class Guest:
    """Holds a place until told to leave, and notes what it was told."""

    def __init__(self, where: Capacity) -> None:
        self.leave = asyncio.Event()
        self.inside = False
        self.told: list[tuple[int, float | None]] = []
        self.task = asyncio.create_task(self._stay(where))

    async def _stay(self, where: Capacity) -> None:
        async def on_wait(position: int, eta: float | None) -> None:
            self.told.append((position, eta))

        async with where.place(on_wait):
            self.inside = True
            await self.leave.wait()
        self.inside = False


@virtual_time
async def test_those_who_wait_come_in_in_their_order() -> None:
    places = capacity(1)
    guests = [Guest(places) for _ in range(4)]
    await settle()
    assert [guest.inside for guest in guests] == [True, False, False, False]
    assert [guest.told for guest in guests[1:]] == [[(1, None)], [(2, None)], [(3, None)]]
    for here, following in pairwise(guests):
        here.leave.set()
        await settle()
        assert following.inside
    guests[-1].leave.set()
    await settle()
    assert (places.taken, places.waiting) == (0, 0)


@virtual_time
async def test_a_full_waiting_room_refuses_with_a_time_to_retry() -> None:
    places = capacity(1, waiting_room=1)
    guests = [Guest(places), Guest(places)]
    await settle()
    with pytest.raises(Overloaded) as refused:
        async with places.place():
            pass
    assert refused.value.retry_after is not None
    assert refused.value.retry_after >= 1.0
    for guest in guests:
        guest.leave.set()
    await asyncio.wait([guest.task for guest in guests])
    assert places.taken == 0


@virtual_time
async def test_the_estimate_comes_from_how_long_places_were_held() -> None:
    places = capacity(2)
    async with places.place():
        await asyncio.sleep(6.0)
    assert places.eta(1) == pytest.approx(3.0)
    assert places.eta(4) == pytest.approx(12.0)


@virtual_time
async def test_one_who_gives_up_waiting_takes_no_place() -> None:
    places = capacity(1)
    first, second, third = Guest(places), Guest(places), Guest(places)
    await settle()
    second.task.cancel()
    await settle()
    first.leave.set()
    await settle()
    assert third.inside
    third.leave.set()
    await settle()
    assert (places.taken, places.waiting) == (0, 0)


@virtual_time
async def test_a_place_given_in_the_moment_of_a_cancel_goes_to_the_next() -> None:
    places = capacity(1)
    first, second, third = Guest(places), Guest(places), Guest(places)
    await settle()
    first.leave.set()
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    second.task.cancel()
    await settle()
    assert third.inside
    third.leave.set()
    await settle()
    assert (places.taken, places.waiting) == (0, 0)


@virtual_time
async def test_a_newcomer_does_not_overtake_those_who_wait() -> None:
    places = capacity(1)
    first, second = Guest(places), Guest(places)
    await settle()
    first.leave.set()
    newcomer = Guest(places)
    await settle()
    assert (second.inside, newcomer.inside) == (True, False)
    for guest in (second, newcomer):
        guest.leave.set()
    await settle()
    assert places.taken == 0
