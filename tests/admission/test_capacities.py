"""The semaphores of a gateway by name, and those that are made while it runs: in memory, and on a Redis."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack

import pytest

from gateway.admission.capacities import Capacities
from gateway.admission.definitions import Definition
from gateway.clock import Clock
from gateway.errors import BadRequest, Overloaded
from tests.admission.gateways import LEASE, Guest, fresh_prefix
from tests.support.redis_server import RedisServer, redis_server


class Fleet:
    """The capacities of one process, or of two on one Redis."""

    def __init__(self, stack: AsyncExitStack, server: RedisServer | None, prefix: str) -> None:
        self._stack = stack
        self._server = server
        self._prefix = prefix

    async def gateway(self, waiting_room: int = 100, lease: float = LEASE) -> Capacities:
        url = self._server.url if self._server else None
        made = Capacities(5, waiting_room, Clock(), redis_url=url, lease=lease, prefix=self._prefix)
        await made.start()
        self._stack.push_async_callback(made.close)
        return made


@pytest.fixture
async def shared(redis: RedisServer) -> AsyncIterator[Fleet]:
    async with AsyncExitStack() as stack:
        yield Fleet(stack, redis, await fresh_prefix(redis))


@pytest.fixture(params=["memory", "redis"])
async def fleet(request: pytest.FixtureRequest) -> AsyncIterator[Fleet]:
    server = request.getfixturevalue("redis") if request.param == "redis" else None
    async with AsyncExitStack() as stack:
        yield Fleet(stack, server, await fresh_prefix(server) if server else "")


async def test_an_engine_has_places_of_its_own_and_as_many_as_it_says(fleet: Fleet) -> None:
    made = await fleet.gateway()
    one, other = made.engine("one", 2), made.engine("other", 2)
    assert one is not other
    assert made.engine("one", 4) is one
    assert one.places == 4
    assert dict(made.engines()) == {"one": one, "other": other}


async def test_accounts_of_one_engine_have_places_of_their_own_and_idle_ones_are_forgotten(
    fleet: Fleet, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("gateway.admission.capacities.MOST_NAMED", 3)
    made = await fleet.gateway()
    ours, theirs = made.engine("one", 2, account="ours"), made.engine("one", 2, account="theirs")
    assert ours is not theirs
    async with theirs.place():
        for number in range(10):
            made.engine("one", 2, account=f"passing {number}")
        assert made.engine("one", 2, account="theirs") is theirs
    assert made.engine("one", 2, account="ours") is ours
    assert dict(made.engines()) == {"one": ours}
    assert len(made._named) <= 4


async def test_engines_on_one_account_share_its_places(fleet: Fleet) -> None:
    made = await fleet.gateway()
    one = made.engine("one", 1, account="theirs")
    assert made.engine("two", 1, account="theirs") is one
    assert made.engine("three", 1, account="another") is not one
    holder = await Guest(made.engine("one", 1, account="theirs")).let_in()
    waiter = await Guest(made.engine("two", 1, account="theirs")).arrived()
    assert waiter.told
    await holder.gone()
    await waiter.let_in()
    await waiter.gone()


async def test_only_accounts_are_shared_between_gateways(shared: Fleet) -> None:
    a, b = await shared.gateway(), await shared.gateway()
    inside = [await Guest(made.engine("own", 1)).let_in() for made in (a, b)]
    inside += [await Guest(made.sessions).let_in() for made in (a, b)]
    holder = await Guest(a.engine("theirs", 1, account="x")).let_in()
    waiter = await Guest(b.engine("theirs", 1, account="x")).arrived()
    assert waiter.told
    for guest in (*inside, holder, waiter):
        await guest.gone()


async def test_what_was_made_is_found_listed_changed_and_removed(fleet: Fleet) -> None:
    made = await fleet.gateway()
    assert await made.get("pool") is None
    assert await made.define("pool", 2, "for batches") == Definition("pool", 2, "for batches")
    await made.define("another: \u00e9", 1)
    assert await made.list() == [Definition("another: \u00e9", 1), Definition("pool", 2, "for batches")]
    pool = await made.get("pool")
    assert pool is not None
    guests = [await Guest(pool).arrived() for _ in range(4)]
    assert [guest.inside for guest in guests] == [True, True, False, False]
    await made.define("pool", 3, "more")
    await guests[2].let_in()
    assert await made.get("pool") is pool
    assert await made.list() == [Definition("another: \u00e9", 1), Definition("pool", 3, "more")]
    assert await made.remove("pool")
    assert not await made.remove("pool")
    assert await made.get("pool") is None
    await guests[0].gone()
    await guests[3].let_in()
    for guest in guests:
        await guest.gone()


async def test_a_semaphore_that_one_gateway_has_made_is_there_for_the_others(shared: Fleet) -> None:
    a, b = await shared.gateway(), await shared.gateway()
    await a.define("pool", 1, "shared")
    assert await b.list() == [Definition("pool", 1, "shared")]
    here, there = await a.get("pool"), await b.get("pool")
    assert here is not None
    assert there is not None
    holder = await Guest(here).let_in()
    waiters = [await Guest(there).arrived() for _ in range(2)]
    await b.define("pool", 2)
    await waiters[0].let_in()
    assert not waiters[1].inside
    await a.define("pool", 3)
    await waiters[1].let_in()
    for guest in (holder, *waiters):
        await guest.gone()
    await b.remove("pool")
    assert await a.get("pool") is None


@pytest.mark.parametrize(("name", "places"), [("", 1), ("x" * 201, 1), ("x", 0), ("x", -1), ("x", 1_000_001)])
async def test_what_is_no_semaphore_is_refused(fleet: Fleet, name: str, places: int) -> None:
    made = await fleet.gateway()
    with pytest.raises(BadRequest):
        await made.define(name, places)
    assert await made.list() == []


async def test_without_redis_they_cannot_be_made_and_that_is_said_with_a_time() -> None:
    with redis_server() as server:
        async with AsyncExitStack() as stack:
            made = await Fleet(stack, server, await fresh_prefix(server)).gateway()
            server.stop()
            for asked in (made.define("pool", 1), made.get("pool"), made.list(), made.remove("pool")):
                with pytest.raises(Overloaded) as told:
                    await asked
                assert told.value.retry_after is not None
            server.start()
            await made.define("pool", 1)


async def test_a_gateway_may_be_closed_twice_and_before_its_start(redis: RedisServer) -> None:
    made = Capacities(1, 1, Clock(), redis_url=redis.url, lease=LEASE)
    await made.close()
    await made.close()
