"""Gateway processes that share an account's ten places through a real Redis. What counts is counted at the service."""

from __future__ import annotations

import asyncio
import os
import random
import re
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from itertools import combinations
from pathlib import Path
from statistics import median
from typing import Any

import httpx
import orjson
import pytest
import pytest_asyncio
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed

from tests.support.account import Account, account
from tests.support.redis_server import RedisServer, redis_server

pytestmark = [pytest.mark.asyncio(loop_scope="module"), pytest.mark.timeout(300)]

ROOT = Path(__file__).parent.parent.parent
PLACES = 10
LEASE = 8.0
"""Seconds. A busy machine may let a process stand for two thirds of it before its places are others'."""
WEIGHTS = {"heavy": 1, "middle": 1, "light": 2}
LAST = {"ended", "error", "cancelled"}


class Session:
    """One context at a gateway, as its client sees it."""

    def __init__(self) -> None:
        loop = asyncio.get_running_loop()
        self.first: asyncio.Future[dict[str, Any]] = loop.create_future()
        """It waits, speaks or was refused."""
        self.last: asyncio.Future[dict[str, Any]] = loop.create_future()

    def hear(self, event: dict[str, Any]) -> None:
        if not self.first.done():
            self.first.set_result(event)
        if event["type"] in LAST and not self.last.done():
            self.last.set_result(event)


class Caller:
    """A tenant's connection to one gateway."""

    def __init__(self, socket: ClientConnection, tenant: str) -> None:
        self._socket = socket
        self._tenant = tenant
        self._sessions: dict[str, Session] = {}
        self.task = asyncio.create_task(self._read())

    async def _read(self) -> None:
        try:
            async for message in self._socket:
                if isinstance(message, str):
                    event = orjson.loads(message)
                    self._sessions[event["context"]].hear(event)
        except ConnectionClosed:
            pass

    async def speak(self, number: int, seconds: float = 0.0) -> Session:
        """Ask, and wait until one waits or speaks."""
        session = self._sessions[str(number)] = Session()
        start = {"type": "start", "context": str(number), "pace": "burst"}
        text = {"type": "text", "context": str(number), "text": f"{self._tenant} {number} {seconds:.3f}"}
        for message in (start, text, {"type": "end", "context": str(number)}):
            await self._socket.send(orjson.dumps(message).decode())
        async with asyncio.timeout(60):
            await asyncio.shield(session.first)
        return session


class Process:
    """``voxwire serve``, on its own."""

    def __init__(self, redis: RedisServer, service: Account) -> None:
        environment = {name: value for name, value in os.environ.items() if not name.startswith("VOXWIRE_")}
        keys = ",".join(f"{tenant}:key-of-{tenant}" for tenant in WEIGHTS)
        environment |= {
            "PYTHONPATH": f"{ROOT}:{ROOT / 'codecs'}",
            "PYTHONUNBUFFERED": "1",
            "ACCOUNT_PORT": str(service.port),
            "ACCOUNT_PLACES": str(PLACES),
            "VOXWIRE_PROVIDERS": "tests.support.account:Rented",
            "VOXWIRE_REDIS_URL": redis.url,
            "VOXWIRE_LEASE_S": str(LEASE),
            "VOXWIRE_MAX_WAITING": "1000",
            "VOXWIRE_MAX_SESSIONS": "1000",
            "VOXWIRE_MAX_CONTEXTS": "1000",
            "VOXWIRE_API_KEYS": keys,
            "VOXWIRE_TENANT_WEIGHTS": ",".join(f"{tenant}={weight}" for tenant, weight in WEIGHTS.items()),
            "VOXWIRE_DRAIN_S": "0",
            # Who holds a place says nothing until he is let go, which is no stall.
            "VOXWIRE_ENGINE_TIMEOUT": "300",
        }
        self._process = subprocess.Popen(
            [sys.executable, "-m", "gateway", "serve", "--port", "0"],
            stdout=subprocess.PIPE,
            text=True,
            env=environment,
            cwd=ROOT,
        )
        self.address = ""
        self._callers: dict[str, Caller] = {}

    async def started(self) -> None:
        self.address = await asyncio.to_thread(self._read_address)

    def _read_address(self) -> str:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            found = re.search(r"http://127\.0\.0\.1:\d+", line)
            if found:
                return found[0]
        raise AssertionError("the gateway ended before it was ready")

    async def caller(self, tenant: str) -> Caller:
        if tenant not in self._callers:
            url = self.address.replace("http", "ws") + "/v1/stream"
            headers = {"authorization": f"Bearer key-of-{tenant}"}
            self._callers[tenant] = Caller(await connect(url, additional_headers=headers, compression=None), tenant)
        return self._callers[tenant]

    async def speak(self, tenant: str, number: int, seconds: float = 0.0) -> Session:
        return await (await self.caller(tenant)).speak(number, seconds)

    async def taken(self) -> float:
        """The places of the account that are taken, as this gateway's metrics have it."""
        async with httpx.AsyncClient(timeout=60) as http:
            page = (await http.get(f"{self.address}/metrics")).text
        found = re.search(r'^voxwire_engine_places_taken\{provider="rented"\} (\S+)$', page, re.MULTILINE)
        assert found is not None
        return float(found[1])

    def signal(self, number: signal.Signals) -> None:
        self._process.send_signal(number)

    async def stop(self) -> None:
        for caller in self._callers.values():
            caller.task.cancel()
            await caller._socket.close()
        self._process.terminate()
        await asyncio.to_thread(self._process.wait, 60)
        assert self._process.stdout is not None
        self._process.stdout.close()


