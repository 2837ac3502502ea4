"""A server is left alone while it is down, and found when it is back. In virtual time."""

from __future__ import annotations

import asyncio

from providers.base import EngineUnavailable, ProviderError
from providers.orpheus.breaker import Breaker
from providers.orpheus.health import Health
from tests.support.virtual_time import settle, virtual_time


class Server:
    """Says how it is, and counts how often it was asked."""

    def __init__(self, error: Exception | None = None) -> None:
        self.error = error
        self.asked: list[float] = []
        self.glances: list[float] = []

    async def glance(self) -> None:
        self.glances.append(asyncio.get_running_loop().time() - 1000)
        if self.error is not None:
            raise self.error

    async def probe(self) -> None:
        self.asked.append(asyncio.get_running_loop().time() - 1000)
        if self.error is not None:
            raise self.error


def health(server: Server) -> Health:
    return Health(Breaker(2, 1.0, 4.0), server.probe, server.glance, interval=15.0, soon=1.0)


DOWN = EngineUnavailable("it is down")


@virtual_time
async def test_a_server_that_is_well_is_probed_once_and_then_looked_at() -> None:
    server = Server()
    watched = health(server)
    await watched.start()
    await asyncio.sleep(50)
    assert server.asked == [0]
    assert server.glances == [15, 30, 45]
    assert watched.trouble is None
    await watched.close()


@virtual_time
async def test_one_that_is_down_at_the_start_is_asked_until_it_is_well() -> None:
    server = Server(DOWN)
    watched = health(server)
    await watched.start()
    assert str(watched.trouble) == "it is down"
    await asyncio.sleep(10)
    server.error = None
    await watched.well.wait()
    assert [round(at) for at in server.asked] == [0, 1, 3, 7, 11]
    assert watched.trouble is None
    await watched.close()


@virtual_time
async def test_one_that_goes_while_nobody_asks_is_known_to_be_gone() -> None:
    server = Server()
    watched = health(server)
    await watched.start()
    server.error = DOWN
    await asyncio.sleep(16.5)
    assert str(watched.trouble) == "it is down"
    server.error = None
    await watched.well.wait()
    await asyncio.sleep(40)
    assert [round(at) for at in server.asked] == [0, 17]
    assert [round(at) for at in server.glances] == [15, 16, 32, 47]
    await watched.close()


@virtual_time
async def test_glances_that_fail_now_and_then_are_not_failures_in_a_row() -> None:
    server = Server()
    watched = health(server)
    await watched.start()
    for _ in range(5):
        server.error = DOWN
        await asyncio.sleep(15.5)
        server.error = None
        await asyncio.sleep(15)
    assert watched.trouble is None
    await watched.close()


@virtual_time
async def test_a_doubt_is_looked_into_soon_and_once() -> None:
    server = Server()
    watched = health(server)
    await watched.start()
    for _ in range(8):
        watched.doubt()
        await asyncio.sleep(0.3)
    await asyncio.sleep(20)
    assert [round(at, 1) for at in server.glances] == [1.0, 2.2, 17.2]
    await watched.close()


@virtual_time
async def test_a_failure_of_a_request_is_looked_into_before_another_one_fails() -> None:
    server = Server()
    watched = health(server)
    await watched.start()
    server.error = DOWN
    watched.failed(DOWN)
    await asyncio.sleep(1.5)
    assert str(watched.trouble) == "it is down"
    await watched.close()


@virtual_time
async def test_failures_in_a_row_are_trouble_and_say_when_it_may_be_over() -> None:
    server = Server()
    watched = health(server)
    await watched.start()
    server.error = DOWN
    watched.failed(DOWN)
    assert watched.trouble is None
    watched.failed(DOWN)
    trouble: ProviderError | None = watched.trouble
    assert trouble is not None
    assert (trouble.code, trouble.retryable, trouble.retry_after) == ("engine_unavailable", True, 1.0)
    await asyncio.sleep(3.5)
    assert watched.trouble is not None
    assert round(watched.trouble.retry_after or 0, 3) == 3.5
    server.error = None
    await watched.well.wait()
    await watched.close()


@virtual_time
async def test_the_trouble_is_what_the_last_probe_has_found() -> None:
    server = Server(DOWN)
    watched = health(server)
    await watched.start()
    server.error = EngineUnavailable("it is loading")
    await asyncio.sleep(1.5)
    assert str(watched.trouble) == "it is loading"
    await watched.close()


@virtual_time
async def test_a_probe_that_breaks_is_a_failed_probe_and_not_the_end_of_probing() -> None:
    server = Server(ValueError("a defect"))
    watched = health(server)
    await watched.start()
    await asyncio.sleep(5)
    assert str(watched.trouble) == "engine 'orpheus' could not be probed"
    server.error = None
    await watched.well.wait()
    await watched.close()


@virtual_time
async def test_it_can_be_closed_at_any_time_and_twice_and_asks_no_more() -> None:
    server = Server(DOWN)
    watched = health(server)
    await watched.start()
    await asyncio.sleep(1.5)
    asked = len(server.asked)
    await watched.close()
    await watched.close()
    await asyncio.sleep(100)
    assert len(server.asked) == asked


@virtual_time
async def test_one_that_is_closed_while_it_starts_leaves_no_task() -> None:
    watched = health(Server(DOWN))
    await watched.close()
    await watched.start()


@virtual_time
async def test_a_start_that_was_cancelled_can_be_done_again() -> None:
    watched = health(Server(DOWN))
    starting = asyncio.create_task(watched.start())
    await asyncio.sleep(0)
    starting.cancel()
    await settle()
    await watched.start()
    assert watched.trouble is not None
    await watched.close()
