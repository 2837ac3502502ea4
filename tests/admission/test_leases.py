"""Gateways that crash, stall and come back, and a Redis that does: nobody is lost, no place is given twice."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack
from typing import Any

import pytest
from redis.asyncio import Redis

from gateway.admission.leases import Leases, client
from gateway.admission.shared import SharedCapacity
from gateway.clock import Clock
from gateway.errors import Overloaded
from tests.admission.gateways import PATIENCE, Guest, fresh_prefix, until
from tests.support.proxy import Proxy, proxy
from tests.support.redis_server import RedisServer, redis_server

LEASE = 6.0
"""Seconds, where a lease is to run out. Two thirds of one are left at any time, so that a machine which stands still
for less ends none, and nobody gives up for a Redis that does."""
LONG = 240.0
SOON = LONG / 4
"""Before the next renewal of a gateway with the long lease, however busy the machine is."""


class Lab:
    """Gateways on one Redis, one after the other, and an end for all of them."""

    def __init__(self, server: RedisServer, prefix: str, stack: AsyncExitStack) -> None:
        self.server = server
        self.prefix = prefix
        self._stack = stack

    async def gateway(
        self, lease: float = LEASE, port: int | None = None, kind: type[Leases] = Leases, start: bool = True
    ) -> Leases:
        url = f"redis://127.0.0.1:{port or self.server.port}"
        made = kind(lambda: client(url, PATIENCE), lease, Clock(), self.prefix)
        self._stack.push_async_callback(made.close)
        if start:
            await made.start()
        return made

    async def proxied(self, lease: float = LEASE) -> tuple[Leases, Proxy]:
        between = await self._stack.enter_async_context(proxy(self.server.port))
        return await self.gateway(lease, between.port), between

    async def redis(self) -> Redis:
        made = client(self.server.url, PATIENCE)
        self._stack.push_async_callback(made.aclose)
        return made


@pytest.fixture
async def lab(redis: RedisServer) -> AsyncIterator[Lab]:
    async with AsyncExitStack() as stack:
        yield Lab(redis, await fresh_prefix(redis), stack)


@pytest.fixture
async def own_lab() -> AsyncIterator[Lab]:
    """With a Redis that the test may stop."""
    with redis_server() as server:
        async with AsyncExitStack() as stack:
            yield Lab(server, await fresh_prefix(server), stack)


def capacity(leases: Leases, places: int, waiting_room: int = 100, name: str = "s") -> SharedCapacity:
    return SharedCapacity(name, places, waiting_room, leases, Clock())


async def crash(leases: Leases) -> None:
    """Its connections break, and it says no more."""
    assert leases._task is not None
    leases._task.cancel()
    await asyncio.wait([leases._task])


# ---- gateways that go


async def test_the_place_of_a_crashed_holder_goes_to_the_next_once_its_lease_is_over(lab: Lab) -> None:
    a, b = await lab.gateway(), await lab.gateway()
    holder = await Guest(capacity(a, 1)).let_in()
    waiter = await Guest(capacity(b, 1)).arrived()
    await crash(a)
    await waiter.let_in(within=SOON)
    await holder.cancelled()
    await waiter.gone()


async def test_a_place_that_time_alone_sets_free_is_not_waited_for_until_the_next_renewal(lab: Lab) -> None:
    redis = await lab.redis()
    a, b = await lab.gateway(), await lab.gateway(LONG)
    holder = await Guest(capacity(a, 1)).let_in()
    waiter = await Guest(capacity(b, 1)).arrived()
    await crash(a)
    await waiter.let_in(within=SOON)
    await holder.cancelled()
    # A Redis that has forgotten everything, and that the one with the shorter lease comes to first.
    c = await lab.gateway()
    await redis.delete(f"{lab.prefix}epoch")
    others = [await Guest(capacity(one, 1, name=name)).arrived() for one, name in ((c, "x"), (b, "y"))]
    for other in others:
        assert other.told
        await other.let_in(within=SOON)
        await other.gone()
    await waiter.gone()


async def test_a_crashed_waiter_loses_its_place_in_the_queue(lab: Lab) -> None:
    a, b = await lab.gateway(), await lab.gateway()
    places = capacity(b, 1)
    holder = await Guest(places).let_in()
    crashed = await Guest(capacity(a, 1)).arrived()
    waiter = await Guest(places).arrived()
    assert waiter.told[0][0] == 2
    await crash(a)
    await until(lambda: places.waiting == 1, b)
    await holder.gone()
    await waiter.let_in()
    await crashed.cancelled()
    await waiter.gone()


async def test_a_place_that_was_given_to_a_crashed_waiter_goes_on_to_the_next(lab: Lab) -> None:
    a, b = await lab.gateway(), await lab.gateway()
    places = capacity(b, 1)
    holder = await Guest(places).let_in()
    crashed = await Guest(capacity(a, 1)).arrived()
    waiter = await Guest(places).arrived()
    await crash(a)
    await holder.gone()
    await waiter.let_in(within=SOON)
    await crashed.cancelled()
    await waiter.gone()


async def test_a_gateway_that_stops_gives_everything_back_at_once(lab: Lab) -> None:
    a, b = await lab.gateway(LONG), await lab.gateway(LONG)
    holders = [await Guest(capacity(a, 2)).let_in() for _ in range(2)]
    waiters = [await Guest(capacity(b, 2)).arrived() for _ in range(2)]
    await a.close()
    for waiter in waiters:
        await waiter.let_in(within=SOON)
    for guest in (*holders, *waiters):
        await guest.gone()


async def test_whoever_waits_in_a_gateway_that_stops_is_told_so(lab: Lab) -> None:
    a = await lab.gateway(LONG)
    places = capacity(a, 1)
    holder = await Guest(places).let_in()
    waiter = await Guest(places).arrived()
    await a.close()
    await asyncio.wait([waiter.task])
    assert isinstance(waiter.task.exception(), Overloaded)
    await holder.gone()


async def test_stopping_does_not_wait_for_a_redis_that_hangs(lab: Lab) -> None:
    a, between = await lab.proxied(2.0)
    between.stall()
    async with asyncio.timeout(60):
        await a.close()


# ---- gateways that lose Redis


async def test_a_session_whose_lease_ran_out_goes_on_and_the_semaphore_is_honestly_over_full(lab: Lab) -> None:
    a, between = await lab.proxied()
    b = await lab.gateway()
    far, near = capacity(a, 1), capacity(b, 1)
    cut_off = await Guest(far).let_in()
    second = await Guest(near).arrived()
    third = await Guest(near).arrived()
    await between.cut()
    await second.let_in()
    assert cut_off.inside, "cutting speech helps nobody"
    between.heal()
    # What Redis knows by then, the first may not have heard yet.
    await until(lambda: a.up and a.restored and near.taken == 2, b)
    assert a.restored == 1
    await second.gone()
    await until(lambda: near.taken == 1, b)
    assert not third.inside, "nobody new comes in until it fits again"
    await cut_off.gone()
    await third.let_in()
    await third.gone()


async def test_a_lease_that_ran_out_and_that_nobody_took_is_taken_back(lab: Lab) -> None:
    a, between = await lab.proxied()
    b = await lab.gateway()
    near = capacity(b, 1)
    cut_off = await Guest(capacity(a, 1)).let_in()
    await between.cut()
    await until(lambda: near.taken == 0, b)
    between.heal()
    await until(lambda: near.taken == 1, b)
    newcomer = await Guest(near).arrived()
    assert not newcomer.inside
    await cut_off.gone()
    await newcomer.let_in()
    await newcomer.gone()


async def test_one_who_waits_keeps_its_place_in_the_line_though_redis_took_it_for_dead(lab: Lab) -> None:
    a, between = await lab.proxied()
    b = await lab.gateway()
    near = capacity(b, 1)
    holder = await Guest(near).let_in()
    first = await Guest(capacity(a, 1)).arrived()
    second = await Guest(near).arrived()
    between.stall()
    await until(lambda: near.waiting == 1, b)
    between.heal()
    await until(lambda: near.waiting == 2, b)
    await holder.gone()
    await first.let_in()
    assert not second.inside
    await first.gone()
    await second.let_in()
    await second.gone()


async def test_a_connection_that_hangs_is_given_up_and_made_anew(lab: Lab) -> None:
    a, between = await lab.proxied()
    places = capacity(a, 1)
    between.stall()
    guest = Guest(places)
    await until(lambda: a.failed > 0)
    assert not a.up
    between.heal()
    await guest.let_in()
    await guest.gone()
    assert a.up


@pytest.mark.parametrize("losses", [1, 3])
async def test_a_turn_whose_answer_is_lost_is_repeated_and_counts_once(lab: Lab, losses: int) -> None:
    a, between = await lab.proxied(LONG)
    b = await lab.gateway(LONG)
    near = capacity(b, 2)
    far = capacity(a, 2)
    guest: Guest | None = None
    for _ in range(losses):
        between.swallow()
        if guest is None:
            guest = Guest(far)
        async with asyncio.timeout(60):
            await between.swallowed.wait()
    assert guest is not None
    await guest.let_in()
    await until(lambda: (near.taken, near.waiting) == (1, 0), b)
    between.swallow()
    await guest.gone()
    await until(lambda: (near.taken, near.waiting) == (0, 0), b)
    await until(lambda: a.up, a)


class Deaf(Leases):
    """Does not hear what it is given in others' turns."""

    turns = 0

    def _heard(self, sent: float, answer: Mapping[str, Any]) -> None:
        super()._heard(sent, answer)
        self.turns += 1

    async def _listen(self, redis: Redis) -> None:
        await asyncio.Event().wait()