class Fleet:
    """Two gateways, the Redis between them and the service behind them."""

    def __init__(self, redis: RedisServer, service: Account, processes: list[Process]) -> None:
        self.redis = redis
        self.service = service
        self.processes = processes

    async def hold(self, numbers: range, tenant: str = "heavy") -> list[Session]:
        """Sessions that last until the service lets go of them, one after the other, at the gateways in turn."""
        return [await self.processes[number % 2].speak(tenant, number) for number in numbers]


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def fleet() -> AsyncIterator[Fleet]:
    """The same for all the tests here; the last of them kills one of its gateways."""
    async with AsyncExitStack() as stack:
        redis = stack.enter_context(redis_server())
        service = await stack.enter_async_context(account())
        processes = [Process(redis, service) for _ in range(2)]
        for process in processes:
            stack.push_async_callback(process.stop)
        for process in processes:
            await process.started()
        # A Redis that was just started gives nothing out for a lease.
        await (await processes[0].speak("light", 100_000, 0.001)).last
        yield Fleet(redis, service, processes)


async def last_events(sessions: list[Session], within: float = 200.0) -> Counter[str]:
    async with asyncio.timeout(within):
        return Counter([(await session.last)["type"] for session in sessions])


async def test_400_sessions_of_two_gateways_share_ten_places_and_leave_none_idle(fleet: Fleet) -> None:
    chance = random.Random(7)
    counts = {"heavy": 240, "middle": 100, "light": 60}
    service = fleet.service
    before = len(service.uses)

    async def tenant(name: str) -> list[Session]:
        return [
            await chance.choice(fleet.processes).speak(name, number, chance.uniform(0.25, 0.75))
            for number in range(counts[name])
        ]

    async with asyncio.TaskGroup() as group:
        asking = [group.create_task(tenant(name)) for name in counts]
    assert await last_events([one for task in asking for one in task.result()]) == {"ended": 400}

    uses = service.uses[before:]
    assert service.most == PLACES
    assert len({(use.tenant, use.number) for use in uses}) == len(uses) == 400, "nobody is lost, nobody comes twice"
    assert all(use.whole for use in uses)

    # Each place that comes free is the next one's. The median, since a machine may let a process stand for seconds.
    ended = sorted(use.ended for use in uses if use.ended is not None)
    idle = [use.began - free for use, free in zip(uses[PLACES:], ended, strict=False)]
    spoken = sum(use.ended - use.began for use in uses if use.ended is not None) / len(uses)
    share = spoken / (spoken + median(idle))
    print(f"a place that comes free is idle for {median(idle) * 1000:.1f} ms, and {share:.1%} of the time in use")
    assert share >= 0.95


