"""The scripted engine that other tests stand on."""

from __future__ import annotations

import asyncio

import pytest

from providers.base import EngineFailed, Provider, Segment, UnknownVoice, Voice
from tests.support.engines import Deaf, Hang, Mark, Raise, Say, Scripted, Wait, sound


async def speak(engine: Scripted, text: str) -> list[bytes]:
    voice = (await engine.voices())[0]
    return [chunk.pcm async for chunk in engine.synthesize(Segment(text, voice))]


def test_it_is_a_provider() -> None:
    assert isinstance(Scripted(), Provider)


def test_sound_has_the_length_and_level_asked_for() -> None:
    assert sound(10, level=-2, rate=8000) == b"\xfe\xff" * 80


async def test_each_text_has_its_script() -> None:
    engine = Scripted()
    engine.on("a", Say(b"\0\0"), Say(b"\1\1"))
    engine.on("lies", Say(b""), Say(b"\0"))
    engine.otherwise()
    assert await speak(engine, "a") == [b"\0\0", b"\1\1"]
    assert await speak(engine, "lies") == [b"", b"\0"]
    assert await speak(engine, "b") == []
    assert engine.texts == ["a", "lies", "b"]
    assert (engine.chunks, engine.finished, engine.active) == (4, 3, 0)


async def test_it_waits_for_the_test_and_tells_it_where_it_is() -> None:
    engine, here, go = Scripted(), asyncio.Event(), asyncio.Event()
    engine.on("a", Mark(here), Wait(go), Say(b"\0\0"))
    task = asyncio.create_task(speak(engine, "a"))
    await here.wait()
    assert engine.active == 1
    go.set()
    assert await task == [b"\0\0"]


async def test_it_raises_what_it_is_told_to() -> None:
    engine = Scripted()
    engine.on("a", Say(b"\0\0"), Raise(EngineFailed("it broke")))
    with pytest.raises(EngineFailed, match="it broke"):
        await speak(engine, "a")
    assert (engine.failed, engine.chunks) == (1, 1)


async def test_it_counts_segments_that_are_stopped() -> None:
    engine, here = Scripted(), asyncio.Event()
    engine.on("a", Mark(here), Hang())
    task = asyncio.create_task(speak(engine, "a"))
    await here.wait()
    task.cancel()
    await engine.idle()
    left = engine.synthesize(Segment("b", (await engine.voices())[0]))
    await anext(left)
    await left.aclose()
    assert (engine.stopped, engine.finished, engine.active) == (2, 0, 0)


async def test_a_deaf_engine_hears_a_cancel_only_when_the_test_lets_it() -> None:
    engine, here, go = Scripted(), asyncio.Event(), asyncio.Event()
    engine.on("a", Mark(here), Deaf(go), Say(b"\0\0"))
    task = asyncio.create_task(speak(engine, "a"))
    await here.wait()
    task.cancel()
    for _ in range(5):
        await asyncio.sleep(0)
    assert not task.done()
    go.set()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert engine.stopped == 1


async def test_an_unknown_voice_is_refused() -> None:
    with pytest.raises(UnknownVoice):
        await anext(Scripted().synthesize(Segment("a", Voice("nobody", "Nobody", "en", 24000))))
