"""What every capacity promises: the one in memory, one gateway's on Redis, and that of two gateways on one Redis."""

from __future__ import annotations

import asyncio
import itertools
import random
from collections.abc import AsyncIterator
from itertools import pairwise

import pytest

from gateway.admission import shared
from gateway.admission.capacity import Capacity
from gateway.admission.lines import BATCH_SHARE, Lines
from gateway.errors import Overloaded
from tests.admission.gateways import Gateways, Guest, gateways, turns


@pytest.fixture(params=["memory", "one gateway", "two gateways"])
async def made(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Gateways]:
    # What is known once it is settled is what a check goes by, however long the machine takes to get there.
    monkeypatch.setattr(shared, "_FRESH", 60.0)
    server = None if request.param == "memory" else request.getfixturevalue("redis")
    async with gateways(2 if request.param == "two gateways" else 1, server) as found:
        yield found


def numbers(places: list[Capacity]) -> set[tuple[int, int]]:
    return {(each.taken, each.waiting) for each in places}


async def arrive(places: list[Capacity], count: int, tenant: str = "", *, batch: bool = False) -> list[Guest]:
    """As many guests, one after the other, at the gateways in turn."""
    doors = itertools.islice(itertools.cycle(places), count)
    return [await Guest(door, tenant, batch=batch).arrived() for door in doors]


async def test_those_who_wait_come_in_in_their_order_and_know_their_position(made: Gateways) -> None:
    places = made.capacity(1)
    guests = await arrive(places, 5)
    assert [guest.inside for guest in guests] == [True, False, False, False, False]
    assert [guest.told for guest in guests] == [[], *[[(position, None)] for position in (1, 2, 3, 4)]]
    for here, following in pairwise(guests):
        await here.gone()
        await following.let_in()
        await made.settled()
        assert [guest.inside for guest in guests].count(True) == 1
    await guests[-1].gone()
    await made.settled()
    assert numbers(places) == {(0, 0)}


async def test_what_is_taken_and_waits_is_known_everywhere(made: Gateways) -> None:
    places = made.capacity(2)
    guests = await arrive(places, 5)
    await made.settled()
    assert numbers(places) == {(2, 3)}
    for guest in guests:
        await guest.cancelled()
    await made.settled()
    assert numbers(places) == {(0, 0)}


async def test_a_full_waiting_room_refuses_with_a_time_to_retry(made: Gateways) -> None:
    places = made.capacity(1, waiting_room=1)
    guests = await arrive(places, 2)
    await made.settled()
    for door in places:
        door_refused = door.refused
        with pytest.raises(Overloaded) as refused:
            door.check()
        assert refused.value.retry_after is not None
        assert refused.value.retry_after >= 1.0
        with pytest.raises(Overloaded):
            async with door.place():
                raise AssertionError("there was no place")
        assert door.refused == door_refused + 2
    for guest in guests:
        await guest.gone()
    await made.settled()
    assert numbers(places) == {(0, 0)}
    for door in places:
        door.check()


async def test_without_a_waiting_room_nobody_waits(made: Gateways) -> None:
    places = made.capacity(1, waiting_room=0)
    (guest,) = await arrive(places, 1)
    assert guest.inside
    with pytest.raises(Overloaded):
        async with places[-1].place():
            pass
    await guest.gone()
    await made.settled()
    async with places[-1].place():
        pass


async def test_the_estimate_comes_from_how_long_places_were_held(made: Gateways) -> None:
    places = made.capacity(2)
    assert places[0].eta(1) is None
    (guest,) = await arrive(places, 1)
    # The stay itself, which Redis measures by its own clock.
    await asyncio.sleep(0.1)
    await guest.gone()
    await made.settled()
    for door in places:
        stay = door.usual_stay
        assert stay is not None
        assert 0.1 <= stay < 60.0
        assert door.eta(4) == pytest.approx(2 * stay)
    guests = await arrive(places, 3)
    assert guests[2].told == [(1, pytest.approx(stay / 2))]
    for guest in guests:
        await guest.gone()


async def test_one_who_gives_up_waiting_takes_no_place(made: Gateways) -> None:
    places = made.capacity(1)
    first, second, third = await arrive(places, 3)
    await second.cancelled()
    await made.settled()
    assert numbers(places) == {(1, 1)}
    await first.gone()
    await third.let_in()
    await third.gone()
    await made.settled()
    assert numbers(places) == {(0, 0)}