async def test_each_place_that_comes_free_goes_to_the_one_who_has_waited_longest(fleet: Fleet) -> None:
    numbers = range(6000, 6000 + PLACES + 60)
    assert await one_by_one(fleet, [("middle", number) for number in numbers]) == list(numbers[PLACES:])


async def test_places_that_come_free_are_shared_by_weight_and_in_order_within_a_tenant(fleet: Fleet) -> None:
    waiting = {"heavy": range(7100, 7140), "middle": range(7200, 7220), "light": range(7300, 7330)}
    tenant_of = {number: tenant for tenant, numbers in waiting.items() for number in numbers}
    holders = [("heavy", number) for number in range(7000, 7000 + PLACES)]
    order = await one_by_one(fleet, holders + [(tenant, number) for number, tenant in tenant_of.items()])
    for numbers in waiting.values():
        assert [number for number in order if number in numbers] == list(numbers)
    given, left = Counter[str](), {tenant: len(numbers) for tenant, numbers in waiting.items()}
    for number in order:
        given[tenant_of[number]] += 1
        left[tenant_of[number]] -= 1
        for one, other in combinations(waiting, 2):
            if left[one] and left[other]:
                bound = 1 / WEIGHTS[one] + 1 / WEIGHTS[other]
                assert abs(given[one] / WEIGHTS[one] - given[other] / WEIGHTS[other]) <= bound
    # Light has twice the weight, so that it is through first.
    assert [tenant_of[number] for number in order[:50]].count("light") > 20


async def one_by_one(fleet: Fleet, asking: list[tuple[str, int]]) -> list[int]:
    """All of these ask, each when the one before him waits or speaks; then one place at a time comes free. Who had to
    wait, in the order in which they reached the service: however slow a process is, nobody can overtake another."""
    chance = random.Random(11)
    service = fleet.service
    before = len(service.uses)
    sessions = [await chance.choice(fleet.processes).speak(tenant, number) for tenant, number in asking]
    await service.until(before + PLACES)
    holders = sorted(service.numbers(before))
    for come in range(PLACES + 1, len(asking) + 1):
        service.let_go(holders.pop(chance.randrange(PLACES)))
        await service.until(before + come)
        holders.append(service.uses[-1].number)
    for number in holders:
        service.let_go(number)
    assert await last_events(sessions) == {"ended": len(asking)}
    assert service.most == PLACES
    return service.numbers(before + PLACES)


@pytest.mark.parametrize("data", ["lost", "old"])
async def test_a_restarted_redis_costs_nobody_a_session_and_gives_no_place_twice(fleet: Fleet, data: str) -> None:
    service, redis = fleet.service, fleet.redis
    first = 1000 if data == "lost" else 2000
    if data == "old":
        # What is saved knows of holders who will be gone, and not of those who will hold.
        before = len(service.uses)
        early = await fleet.hold(range(1900, 1905))
        await service.until(before + 5)
        redis.save()
        for number in range(1900, 1905):
            service.let_go(number)
        assert await last_events(early) == {"ended": 5}
    before = len(service.uses)
    sessions = await fleet.hold(range(first, first + PLACES + 6))
    await service.until(before + PLACES)
    restarted = time.monotonic()
    redis.restart()
    sessions += await fleet.hold(range(first + PLACES + 6, first + PLACES + 8))
    service.let_go(first)
    service.let_go(first + 1)
    await service.until(before + PLACES + 2)
    assert service.uses[before + PLACES].began - restarted >= LEASE * 0.9, "first everybody says what he holds"
    assert sorted(service.numbers(before + PLACES)) == [first + PLACES, first + PLACES + 1]
    for number in range(first, first + PLACES + 8):
        service.let_go(number)
    assert await last_events(sessions) == {"ended": PLACES + 8}
    assert sorted(service.numbers(before)) == list(range(first, first + PLACES + 8))
    assert service.most == PLACES


