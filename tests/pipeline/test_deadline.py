import asyncio

import pytest

from gateway.pipeline.deadline import Deadline
from providers.waiting import queued
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


@virtual_time
async def test_time_in_a_queue_that_moves_does_not_count() -> None:
    loop = asyncio.get_running_loop()
    async with Deadline(1.0) as wait:
        wait.begin()
        with queued(lambda: loop.time() - 0.7):
            await asyncio.sleep(60.0)
        await asyncio.sleep(0.9)


@virtual_time
async def test_from_when_the_turn_has_come_time_counts() -> None:
    loop = asyncio.get_running_loop()
    turn = loop.time() + 60.0

    async def waiting() -> None:
        async with Deadline(1.0) as wait:
            wait.begin()
            with queued(loop.time):
                await asyncio.sleep(60.0)
            await asyncio.sleep(60.0)

    with pytest.raises(TimeoutError):
        await waiting()
    assert loop.time() - turn == pytest.approx(1.0, abs=0.01)


@virtual_time
async def test_a_queue_that_does_not_move_any_more_is_a_stall() -> None:
    loop = asyncio.get_running_loop()
    stalls = loop.time() + 10.0

    async def waiting() -> None:
        async with Deadline(1.0) as wait:
            wait.begin()
            with queued(lambda: min(loop.time(), stalls)):
                await asyncio.sleep(60.0)

    with pytest.raises(TimeoutError):
        await waiting()
    assert loop.time() - stalls == pytest.approx(1.0, abs=0.01)


@virtual_time
async def test_a_task_that_an_engine_keeps_may_wait_in_queues_when_nobody_listens_any_more() -> None:
    left = asyncio.Event()

    async def later() -> None:
        await left.wait()
        with queued(lambda: 0.0):
            await asyncio.sleep(60.0)

    async with Deadline(1.0):
        keeping = asyncio.create_task(later())
    left.set()
    await keeping
