"""Events that a client may take for pieces, and pieces for events."""

from __future__ import annotations

import asyncio
import itertools
import json

from gateway.clock import Clock
from gateway.dialects.sse import SPACING, WHOLE, spaced, sse_event
from gateway.events import Audio, Ended, Event, Queued
from gateway.pipeline.pacing import TICK, Wheel
from gateway.session.session import Emit
from tests.support.virtual_time import virtual_time


def test_an_event_is_one_line_of_ascii() -> None:
    event = sse_event({"said": "naïve\n“😀”"})
    assert event.isascii()
    assert event.startswith(b"data: {")
    assert event.endswith(b"}\n\n")
    assert event.count(b"\n") == 2
    assert json.loads(event[6:]) == {"said": "naïve\n“😀”"}


def test_an_event_is_filled_up_with_empty_lines() -> None:
    event = sse_event({"a": 1}, WHOLE)
    assert len(event) == WHOLE
    assert event.split(b"\n")[0] == b'data: {"a":1}'
    assert not event.split(b"\n", 1)[1].strip()


def test_an_event_that_is_longer_is_left_as_it_is() -> None:
    assert sse_event({"a": "x" * 50}, 16) == sse_event({"a": "x" * 50})


@virtual_time
async def test_frames_leave_one_turn_of_the_wheel_apart_and_the_end_behind_the_last() -> None:
    loop = asyncio.get_running_loop()
    clock = Clock(now=loop.time)
    wheel = Wheel(clock)
    came: list[tuple[str, float]] = []
    began = loop.time()

    async def produce(emit: Emit) -> None:
        await emit(Queued(1, None))
        for number in range(3):
            await emit(Audio(b"", number, 0, 0))
        await emit(Ended(0.0, None, 3))

    async def take(event: Event) -> None:
        came.append((type(event).__name__, round(loop.time() - began, 4)))

    await spaced(produce, wheel, clock)(take)
    assert came == [("Queued", 0.0), ("Audio", 0.0), ("Audio", 0.005), ("Audio", 0.01), ("Ended", 0.015)]
    assert wheel.waiting == 0


@virtual_time
async def test_a_frame_that_comes_late_enough_does_not_wait() -> None:
    loop = asyncio.get_running_loop()
    clock = Clock(now=loop.time)
    times: list[float] = []

    async def produce(emit: Emit) -> None:
        for number in range(3):
            await emit(Audio(b"", number, 0, 0))
            await asyncio.sleep(0.0123)

    async def take(_: Event) -> None:
        times.append(loop.time())

    await spaced(produce, Wheel(clock), clock)(take)
    assert [round(later - earlier, 4) for earlier, later in itertools.pairwise(times)] == [0.0123, 0.0123]
    assert SPACING < TICK