async def test_while_redis_is_away_those_who_speak_go_on_and_newcomers_get_503_with_a_time(fleet: Fleet) -> None:
    service = fleet.service
    before = len(service.uses)
    async with httpx.AsyncClient(base_url=fleet.processes[0].address, timeout=60) as http:

        async def readiness() -> tuple[int, str]:
            answer = await http.get("/readyz")
            return answer.status_code, answer.json()["redis"]

        sessions = await fleet.hold(range(3000, 3000 + PLACES))
        await service.until(before + PLACES)
        assert await readiness() == (200, "up")
        fleet.redis.stop()
        body = {"input": "light 3050 0.001", "voice": "one", "model": "rented"}
        headers = {"authorization": "Bearer key-of-light"}
        answer = await http.post("/v1/audio/speech", json=body, headers=headers)
        assert answer.status_code == 503
        assert int(answer.headers["retry-after"]) >= 1
        assert await readiness() == (200, "down"), "what needs no account goes on"
        assert 'voxwire_redis_up{use="places"} 0.0' in (await http.get("/metrics")).text
        assert service.active == PLACES
        fleet.redis.start()
        async with asyncio.timeout(60):
            while await readiness() != (200, "up"):
                pass
        sessions.append(await fleet.processes[0].speak("light", 3051, 0.001))
        for number in range(3000, 3000 + PLACES):
            service.let_go(number)
        assert await last_events(sessions) == {"ended": PLACES + 1}
        assert service.numbers(before + PLACES) == [3051], "who was refused did not come after all"
        assert service.most == PLACES


async def test_a_gateway_that_was_stopped_for_too_long_speaks_on_and_nobody_new_comes_until_it_fits(
    fleet: Fleet,
) -> None:
    service = fleet.service
    before = len(service.uses)
    sessions = await fleet.hold(range(5000, 5000 + PLACES + 6))
    await service.until(before + PLACES)
    fleet.processes[1].signal(signal.SIGSTOP)
    await service.until(before + PLACES + 3)
    assert sorted(service.numbers(before + PLACES)) == [5010, 5012, 5014]
    fleet.processes[1].signal(signal.SIGCONT)
    async with asyncio.timeout(60):
        while await fleet.processes[0].taken() != PLACES + 3:
            pass
    assert service.active == PLACES + 3, "what it had begun was accepted, and is not cut"
    for number in range(5000, 5004):
        service.let_go(number)
    await service.until(before + PLACES + 4)
    assert await last_events(sessions[:4]) == {"ended": 4}
    assert service.numbers(before + PLACES + 3) == [5011], "one for four, and in the order in which they had asked"
    assert service.active == PLACES
    for number in range(5004, 5000 + PLACES + 6):
        service.let_go(number)
    assert await last_events(sessions) == {"ended": PLACES + 6}
    assert sorted(service.numbers(before)) == list(range(5000, 5000 + PLACES + 6))
    service.most = service.active


async def test_the_places_of_a_killed_gateway_are_back_within_the_lease(fleet: Fleet) -> None:
    service = fleet.service
    before = len(service.uses)
    sessions = await fleet.hold(range(4000, 4000 + PLACES + 12))
    await service.until(before + PLACES)
    assert sorted(service.numbers(before)) == list(range(4000, 4000 + PLACES))
    fleet.processes[1].signal(signal.SIGKILL)
    killed = time.monotonic()
    await service.until(before + PLACES + 5)
    back = service.uses[-1].began - killed
    print(f"five places of a killed gateway were given to others after {back:.2f} s; the lease is {LEASE:g} s")
    # By the lease, and what a machine may let the processes stand; without a lease it would never be.
    assert back < LEASE * 2
    # To those who wait at the gateway that lives, in their order.
    assert sorted(service.numbers(before + PLACES)) == [4010, 4012, 4014, 4016, 4018]
    service.let_go(4000)
    await service.until(before + PLACES + 6)
    assert service.numbers(before + PLACES + 5) == [4020]
    for number in range(4000, 4000 + PLACES + 12):
        service.let_go(number)
    assert await last_events(sessions[::2]) == {"ended": 11}
    assert service.active == 0
    assert service.most == PLACES