async def test_a_lost_wake_up_is_made_good_by_the_next_renewal(lab: Lab) -> None:
    a, b = await lab.gateway(), await lab.gateway(kind=Deaf)
    assert isinstance(b, Deaf)
    places = capacity(a, 1)
    holder = await Guest(places).let_in()
    waiter = await Guest(capacity(b, 1)).arrived()
    await until(lambda: places.waiting == 1, a)
    await holder.gone()
    # Once Redis has given the place away; a turn that was under way then has missed it.
    await until(lambda: places.waiting == 0, a)
    before = b.turns
    await waiter.let_in(within=SOON)
    assert b.turns <= before + 2
    await waiter.gone()


async def test_one_who_was_away_for_a_lease_does_not_believe_the_news_of_a_place(lab: Lab) -> None:
    """As a process that was stopped with the news unread: the place may have gone to another since, so it asks."""
    stopped_for = 0.0
    a = await lab.gateway(LONG)
    b = Leases(
        lambda: client(lab.server.url, PATIENCE), LONG, Clock(now=lambda: time.monotonic() + stopped_for), lab.prefix
    )
    await b.start()
    far = SharedCapacity("s", 1, 100, b, Clock())
    holder = await Guest(capacity(a, 1)).let_in()
    waiter = await Guest(far).arrived()
    stopped_for = LONG
    redis = await lab.redis()
    news = f"{lab.prefix}wake:{b._ledger.process}"
    await redis.rpush(news, next(b.waiting(far)).id)
    while await redis.exists(news):
        pass
    async with SharedCapacity("another", 1, 1, b, Clock()).place():
        assert not waiter.inside
    await holder.gone()
    await waiter.let_in(within=SOON)
    await waiter.gone()
    await b.close()


