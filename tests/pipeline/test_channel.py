import asyncio

import pytest

from gateway.pipeline.channel import Channel
from tests.support.virtual_time import settle, virtual_time


@virtual_time
async def test_items_come_out_in_order_and_then_the_end() -> None:
    channel: Channel[str] = Channel(10.0)
    await channel.put("a", 1.0)
    await channel.put("b", 1.0)
    channel.close()
    assert [await channel.get(), await channel.get(), await channel.get()] == ["a", "b", None]


@virtual_time
async def test_the_producer_waits_while_the_limit_of_seconds_is_reached() -> None:
    channel: Channel[int] = Channel(2.0)
    put: list[int] = []

    async def produce() -> None:
        for number in range(5):
            await channel.put(number, 1.0)
            put.append(number)

    async with asyncio.TaskGroup() as group:
        group.create_task(produce())
        await settle()
        assert put == [0, 1]
        assert channel.depth == 2.0
        assert await channel.get() == 0
        await settle()
        assert put == [0, 1, 2]
        for _ in range(4):
            await channel.get()
    assert channel.depth == 0.0


@virtual_time
async def test_an_error_is_raised_after_what_came_before_it() -> None:
    channel: Channel[str] = Channel(10.0)
    await channel.put("a", 1.0)
    channel.close(ValueError("broken"))
    assert await channel.get() == "a"
    with pytest.raises(ValueError, match="broken"):
        await channel.get()


@virtual_time
async def test_a_cancelled_get_loses_nothing() -> None:
    channel: Channel[str] = Channel(10.0)
    getter = asyncio.create_task(channel.get())
    await settle()
    getter.cancel()
    await asyncio.wait([getter])
    await channel.put("a", 1.0)
    assert await channel.get() == "a"


@virtual_time
async def test_an_item_put_in_the_moment_of_a_cancel_is_not_lost() -> None:
    channel: Channel[str] = Channel(10.0)
    getter = asyncio.create_task(channel.get())
    await settle()
    await channel.put("a", 1.0)
    getter.cancel()
    await asyncio.wait([getter])
    assert await channel.get() == "a"


@virtual_time
async def test_a_cancelled_put_adds_nothing() -> None:
    channel: Channel[str] = Channel(1.0)
    await channel.put("a", 1.0)
    putter = asyncio.create_task(channel.put("b", 1.0))
    await settle()
    putter.cancel()
    await asyncio.wait([putter])
    channel.close()
    assert [await channel.get(), await channel.get()] == ["a", None]


@virtual_time
async def test_close_wakes_a_waiting_consumer() -> None:
    channel: Channel[str] = Channel(1.0)
    getter = asyncio.create_task(channel.get())
    await settle()
    channel.close()
    assert await getter is None


@virtual_time
async def test_a_full_channel_takes_more_only_once_half_of_it_is_taken() -> None:
    channel: Channel[int] = Channel(4.0)
    for number in range(4):
        await channel.put(number, 1.0)
    putter = asyncio.create_task(channel.put(4, 1.0))
    await settle()
    assert await channel.get() == 0
    await settle()
    assert not putter.done()
    assert await channel.get() == 1
    await settle()
    assert putter.done()