@pytest.mark.parametrize("second_is_batch", [False, True])
@pytest.mark.parametrize("third_is_batch", [False, True])
async def test_a_place_given_in_the_moment_of_a_cancel_goes_to_the_next(
    made: Gateways, second_is_batch: bool, third_is_batch: bool
) -> None:
    for pause in range(6):
        places = made.capacity(1, name=f"moment {pause}")
        (first,) = await arrive(places, 1)
        (second,) = await arrive(places[::-1], 1, batch=second_is_batch)
        (third,) = await arrive(places, 1, batch=third_is_batch)
        first.leave.set()
        for _ in range(pause):
            await asyncio.sleep(0)
        await second.cancelled()
        await third.let_in()
        await third.gone()
        await made.settled()
        assert numbers(places) == {(0, 0)}


async def test_a_newcomer_does_not_overtake_those_who_wait(made: Gateways) -> None:
    places = made.capacity(1)
    first, second = await arrive(places, 2)
    first.leave.set()
    newcomer = Guest(places[0])
    await second.let_in()
    await made.settled()
    assert (second.inside, newcomer.inside) == (True, False)
    for guest in (second, newcomer):
        await guest.gone()
    await made.settled()
    assert numbers(places) == {(0, 0)}


async def test_one_who_fails_while_being_told_takes_no_place(made: Gateways) -> None:
    places = made.capacity(1)
    (guest,) = await arrive(places, 1)

    async def gone(position: int, eta: float | None) -> None:
        raise ConnectionResetError

    with pytest.raises(ConnectionResetError):
        async with places[-1].place(gone):
            pass
    await made.settled()
    assert numbers(places) == {(1, 0)}
    await guest.gone()


async def test_more_places_let_more_in_and_fewer_send_nobody_away(made: Gateways) -> None:
    places = made.capacity(1)
    guests = await arrive(places, 4)
    for door in places:
        door.resize(3)
    for guest in guests[:3]:
        await guest.let_in()
    for door in places:
        door.resize(1)
    await made.settled()
    assert numbers(places) == {(3, 1)}
    assert {door.places for door in places} == {1}
    await guests[0].gone()
    await guests[1].gone()
    await made.settled()
    assert not guests[3].inside
    await guests[2].gone()
    await guests[3].let_in()
    await guests[3].gone()


async def test_a_busy_tenant_does_not_keep_a_quiet_one_waiting(made: Gateways) -> None:
    places = made.capacity(1)
    busy = await arrive(places, 20, "busy")
    (quiet,) = await arrive(places, 1, "quiet")
    assert quiet.told[0][0] <= 2
    await busy[0].gone()
    first, _ = await asyncio.wait(
        [asyncio.ensure_future(guest.let_in()) for guest in (busy[1], quiet)], return_when=asyncio.FIRST_COMPLETED
    )
    for entered in first:
        await (await entered).gone()
    await quiet.let_in()
    for guest in (quiet, *busy):
        await guest.cancelled()


async def test_whoever_is_listened_to_goes_before_batch_work_that_waits_already(made: Gateways) -> None:
    places = made.capacity(1)
    inside, *batch = await arrive(places, 4, batch=True)
    assert [guest.told[0][0] for guest in batch] == [1, 2, 3]
    first, second = await arrive(places, 2)
    assert [first.told[0][0], second.told[0][0]] == [1, 2], "nobody of batch work is before them"
    (late,) = await arrive(places, 1, batch=True)
    assert late.told[0][0] == 6
    await made.settled()
    assert {(each.waiting, each.waiting_batch) for each in places} == {(6, 4)}
    for following in (first, second, *batch, late):
        await inside.gone()
        inside = await following.let_in()
        await made.settled()
        assert numbers(places) == {(1, [first, second, *batch, late][::-1].index(following))}
    await inside.gone()


async def test_batch_work_gets_its_share_however_many_are_listened_to(made: Gateways) -> None:
    places = made.capacity(1)
    (inside,) = await arrive(places, 1)
    batch = await arrive(places, 3, batch=True)
    assert [guest.told[0][0] for guest in batch] == [1, 2, 3], "what it is told may grow"
    listened = await arrive(places, 2)
    for turn in range(1, 2 * BATCH_SHARE + 1):
        listened += await arrive(places, 1)
        await inside.gone()
        inside = await (listened if turn % BATCH_SHARE else batch).pop(0).let_in()
    for guest in (inside, *batch, *listened):
        await guest.cancelled()
    await made.settled()
    assert numbers(places) == {(0, 0)}