# ---- a Redis that goes


async def test_without_redis_at_the_start_one_waits_and_is_let_in_when_it_comes(own_lab: Lab) -> None:
    own_lab.server.stop()
    a = await own_lab.gateway()
    assert not a.up
    guest = await Guest(capacity(a, 1)).arrived()
    assert guest.told == [(1, None)]
    own_lab.server.start()
    await guest.let_in()
    await guest.gone()


async def test_while_redis_is_away_those_who_hold_go_on_and_the_others_are_told_to_come_again(own_lab: Lab) -> None:
    a = await own_lab.gateway()
    places = capacity(a, 1, waiting_room=2)
    holder = await Guest(places).let_in()
    waiter = await Guest(places).arrived()
    own_lab.server.stop()
    await until(lambda: not a.up)
    late = await Guest(places).arrived()
    with pytest.raises(Overloaded):
        # The waiting room is full, as far as this gateway knows.
        places.check()
    await asyncio.wait([waiter.task, late.task], timeout=60)
    for guest in (waiter, late):
        error = guest.task.exception()
        assert isinstance(error, Overloaded)
        assert error.retry_after is not None
    refused = places.refused
    with pytest.raises(Overloaded) as told:
        places.check()
    assert told.value.retry_after is not None
    assert places.refused == refused + 1
    assert holder.inside
    own_lab.server.start()
    await until(lambda: a.up and places.taken == 1, a)
    newcomer = await Guest(places).arrived()
    assert not newcomer.inside
    await holder.gone()
    await newcomer.let_in()
    await newcomer.gone()


