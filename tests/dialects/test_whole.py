"""Speech that is spoken to its end before it is sent."""

from __future__ import annotations

import asyncio
import base64
import itertools
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.dialects.refusal import error_response
from gateway.dialects.responder import Produce
from gateway.dialects.whole import Spoken, WholeJson, WholeWav, whole
from gateway.errors import Overloaded
from gateway.events import Audio, Ended, Event, Pace, SpeechRequest
from gateway.runtime import Gateway
from tests.support.engines import Say, Scripted, sound
from tests.support.rig import gateway
from tests.support.virtual_time import outcome, settle, virtual_time

TEXT = "Hello."


def spoken_by(made: Gateway, told: list[Spoken]) -> Produce:
    plan = made.sessions.plan(SpeechRequest(format="pcm16", sample_rate=24_000, pace=Pace.BURST, frame_ms=50))
    return whole(made, plan, TEXT, "test", told.append)


class Taken:
    """What was said, after ``gate`` is open."""

    def __init__(self) -> None:
        self.events: list[Event] = []
        self.gate = asyncio.Event()
        self.gate.set()

    async def take(self, event: Event) -> None:
        await self.gate.wait()
        self.events.append(event)

    @property
    def pieces(self) -> list[bytes]:
        return [bytes(event.data) for event in self.events if isinstance(event, Audio)]


@asynccontextmanager
async def rig(engine: Scripted, **options: int) -> AsyncIterator[Gateway]:
    """A gateway that keeps nothing when it is over."""
    async with gateway(engine, **options) as made:
        yield made
        await made.recordings.shelf.settled()
        shelf = made.recordings.shelf
        assert (made.recordings.size, len(made.recordings), shelf.in_memory, shelf.on_disk) == (0, 0, 0, 0)


@virtual_time
async def test_it_is_told_how_it_went_before_the_first_sound_is_said() -> None:
    engine = Scripted()
    engine.on(TEXT, *[Say(sound(700, level)) for level in (1, 2, 3)])
    async with rig(engine) as made:
        told: list[Spoken] = []
        taken = Taken()
        taken.gate.clear()
        task = asyncio.create_task(spoken_by(made, told)(taken.take))
        await settle()
        assert made.sessions.live == ()
        assert (told[0].samples, told[0].duration) == (50_400, 2.1)
        taken.gate.set()
        await task
        assert b"".join(taken.pieces) == sound(700, 1) + sound(700, 2) + sound(700, 3)
        assert max(map(len, taken.pieces)) <= 65_536
        assert isinstance(taken.events[-1], Ended)
        positions = [(e.sequence, e.position, e.samples) for e in taken.events if isinstance(e, Audio)]
        assert positions[0][:2] == (0, 0)
        assert all(b[0] == a[0] + 1 and b[1] == a[1] + a[2] for a, b in itertools.pairwise(positions))


@virtual_time
async def test_a_place_is_held_only_while_it_is_spoken() -> None:
    engine = Scripted()
    async with rig(engine, max_sessions=1, max_waiting=0) as made:
        slow = Taken()
        slow.gate.clear()
        waiting = asyncio.create_task(spoken_by(made, [])(slow.take))
        await settle()
        other = Taken()
        await spoken_by(made, [])(other.take)
        assert b"".join(other.pieces) == sound(200)
        slow.gate.set()
        await waiting
        assert slow.pieces == other.pieces


@virtual_time
async def test_it_waits_for_the_disk_where_memory_is_full() -> None:
    engine = Scripted()
    levels = range(1, 121)
    engine.on(TEXT, *[Say(sound(1000, level)) for level in levels])
    async with rig(engine, recording_memory_bytes=1_048_576) as made:
        taken = Taken()
        await spoken_by(made, [])(taken.take)
        assert b"".join(taken.pieces) == b"".join(sound(1000, level) for level in levels)


@virtual_time
async def test_more_than_there_is_room_for_is_refused_and_the_engine_stopped() -> None:
    engine = Scripted()
    engine.on(TEXT, *[Say(sound(1000))] * 60)
    async with rig(engine, recording_bytes=800_000) as made:
        taken = Taken()
        with pytest.raises(Overloaded):
            await spoken_by(made, [])(taken.take)
        assert taken.events == []
        await engine.idle()
        assert (engine.finished, engine.active) == (0, 0)


@virtual_time
async def test_a_listener_who_goes_while_it_is_sent_leaves_nothing() -> None:
    engine = Scripted()
    async with rig(engine) as made:
        taken = Taken()
        taken.gate.clear()
        task = asyncio.create_task(spoken_by(made, [])(taken.take))
        await settle()
        assert made.recordings.size == len(sound(200))
        task.cancel()
        await asyncio.wait([task])
        assert made.recordings.size == 0


@virtual_time
async def test_one_who_reads_slowly_keeps_nobody_elses_out() -> None:
    engine = Scripted()
    engine.on(TEXT, Say(sound(1000)))
    async with rig(engine, recording_bytes=4 * 48_000) as made:
        slow, others = Taken(), [Taken() for _ in range(4)]
        slow.gate.clear()
        waiting = asyncio.create_task(outcome(spoken_by(made, [])(slow.take)))
        await settle()
        for other in others:
            other.gate.clear()
        tasks = [asyncio.create_task(outcome(spoken_by(made, [])(other.take))) for other in others]
        await settle()
        for taken in (slow, *others):
            taken.gate.set()
        assert isinstance(await waiting, Overloaded)
        assert not any(isinstance(event, Ended) for event in slow.events)
        await asyncio.wait(tasks)
        assert b"".join(others[-1].pieces) == sound(1000)


@settings(deadline=None)
@given(st.lists(st.binary(max_size=200).map(lambda data: data * 2), min_size=1, max_size=8))
def test_a_json_answer_is_the_wav_in_base64_however_it_is_cut(pieces: list[bytes]) -> None:
    pcm = b"".join(pieces)
    spoken = Spoken(len(pcm) // 2, 16_000, 0.1, 0.2)
    packed = WholeJson("test", "audio", lambda told: {"seconds": told.duration}, error_response)
    filed = WholeWav("test", lambda _: {"x-some": "thing"}, error_response)
    bodies = []
    for form in (packed, filed):
        form.tell(spoken)
        frames = [Audio(piece, number, 0, 0) for number, piece in enumerate(pieces)]
        bodies.append(b"".join([*map(form.audio, frames), form.ended(Ended(0.0, None, 0))]))
        assert form.headers["content-length"] == str(len(bodies[-1]))
    content = json.loads(bodies[0])
    assert content == {"audio": base64.b64encode(bodies[1]).decode(), "seconds": spoken.duration}
    assert bodies[1] == spoken.wav_header + pcm
    assert filed.headers["x-some"] == "thing"
