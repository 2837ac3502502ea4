"""A recording as an answer, apart from any API."""

from __future__ import annotations

import asyncio
from itertools import pairwise

import pytest

from audio import formats
from gateway.clock import Clock
from gateway.dialects.replay import replay
from gateway.events import Audio, Ended, Event, SpeechRequest
from gateway.pipeline.transcoding import TranscodingPool
from gateway.session.recording import Recordings
from tests.support.engines import RATE, sound


@pytest.mark.parametrize("rate", [24000, 48000])
async def test_a_client_that_takes_all_at_once_leaves_others_a_turn_after_each_frame(rate: int) -> None:
    kept, pool = Recordings(1 << 24, 60.0, Clock()), TranscodingPool(1)
    recording = kept.open("a", RATE, SpeechRequest(record=True))
    recording.add(sound(5000))
    recording.close(complete=True)
    events: list[Event] = []
    turns: list[int] = []

    async def emit(event: Event) -> None:
        events.append(event)

    async def others() -> None:
        while not events or not isinstance(events[-1], Ended):
            turns.append(len(events))
            await asyncio.sleep(0)

    await asyncio.gather(others(), replay(recording, formats.find("pcm16"), rate, pool)(emit))
    assert sum(event.samples for event in events if isinstance(event, Audio)) == 5 * rate
    assert max(after - before for before, after in pairwise(turns)) == 1
    await kept.close()
