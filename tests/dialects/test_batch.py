"""Many texts in one request, whoever asks for them."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from gateway.dialects.batch import AT_ONCE, Made, run
from gateway.errors import BadRequest, ListenerGone, VoxwireError
from gateway.session.unsent import HELD, HELD_BYTES, Unsent
from tests.support.asking import until


@contextmanager
def turning() -> Iterator[list[int]]:
    """How often somebody else has had the loop, so far."""
    turns = [0]

    async def turn() -> None:
        while True:
            await asyncio.sleep(0)
            turns[0] += 1

    other = asyncio.create_task(turn())
    try:
        yield turns
    finally:
        other.cancel()


@pytest.mark.parametrize("ordered", [True, False])
async def test_what_goes_wrong_while_an_outcome_is_said_is_raised_as_it_is(ordered: bool) -> None:
    async def make(_: int) -> Made:
        return Made(b"", 0.0)

    async def say(index: int, _: Made | VoxwireError) -> None:
        if index == 3:
            raise ListenerGone

    with pytest.raises(ListenerGone):
        await run(range(100), make, say, Unsent(1), ordered=ordered)


async def test_many_that_cannot_be_made_leave_the_loop_to_others() -> None:
    seen: set[int] = set()

    async def make(_: int) -> Made:
        seen.add(turns[0])
        raise BadRequest("there is no such voice")

    async def say(_: int, __: Made | VoxwireError) -> None:
        pass

    with turning() as turns:
        await run(range(1000), make, say, Unsent(1), ordered=True)
    assert len(seen) >= 1000 // AT_ONCE


@pytest.mark.parametrize("ordered", [True, False])
async def test_a_gateway_full_of_what_others_do_not_take_makes_one_at_a_time(ordered: bool) -> None:
    unsent = Unsent(10)
    making, most, said = 0, 0, list[int]()

    async def make(_: int) -> Made:
        nonlocal making, most
        making += 1
        most = max(most, making)
        await asyncio.sleep(0)
        making -= 1
        return Made(b"12345", 0.0)

    async def say(index: int, _: Made | VoxwireError) -> None:
        said.append(index)

    with unsent.share() as other:
        other.made(10)
        await run(range(50), make, say, unsent, ordered=ordered)
        assert (most, sorted(said)) == (1, list(range(50)))
    most = 0
    await run(range(50), make, say, unsent, ordered=ordered)
    assert most == AT_ONCE
    assert unsent.bytes == 0


async def test_room_that_another_request_gives_back_is_used_at_once() -> None:
    unsent = Unsent(10)
    making, go = 0, asyncio.Event()

    async def make(_: int) -> Made:
        nonlocal making
        making += 1
        await go.wait()
        return Made(b"", 0.0)

    async def say(_: int, __: Made | VoxwireError) -> None:
        pass

    with unsent.share() as other:
        other.made(10)
        batch = asyncio.create_task(run(range(50), make, say, unsent, ordered=True))
        await until(lambda: making)
        for _ in range(10):
            await asyncio.sleep(0)
        assert making == 1
    for _ in range(10):
        await asyncio.sleep(0)
    assert making == AT_ONCE
    go.set()
    await batch


async def test_a_request_that_is_broken_off_gives_back_what_it_held() -> None:
    unsent = Unsent(2 * HELD_BYTES)
    stuck = asyncio.Event()

    async def make(_: int) -> Made:
        return Made(b"12345", 0.0)

    async def say(_: int, __: Made | VoxwireError) -> None:
        await stuck.wait()

    batch = asyncio.create_task(run(range(50), make, say, unsent, ordered=True))
    await until(lambda: unsent.bytes == 5 * AT_ONCE)
    batch.cancel()
    await asyncio.wait([batch])
    assert unsent.bytes == 0


async def test_no_more_outcomes_of_a_request_are_held_than_there_may_be_however_small_they_are() -> None:
    begun, go = 0, asyncio.Event()

    async def make(job: int) -> Made:
        nonlocal begun
        begun += 1
        if not job:
            await go.wait()
        return Made(b"", 0.0)

    async def say(_: int, __: Made | VoxwireError) -> None:
        pass

    batch = asyncio.create_task(run(range(3 * HELD), make, say, Unsent(1), ordered=True))
    await until(lambda: begun >= HELD)
    for _ in range(100):
        await asyncio.sleep(0)
    assert begun == HELD
    go.set()
    await batch
    assert begun == 3 * HELD
