"""What every registered provider promises. A new row of the registry is under test here by itself."""

from __future__ import annotations

import asyncio
import re
import threading
from collections.abc import AsyncIterator
from contextlib import aclosing
from itertools import pairwise

import numpy as np
import pytest
import pytest_asyncio

from providers.base import Provider, ProviderError, Segment, UnknownVoice, Voice
from tests.providers import arrange

pytestmark = pytest.mark.asyncio(loop_scope="module")

HELLO = "Hello there, how are you today?"
TRAIN = "The morning train leaves the station at seven."
ODD = [
    "",
    " \n",
    "...",
    "😀👍",
    "日本語です。",
    "a\x00b\x1b[31m\u202e",
    "x² + ④",
    "\ud800",
    "$3.50",
    "Ok " + "z" * 300,
]


@pytest.fixture(params=arrange.names())
def name(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest_asyncio.fixture(loop_scope="module")
async def provider(name: str, request: pytest.FixtureRequest) -> AsyncIterator[Provider]:
    """One that was not started yet, for a test that starts and closes it."""
    async with arrange.fresh(name, request) as provider:
        yield provider


@pytest_asyncio.fixture(scope="module", loop_scope="module", params=arrange.names())
async def engine(request: pytest.FixtureRequest) -> AsyncIterator[Provider]:
    """A started provider, shared by the tests that do not close it."""
    async with arrange.fresh(request.param, request) as provider:
        await provider.start()
        yield provider
        await provider.close()


async def first_voice(engine: Provider) -> Voice:
    return (await engine.voices())[0]


async def speak(engine: Provider, text: str, speed: float = 1.0) -> bytes:
    segment = Segment(text, await first_voice(engine), speed=speed)
    chunks = [chunk.pcm async for chunk in engine.synthesize(segment)]
    assert all(chunks), "a chunk is empty"
    assert all(len(pcm) % 2 == 0 for pcm in chunks), "a chunk ends within a sample"
    return b"".join(chunks)


def samples(pcm: bytes) -> np.ndarray[tuple[int], np.dtype[np.int32]]:
    return np.frombuffer(pcm, "<i2").astype(np.int32)


async def settled(engine: Provider) -> None:
    """Wait for the threads of an engine that has a lane, and for what another has left to do behind its caller."""
    if hasattr(engine, "settled"):
        await engine.settled()
    lane = getattr(engine, "lane", None)
    if lane is not None:
        await lane.idle()
        assert (lane.busy, lane.waiting) == (0, 0)


async def test_it_is_a_provider_of_its_id(provider: Provider, name: str) -> None:
    assert isinstance(provider, Provider)
    assert provider.id == arrange.id_of(name)
    assert provider.capabilities.max_characters > 0
    await provider.close()


async def test_its_voices_are_known_before_it_starts(provider: Provider) -> None:
    voices = await provider.voices()
    assert voices
    assert len({voice.id for voice in voices}) == len(voices)
    for voice in voices:
        assert re.fullmatch(r"[a-z]{2,3}(-[A-Za-z0-9]+)*", voice.language)
        assert 8000 <= voice.sample_rate <= 48000
    await provider.close()


async def test_it_speaks_for_a_plausible_time(engine: Provider) -> None:
    if not arrange.speaks(engine.id):
        pytest.skip("its model here is random: it makes sound, and no speech")
    rate = (await first_voice(engine)).sample_rate
    for text in (HELLO, TRAIN):
        assert 1.0 < len(await speak(engine, text)) / 2 / rate < 8.0


async def test_a_segment_of_the_longest_text_is_spoken(engine: Provider) -> None:
    words = "the kettle sings and " * engine.capabilities.max_characters
    assert await speak(engine, words[: engine.capabilities.max_characters])


async def test_the_same_segment_gives_the_same_pcm_where_that_is_promised(engine: Provider) -> None:
    if not engine.capabilities.deterministic:
        pytest.skip("not promised")
    assert await speak(engine, HELLO) == await speak(engine, HELLO)


async def test_speed_shortens_and_lengthens_where_that_is_promised(engine: Provider) -> None:
    if not engine.capabilities.speed:
        pytest.skip("not promised")
    slowest, fastest = engine.capabilities.speeds
    speeds = [speed for speed in (0.25, 0.5, 1.0, 2.0, 4.0) if slowest <= speed <= fastest]
    assert speeds[-1] > 1.0 > speeds[0]
    lengths = [len(await speak(engine, HELLO, speed)) for speed in speeds]
    assert len(await speak(engine, HELLO, 0.25)) == lengths[0], "the nearest is taken"
    assert all(slower > faster for slower, faster in pairwise(lengths))


async def test_a_segment_begins_and_ends_at_zero(engine: Provider) -> None:
    if not arrange.speaks(engine.id):
        pytest.skip("its model here is random: it makes sound, and no speech")
    pcm = samples(await speak(engine, TRAIN))
    assert abs(pcm[0]) < 33
    assert abs(pcm[-1]) < 33
    assert abs(pcm).max() > 1000


@pytest.mark.parametrize("text", ODD, ids=ascii)
async def test_odd_text_is_spoken_or_skipped(engine: Provider, text: str) -> None:
    await speak(engine, text)


async def test_an_unknown_voice_is_refused(engine: Provider) -> None:
    nobody = Voice("nobody", "Nobody", "en-US", 24000)
    with pytest.raises(UnknownVoice):
        await anext(engine.synthesize(Segment(HELLO, nobody)))


async def test_a_pull_can_be_cancelled_and_leaves_no_task(engine: Provider) -> None:
    before = asyncio.all_tasks()
    whole = await speak(engine, HELLO)
    for turns in range(6):
        task = asyncio.create_task(speak(engine, HELLO))
        for _ in range(turns):
            await asyncio.sleep(0)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
    await settled(engine)
    assert asyncio.all_tasks() == before
    if engine.capabilities.deterministic:
        assert await speak(engine, HELLO) == whole


async def test_it_can_be_left_between_chunks(engine: Provider) -> None:
    before = asyncio.all_tasks()
    segment = Segment(f"{HELLO} {TRAIN}", await first_voice(engine))
    async with aclosing(engine.synthesize(segment)) as chunks:
        await anext(chunks)
    with pytest.raises(StopAsyncIteration):
        await anext(chunks)
    await settled(engine)
    assert asyncio.all_tasks() == before


async def test_concurrent_segments_do_not_mix(engine: Provider) -> None:
    texts = [HELLO, TRAIN, "No.", f"{TRAIN} {HELLO}"]
    alone = [await speak(engine, text) for text in texts]
    together = await asyncio.gather(*(speak(engine, text) for text in texts * 3))
    if engine.capabilities.deterministic:
        assert together == alone * 3


async def test_closing_twice_leaves_no_thread_and_no_task(provider: Provider) -> None:
    tasks, threads = asyncio.all_tasks(), set(threading.enumerate())
    await provider.start()
    await speak(provider, HELLO)
    await provider.close()
    await provider.close()
    assert set(threading.enumerate()) <= threads
    assert asyncio.all_tasks() == tasks


async def test_it_can_be_closed_while_it_speaks_and_refuses_afterwards(provider: Provider) -> None:
    threads = set(threading.enumerate())
    await provider.start()
    segment = Segment(f"{HELLO} {TRAIN}", await first_voice(provider))
    async with aclosing(provider.synthesize(segment)) as chunks:
        await anext(chunks)
        speaking = asyncio.create_task(speak(provider, TRAIN))
        await provider.close()
        with pytest.raises(ProviderError):
            await anext(provider.synthesize(segment))
        await asyncio.wait((speaking,))
        assert speaking.exception() is None or isinstance(speaking.exception(), ProviderError)
    assert set(threading.enumerate()) <= threads


async def test_it_starts_after_a_start_that_was_cancelled(provider: Provider) -> None:
    starting = asyncio.create_task(provider.start())
    await asyncio.sleep(0)
    starting.cancel()
    await asyncio.wait((starting,))
    await provider.start()
    assert await speak(provider, HELLO)
    await provider.close()


async def test_it_can_be_started_again_after_it_was_closed(provider: Provider) -> None:
    await provider.start()
    before = await speak(provider, HELLO)
    await provider.close()
    await provider.start()
    after = await speak(provider, HELLO)
    await provider.close()
    if provider.capabilities.deterministic:
        assert after == before