async def test_batch_work_is_fair_among_its_tenants_too(made: Gateways) -> None:
    places = made.capacity(1)
    (inside,) = await arrive(places, 1)
    busy = await arrive(places, 10, "busy", batch=True)
    (quiet,) = await arrive(places, 1, "quiet", batch=True)
    assert quiet.told[0][0] == 2
    # What a tenant had of one line costs it nothing in the other.
    (listened,) = await arrive(places, 1, "busy")
    assert listened.told[0][0] == 1
    for following in (listened, busy[0], quiet, busy[1]):
        await inside.gone()
        inside = await following.let_in()
    for guest in (inside, *busy):
        await guest.cancelled()


async def test_batch_work_fills_its_room_and_not_that_of_those_who_are_listened_to(made: Gateways) -> None:
    places = made.capacity(1, waiting_room=2)
    guests = await arrive(places, 3, batch=True)
    await made.settled()
    for door in places:
        door.check()
        with pytest.raises(Overloaded):
            door.check(batch=True)
        with pytest.raises(Overloaded, match="2 wait"):
            async with door.place(batch=True):
                raise AssertionError("there was no place")
    guests += await arrive(places, 2)
    assert [guest.told[0][0] for guest in guests[3:]] == [1, 2]
    await made.settled()
    for door in places:
        with pytest.raises(Overloaded, match="2 wait"):
            door.check()
        with pytest.raises(Overloaded):
            async with door.place():
                raise AssertionError("there was no place")
    for guest in guests:
        await guest.cancelled()
    await made.settled()
    assert numbers(places) == {(0, 0)}
    # Those who are listened to take the room of batch work.
    guests = await arrive(places, 3)
    with pytest.raises(Overloaded):
        async with places[-1].place(batch=True):
            raise AssertionError("there was no place")
    for guest in guests:
        await guest.cancelled()


@pytest.mark.parametrize("seed", range(4))
async def test_the_order_is_that_of_the_lines(made: Gateways, seed: int) -> None:
    """Whoever comes and gives up in between: positions and turns are what the rule says."""
    chance = random.Random(seed)
    weights = {"a": 1.0, "b": 3.0, "c": 0.7}
    places = made.capacity(1, weights=weights)
    rule: Lines[Guest] = Lines()
    (inside,) = await arrive(places, 1)
    waiting: dict[Guest, tuple[str, bool]] = {}
    for step in range(240):
        # A crowd, which comes and goes, and then goes.
        draw = 0.0 if step < 45 else chance.random() if step < 150 else 1.0
        if draw < 0.5 and len(waiting) < 60:
            tenant, batch = chance.choice("abc"), chance.random() < 0.4
            guest = await Guest(chance.choice(places), tenant, batch=batch).arrived()
            rule.push(guest, tenant, weights[tenant], batch=batch)
            waiting[guest] = (tenant, batch)
            assert guest.told[0][0] == rule.position(guest, tenant, batch=batch)
        elif draw < 0.65 and waiting:
            guest = chance.choice(list(waiting))
            await guest.cancelled()
            tenant, batch = waiting.pop(guest)
            rule.remove(guest, tenant, batch=batch)
            await made.settled()
        elif waiting:
            await inside.gone()
            inside = await rule.pop().let_in()
            del waiting[inside]
            assert not any(guest.inside for guest in waiting)
    assert not waiting
    await inside.gone()
    await made.settled()
    assert numbers(places) == {(0, 0)}


async def test_a_crowd_never_has_more_places_than_there_are_and_everybody_gets_one(made: Gateways) -> None:
    chance = random.Random(5)
    places = made.capacity(4, waiting_room=1000)
    inside = most = served = 0

    async def one(door: Capacity, tenant: str, batch: bool, steps: int, gives_up: bool) -> None:
        nonlocal inside, most, served
        try:
            async with asyncio.timeout(0.02 if gives_up else None), door.place(tenant=tenant, batch=batch):
                inside += 1
                most = max(most, inside)
                try:
                    for _ in range(steps):
                        await asyncio.sleep(0)
                    served += 1
                finally:
                    inside -= 1
        except TimeoutError:
            pass

    async with asyncio.TaskGroup() as group:
        for number in range(300):
            door, tenant = chance.choice(places), chance.choice("abc")
            group.create_task(one(door, tenant, chance.random() < 0.5, chance.randint(0, 30), number % 5 == 0))
    assert most == 4
    assert served >= 240
    await made.settled()
    await turns()
    assert numbers(places) == {(0, 0)}