@pytest.mark.parametrize(
    ("loss", "batch"),
    [("restart", False), ("restart with old data", False), ("restart with old data", True), ("flush", False)],
)
async def test_a_redis_that_forgets_lets_nobody_in_until_all_have_told_it_what_they_hold(
    own_lab: Lab, loss: str, batch: bool
) -> None:
    """The gateway that holds comes back last, and finds its places untouched."""
    lab = own_lab
    redis = await lab.redis()
    a, between = await lab.proxied()
    b = await lab.gateway()
    far, near = capacity(a, 2), capacity(b, 2)
    gone = [await Guest(near).let_in() for _ in range(2)]
    holders = [await Guest(far, batch=batch).arrived()]
    if loss == "restart with old data":
        # It knows of places that were given back since, and of one who waits and has a place by now.
        lab.server.save()
    for guest in gone:
        await guest.gone()
    holders.append(await Guest(far).let_in())
    await holders[0].let_in()
    first = await Guest(far).arrived()
    second = await Guest(near).arrived()
    await between.cut()
    if loss == "flush":
        await redis.flushall()
    else:
        lab.server.restart()
    lost = time.monotonic()
    third = await Guest(near).arrived()
    await until(lambda: b.up and near.waiting >= 2, b)
    between.heal()
    await until(lambda: a.up and a.restored >= 2 and (near.taken, near.waiting) == (2, 3), b)
    assert a.restored == 2
    assert all(guest.inside for guest in holders)
    await holders[0].gone()
    await first.let_in()
    assert time.monotonic() - lost >= LEASE * 0.9, "nothing is given out for one lease"
    assert not second.inside
    assert not third.inside
    await holders[1].gone()
    await second.let_in()
    await first.gone()
    await third.let_in()
    await second.gone()
    await third.gone()
    await until(lambda: (near.taken, near.waiting) == (0, 0), b)


async def test_batch_work_is_known_as_such_to_a_redis_that_forgot_it_and_while_none_is_there(own_lab: Lab) -> None:
    lab = own_lab
    a = await lab.gateway()
    b = await lab.gateway()
    far, near = capacity(a, 1), capacity(b, 1)
    holder = await Guest(far).let_in()
    batch = [await Guest(door, batch=True).arrived() for door in (near, far)]
    lab.server.stop()
    await until(lambda: not (a.up or b.up))
    listened = await Guest(near).arrived()
    late = await Guest(near, batch=True).arrived()
    assert (listened.told[0][0], late.told[0][0]) == (1, 3)
    lab.server.start()
    await until(lambda: a.up and b.up and (far.waiting, far.waiting_batch) == (4, 3), a, b)
    await holder.gone()
    for guest in (listened, *batch, late):
        await guest.let_in()
        await guest.gone()


async def test_a_redis_that_was_out_of_everybodys_reach_is_quiet_too(lab: Lab) -> None:
    """It ran on, and took everybody for dead: whoever reaches it first must not get what the others hold."""
    a, first = await lab.proxied()
    b, second = await lab.proxied()
    far, near = capacity(a, 1), capacity(b, 1)
    holder = await Guest(far).let_in()
    await first.cut()
    await second.cut()
    waiter = await Guest(near).arrived()
    # It has not heard of Redis for a lease then, and Redis of nobody for longer.
    await asyncio.wait([waiter.task])
    second.heal()
    await until(lambda: b.up)
    newcomer = await Guest(near).arrived()
    first.heal()
    await until(lambda: a.up and near.taken == 1, b)
    assert not newcomer.inside
    assert isinstance(waiter.task.exception(), Overloaded), "it had waited for a lease without a word from Redis"
    await holder.gone()
    await newcomer.let_in()
    await newcomer.gone()


async def test_after_a_crash_of_all_nothing_is_given_out_for_a_lease_and_after_a_good_end_at_once(lab: Lab) -> None:
    redis = await lab.redis()
    a = await lab.gateway(LONG)
    await a.close()
    await redis.hincrby(f"{lab.prefix}epoch", "last", -1_000_000)
    b = await lab.gateway(LONG)
    guest = await Guest(capacity(b, 1)).let_in(within=SOON)
    await guest.gone()
    await crash(b)
    await redis.hincrby(f"{lab.prefix}epoch", "last", -1_000_000)
    c = await lab.gateway()
    guest = await Guest(capacity(c, 1)).arrived()
    assert not guest.inside
    await guest.let_in()
    await guest.gone()


