"""Many texts in one request, whoever asks for them."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from gateway.dialects.batch import AT_ONCE, Made, run
from gateway.errors import BadRequest, ListenerGone, VoxwireError


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
        await run(range(100), make, say, ordered=ordered)


async def test_many_that_cannot_be_made_leave_the_loop_to_others() -> None:
    seen: set[int] = set()

    async def make(_: int) -> Made:
        seen.add(turns[0])
        raise BadRequest("there is no such voice")

    async def say(_: int, __: Made | VoxwireError) -> None:
        pass

    with turning() as turns:
        await run(range(1000), make, say, ordered=True)
    assert len(seen) >= 1000 // AT_ONCE
