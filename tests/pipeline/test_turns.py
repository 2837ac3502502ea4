"""An engine that is slow because many use it, and one that has stalled: only the one is timed out."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing
from typing import ClassVar

import pytest

from gateway.errors import Overloaded, TimedOut, VoxwireError
from gateway.pipeline.synthesis import Limits
from providers.base import Capabilities, PcmChunk, Segment
from tests.support.engines import Scripted, sound
from tests.support.simulated import Simulated
from tests.support.speech import chunks_heard
from tests.support.virtual_time import outcome, virtual_time

CHUNKS = 4
TEXT = "A sentence."


class Busy(Scripted):
    """On a lane of one place; ``takes`` says how long it takes for a chunk."""

    capabilities: ClassVar[Capabilities] = Capabilities(streams=True, segments_at_once=1)

    def __init__(self, takes: Callable[[], float], *, exclusive: bool) -> None:
        super().__init__()
        self.lane = Simulated(1, takes)
        self._exclusive = exclusive

    async def synthesize(self, segment: Segment) -> AsyncGenerator[PcmChunk, None]:
        make = lambda: iter([sound(100)] * CHUNKS)  # noqa: E731
        async with aclosing(self.lane.iterate(make, exclusive=self._exclusive, batch=segment.batch)) as pieces:
            async for pcm in pieces:
                yield PcmChunk(pcm)


@pytest.mark.parametrize("exclusive", [False, True])
def test_who_waits_for_his_turn_is_not_timed_out(exclusive: bool) -> None:
    @virtual_time
    async def check() -> None:
        engine = Busy(lambda: 0.9, exclusive=exclusive)
        limits = Limits(engine_timeout=1.0)
        heard = await asyncio.gather(*(chunks_heard(engine, TEXT, limits) for _ in range(6)))
        assert heard == [CHUNKS] * 6
        await engine.lane.close()

    check()


@virtual_time
async def test_who_waits_for_his_first_turn_too_long_is_told_to_come_later() -> None:
    engine = Busy(lambda: 0.9, exclusive=True)
    heard = await asyncio.gather(*(outcome(chunks_heard(engine, TEXT, Limits(engine_timeout=1.0))) for _ in range(12)))
    served = 7  # each has the place for 4.5 seconds, and the last of them gets it before 30
    assert heard[:served] == [CHUNKS] * served
    assert all(isinstance(end, Overloaded) for end in heard[served:])
    await engine.lane.close()


@virtual_time
async def test_a_batch_waits_longer() -> None:
    engine = Busy(lambda: 0.9, exclusive=True)
    assert await asyncio.gather(
        *(chunks_heard(engine, TEXT, Limits(engine_timeout=1.0), batch=True) for _ in range(12))
    )
    await engine.lane.close()


@virtual_time
async def test_a_stalled_engine_times_out_who_has_it_and_who_waits_for_it() -> None:
    loop = asyncio.get_running_loop()
    began = loop.time()
    times = iter([0.5, 0.5, 100.0])
    engine = Busy(lambda: next(times, 0.1), exclusive=False)
    ends: list[tuple[VoxwireError, float]] = []

    async def listen() -> None:
        ends.append((await outcome(chunks_heard(engine, TEXT, Limits(engine_timeout=7.0))), loop.time() - began))

    await asyncio.gather(*(listen() for _ in range(3)))
    assert [type(error) for error, _ in ends] == [TimedOut] * 3
    assert [when for _, when in ends] == pytest.approx([8.0] * 3, abs=0.1)
    await engine.lane.close()