async def test_an_error_of_redis_is_an_outage_and_ends_with_it(lab: Lab) -> None:
    redis = await lab.redis()
    a = await lab.gateway(LONG)
    places = capacity(a, 1)
    holder = await Guest(places).let_in()
    await redis.rename(f"{lab.prefix}processes", f"{lab.prefix}kept")
    await redis.set(f"{lab.prefix}processes", "not a set")
    await until(lambda: not a.up, a)
    waiter = await Guest(places).arrived()
    await redis.rename(f"{lab.prefix}kept", f"{lab.prefix}processes")
    await until(lambda: a.up)
    await holder.gone()
    await waiter.let_in()
    await waiter.gone()


# ---- what it costs, and what it says


async def test_all_leases_of_a_process_are_renewed_in_one_round_trip(lab: Lab) -> None:
    a = await lab.gateway()
    redis = await lab.redis()
    guests = [await Guest(capacity(a, 100, name=f"n{n % 3}")).let_in() for n in range(120)]
    await redis.config_resetstat()
    began = time.monotonic()
    calls = 0
    while calls < 4:
        # Only Redis counts them, and it tells nobody of itself.
        await asyncio.sleep(0.02)
        calls = (await redis.info("commandstats")).get("cmdstat_evalsha", {}).get("calls", 0)
    assert time.monotonic() - began >= 3 * LEASE / 3 * 0.9, "three times a lease"
    for guest in guests:
        await guest.gone()


async def test_one_who_gives_up_is_out_of_line_in_the_next_turn(lab: Lab) -> None:
    """And not only once everything is told again."""
    places = capacity(await lab.gateway(LONG), 1)
    holder = await Guest(places).let_in()
    for batch in (False, True):
        waiter = await Guest(places, batch=batch).arrived()
        await waiter.cancelled()
        following = await Guest(places, batch=batch).arrived()
        assert following.told[0][0] == 1
        await following.cancelled()
    await holder.gone()


async def test_the_fewest_places_that_a_gateway_declares_count(lab: Lab) -> None:
    a, b, c = [await lab.gateway(LONG) for _ in range(3)]
    some, few, many = capacity(a, 3), capacity(b, 2), capacity(c, 4)
    await until(lambda: some.places == few.places == many.places == 2, a, b, c)
    guests = [await Guest(many).arrived() for _ in range(3)]
    assert [guest.inside for guest in guests] == [True, True, False]
    await b.close()
    await guests[2].let_in()
    await until(lambda: some.places == many.places == 3, a, c)
    for guest in guests:
        await guest.gone()


async def test_names_and_tenants_do_not_run_into_each_other(lab: Lab) -> None:
    a = await lab.gateway(LONG)
    pairs = [("a", "b:c"), ("a:b", "c"), ("1:a", ""), ("", "1:a"), ("a", "b"), ("\u00e9", "\u00e9")]
    held, waiting = [], []
    for name, tenant in pairs:
        places = capacity(a, 1, name=name)
        if name not in [other for other, _ in pairs[: pairs.index((name, tenant))]]:
            held.append(await Guest(places, tenant).let_in())
        waiting.append(await Guest(places, tenant).arrived())
    assert [guest.told[0][0] for guest in waiting] == [1, 1, 1, 1, 2, 1]
    for guest in held:
        await guest.gone()
    for guest in waiting:
        await guest.let_in()
        await guest.gone()


async def test_nothing_is_left_of_gateways_that_ended(lab: Lab) -> None:
    tasks = asyncio.all_tasks()
    redis = await lab.redis()
    a, b = await lab.gateway(LONG), await lab.gateway(LONG)
    guests = [await Guest(capacity(one, 2), tenant).arrived() for one in (a, b) for tenant in "xyz"]
    for guest in guests:
        await guest.cancelled()
    await a.close()
    await b.close()
    keys = {key.removeprefix(lab.prefix) async for key in redis.scan_iter(f"{lab.prefix}*")}
    assert keys <= {"epoch", "state:s"}
    assert asyncio.all_tasks() == tasks
