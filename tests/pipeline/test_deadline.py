import asyncio

import pytest

from gateway.pipeline.deadline import Deadline
from tests.support.virtual_time import virtual_time


@virtual_time
async def test_a_wait_longer_than_the_limit_is_cut_at_the_limit_however_many_came_before() -> None:
    loop = asyncio.get_running_loop()
    began = 0.0

    async def waiting() -> None:
        nonlocal began
        async with Deadline(1.0) as wait:
            for seconds in (0.7, 0.7, 0.7, 60.0):
                began = loop.time()
                wait.begin()
                await asyncio.sleep(seconds)
                wait.end()

    with pytest.raises(TimeoutError):
        await waiting()
    assert loop.time() - began == pytest.approx(1.0, abs=0.01)


@virtual_time
async def test_time_between_two_waits_does_not_count() -> None:
    async with Deadline(1.0) as wait:
        wait.begin()
        wait.end()
        await asyncio.sleep(60.0)


@virtual_time
async def test_a_cancel_from_elsewhere_is_no_timeout() -> None:
    async def waiting() -> None:
        async with Deadline(1.0) as wait:
            wait.begin()
            await asyncio.sleep(60.0)

    task = asyncio.create_task(waiting())
    await asyncio.sleep(0.5)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
