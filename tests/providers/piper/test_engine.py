"""The engine with real voices."""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import threading
from collections.abc import AsyncIterator, Iterator
from contextlib import aclosing
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import pytest_asyncio

from providers.base import EngineUnavailable, PcmChunk, Segment, UnknownVoice, Word
from providers.piper import catalogue
from providers.piper.settings import PiperSettings
from tests.support.recogniser import at_16_khz, transcribe, word_error_rate
from tests.support.sentences import SENTENCES

if TYPE_CHECKING:
    # Piper may be missing where the tests are only collected.
    from providers.piper.engine import Piper

pytestmark = [pytest.mark.engines, pytest.mark.asyncio(loop_scope="module")]

TRAIN = "The morning train leaves the station at seven and arrives before noon."


def made(shelf: Path, **settings: Any) -> Piper:
    from providers.piper.engine import Piper

    return Piper(PiperSettings(_env_file=None, cache=shelf, **settings))


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def engine(joe: Path, piper_shelf: Path) -> AsyncIterator[Piper]:
    piper = made(piper_shelf)
    await piper.start()
    yield piper
    await piper.close()


@pytest.fixture
def runs(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[int]]:
    """The frames of every run of a flow or a generator."""
    from providers.piper.model import _Graph

    frames: list[int] = []
    run_frames = _Graph.run_frames

    def counted(graph: _Graph, given: Any, embedding: Any, steps: Any) -> Any:
        frames.append(given.shape[2])
        return run_frames(graph, given, embedding, steps)

    monkeypatch.setattr(_Graph, "run_frames", counted)
    return frames  # type: ignore[return-value]


async def chunks(engine: Piper, text: str, voice: str | None = None, speed: float = 1.0) -> list[PcmChunk]:
    found = next(known for known in await engine.voices() if voice in (None, known.id))
    return [chunk async for chunk in engine.synthesize(Segment(text, found, speed))]


async def pcm(engine: Piper, text: str, voice: str | None = None) -> bytes:
    return b"".join(chunk.pcm for chunk in await chunks(engine, text, voice))


async def samples(engine: Piper, text: str, voice: str | None = None) -> np.ndarray[Any, np.dtype[np.int32]]:
    return np.frombuffer(await pcm(engine, text, voice), "<i2").astype(np.int32)


# ---- sound


async def test_sixteen_requests_at_once_give_the_samples_of_sequential_ones(engine: Piper) -> None:
    texts = [f"{sentence} Number {number}." for number, sentence in enumerate((*SENTENCES, TRAIN) * 2)][:16]
    alone = [await pcm(engine, text) for text in texts]
    together = await asyncio.gather(*(pcm(engine, text) for text in texts))
    assert together == alone


async def test_the_first_sound_is_there_before_the_rest_is_made(engine: Piper, runs: list[int]) -> None:
    voice = (await engine.voices())[0]
    async with aclosing(engine.synthesize(Segment(TRAIN, voice))) as sound:
        first = await anext(sound)
        await engine.lane.idle()
        # 10 frames, and 32 + 11 behind them for the flow, 11 for the generator.
        assert runs == [53, 21]
    assert 0.1 < len(first.pcm) / 2 / voice.sample_rate < 0.12


async def test_a_cancel_stops_it_after_the_window_that_is_being_made(engine: Piper, runs: list[int]) -> None:
    voice = (await engine.voices())[0]
    sound = engine.synthesize(Segment(f"{TRAIN} {TRAIN}", voice))
    await anext(sound)
    pull = asyncio.create_task(_last(sound))
    while len(runs) < 3:  # noqa: ASYNC110 - what the thread does is no event of the loop
        await asyncio.sleep(0)
    pull.cancel()
    await asyncio.wait((pull,))
    await engine.lane.idle()
    assert len(runs) <= 6
    assert sum(runs) < 600


async def _last(sound: Any) -> None:
    async for _ in sound:
        pass


async def test_no_run_is_longer_than_a_window_and_what_it_depends_on(engine: Piper, runs: list[int]) -> None:
    await chunks(engine, ("the kettle sings and " * 40)[:400], speed=0.5)
    assert len(runs) > 20
    assert max(runs) <= 2 * 96 + 16 + 2 * 32


async def test_chunks_last_a_fifth_of_a_second_at_most(engine: Piper) -> None:
    assert max(len(chunk.pcm) for chunk in await chunks(engine, TRAIN)) <= 22050 // 5 * 2


async def test_every_sentence_has_the_voices_own_level(engine: Piper) -> None:
    peaks = [abs(await samples(engine, text)).max() for text in SENTENCES[:4]]
    assert len(set(peaks)) == 4
    assert max(peaks) < 32767


async def test_the_volume_is_a_factor(engine: Piper, piper_shelf: Path) -> None:
    soft = made(piper_shelf, volume=0.5)
    assert abs(await samples(soft, "Hello.") * 2 - await samples(engine, "Hello.")).max() <= 2
    await soft.close()


async def test_silence_around_a_sentence_is_bounded(engine: Piper) -> None:
    for text, longest in ((TRAIN, 0.4), ("When the phone rang,", 0.16)):
        sound = await samples(engine, text)
        loud = np.flatnonzero(abs(sound) > 328)
        assert loud[0] / 22050 <= 0.081
        assert (sound.size - loud[-1]) / 22050 <= longest + 0.001


async def test_punctuation_and_emoji_are_not_spoken(engine: Piper) -> None:
    assert await chunks(engine, "... ?! 😀 —") == []
    assert await pcm(engine, "Thank you! 😀") == await pcm(engine, "Thank you!")


async def test_a_title_ends_no_sentence(engine: Piper) -> None:
    sound = await samples(engine, "Dr. Smith is here.")
    quiet = abs(sound[: sound.size // 2]) < 328
    gaps = np.diff(np.flatnonzero(~quiet))
    assert gaps.max() / 22050 < 0.15


async def test_a_recogniser_understands_it(engine: Piper) -> None:
    rates = []
    for sentence in SENTENCES[:6]:
        heard = transcribe(at_16_khz((await samples(engine, sentence)).astype(np.int16), 22050))
        rates.append(word_error_rate(sentence, heard))
    # Piper's own whole sentences: 0.04 over all ten of them.
    assert np.mean(rates) <= 0.08


# ---- words


@pytest.mark.parametrize(
    "text",
    [
        TRAIN,
        "It costs 25 dollars, or $3.50 a piece, at the end of the year 2024.",
        "No. I won't! Dr. Smith — really — said so in the garden.",
        "one " * 60 + "end.",
    ],
)
async def test_every_word_is_timed_in_order_and_told_with_the_sound_it_begins_in(engine: Piper, text: str) -> None:
    told: list[Word] = []
    samples_before = 0
    for chunk in await chunks(engine, text):
        assert all(word.start >= samples_before for word in chunk.words)
        samples_before += len(chunk.pcm) // 2
        told += chunk.words
    assert [word.text for word in told] == text.split()
    assert all(word.start <= word.end for word in told)
    assert all(one.end <= other.start for one, other in pairwise(told))
    assert told[-1].end <= samples_before


async def test_words_are_where_the_recogniser_hears_them(engine: Piper) -> None:
    """Cut in the middle by the words' times, each half has its own words."""
    sound, told = await samples(engine, SENTENCES[0]), []
    for chunk in await chunks(engine, SENTENCES[0]):
        told += chunk.words
    cut = told[5].start
    halves = (sound[:cut], sound[cut:])
    heard = [transcribe(at_16_khz(half.astype(np.int16), 22050)) for half in halves]
    assert word_error_rate("After the rain stopped the", heard[0]) <= 0.2
    assert word_error_rate("children ran outside to play", heard[1]) <= 0.2


async def test_a_word_is_as_long_as_it_sounds(engine: Piper) -> None:
    told = [word for chunk in await chunks(engine, "It took 1234567 of them.") for word in chunk.words]
    number = told[2]
    assert (number.end - number.start) / 22050 > 1.5
    assert all((word.end - word.start) / 22050 < 0.6 for word in told if word is not number)


# ---- voices


async def test_a_voice_is_named_by_its_path_and_its_speakers_differ(
    engine: Piper, crowd_voice: Path, piper_shelf: Path
) -> None:
    crowd = made(piper_shelf, voices=(crowd_voice,), voice="en_GB-random-high:bob")
    await crowd.start()
    ids = [voice.id for voice in await crowd.voices()]
    assert ids == [*(f"en_GB-random-high:{name}" for name in ("bob", "ann", "eve")), "en_US-joe-medium"]
    spoken = [await pcm(crowd, "Hello there.", voice) for voice in ids]
    assert len(set(spoken)) == 4
    assert spoken[3] == await pcm(engine, "Hello there.")
    await crowd.close()


async def test_the_voice_spoken_longest_ago_makes_room(crowd_voice: Path, piper_shelf: Path) -> None:
    engine = made(piper_shelf, voices=(crowd_voice,), loaded=1)
    await engine.start()
    first, second = "en_GB-random-high:ann", "en_US-joe-medium"
    before = await pcm(engine, "Hello.", first)
    texts = await asyncio.gather(*(pcm(engine, "Hello.", voice) for voice in (first, second, first, second)))
    assert (texts[0], texts[2]) == (before, before)
    assert len(engine.readers) == 1
    await engine.close()


async def test_a_default_voice_that_is_not_there_is_unavailable(piper_shelf: Path) -> None:
    engine = made(piper_shelf, voice="nobody")
    with pytest.raises(EngineUnavailable, match="nobody"):
        await engine.start()
    await engine.close()


async def test_without_a_voice_it_says_how_to_have_one(piper_shelf: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(catalogue, "_PACKAGE", "no_voice_package")
    engine = made(piper_shelf)
    assert await engine.voices() == ()
    with pytest.raises(EngineUnavailable, match="VOXWIRE_PIPER_VOICES"):
        await engine.start()
    await engine.close()


async def test_an_unknown_voice_is_refused_in_words(engine: Piper) -> None:
    nobody = replace((await engine.voices())[0], id="nobody")
    with pytest.raises(UnknownVoice):
        await anext(engine.synthesize(Segment("Hello.", nobody)))


async def test_a_voice_that_cannot_be_loaded_is_tried_again(joe: Path, tmp_path: Path) -> None:
    model = tmp_path / "en_US-mended-medium.onnx"
    model.write_bytes(b"no model")
    shutil.copy(f"{joe}.json", f"{model}.json")
    engine = made(tmp_path / "shelf", voices=(model,))
    with pytest.raises(EngineUnavailable, match="cannot load its voice 'en_US-mended-medium'") as raised:
        await engine.start()
    assert str(tmp_path) not in str(raised.value)
    shutil.copy(joe, model)
    await engine.start()
    assert await pcm(engine, "Hello.")
    await engine.close()


@pytest.mark.parametrize(
    "lie",
    [
        {"phoneme_id_map": {symbol: [9999] for symbol in "_^$ aɪɹɛdiːspk."}},
        {"phoneme_id_map": {}},
        {"inference": {"length_scale": 1e9}},
        {"inference": {"noise_scale": "much"}},
        {"espeak": {"voice": "nowhere"}},
        {"audio": {"sample_rate": 16000}},
        {"phoneme_type": "smoke"},
    ],
)
async def test_a_voice_whose_file_lies_cannot_be_loaded(
    joe: Path, piper_shelf: Path, tmp_path: Path, lie: dict[str, Any]
) -> None:
    engine = made(piper_shelf, voices=(liar(joe, tmp_path),), voice="en_US-joe-medium")
    liar(joe, tmp_path, **lie)
    await engine.start()
    with pytest.raises(EngineUnavailable, match="cannot load its voice 'en_US-liar-medium'"):
        await pcm(engine, "Hello.", "en_US-liar-medium")
    assert await pcm(engine, "Hello.", "en_US-joe-medium")
    await engine.close()


def liar(joe: Path, folder: Path, **lie: Any) -> Path:
    """A voice's file that says other things of it."""
    model = folder / "en_US-liar-medium.onnx"
    if not model.exists():
        model.symlink_to(joe)
    config = json.loads(Path(f"{joe}.json").read_bytes())
    Path(f"{model}.json").write_text(json.dumps(config | lie))
    return model


@pytest.fixture
def loads(monkeypatch: pytest.MonkeyPatch) -> tuple[list[str], threading.Event]:
    """The voices that were loaded, and what each load waits for."""
    from providers.piper.engine import Piper

    found: list[str] = []
    go, load = threading.Event(), Piper._load

    def counted(engine: Piper, speaker: Any) -> Any:
        found.append(speaker.voice.id)
        go.wait(60)
        return load(engine, speaker)

    monkeypatch.setattr(Piper, "_load", counted)
    return found, go


async def test_a_voice_is_loaded_once_also_where_those_who_asked_are_gone(
    loads: tuple[list[str], threading.Event], joe: Path, piper_shelf: Path
) -> None:
    engine, (found, go) = made(piper_shelf), loads
    engine.lane.open()
    asked = [asyncio.create_task(pcm(engine, "Hello.")) for _ in range(3)]
    while not found:  # noqa: ASYNC110 - what the thread does is no event of the loop
        await asyncio.sleep(0)
    for task in asked:
        task.cancel()
    await asyncio.wait(asked)
    last = asyncio.create_task(pcm(engine, "Hello."))
    await asyncio.sleep(0)
    go.set()
    assert await last
    assert len(found) == 1
    await engine.close()


async def test_an_engine_that_is_closed_while_it_loads_keeps_no_voice(
    loads: tuple[list[str], threading.Event], joe: Path, piper_shelf: Path
) -> None:
    engine, (found, go) = made(piper_shelf), loads
    engine.lane.open()
    asked = asyncio.create_task(pcm(engine, "Hello."))
    while not found:  # noqa: ASYNC110 - what the thread does is no event of the loop
        await asyncio.sleep(0)
    closing = asyncio.create_task(engine.close())
    await asyncio.sleep(0)
    go.set()
    await closing
    with pytest.raises(EngineUnavailable):
        await asked
    assert not engine.readers
    await engine.start()
    assert await pcm(engine, "Hello.")
    await engine.close()


async def test_beyond_its_speeds_it_takes_the_nearest(engine: Piper) -> None:
    for asked, nearest in ((0.0, 0.25), (100.0, 4.0)):
        assert await chunks(engine, "Hello.", speed=asked) == await chunks(engine, "Hello.", speed=nearest)


async def test_piper_s_way_into_phonemes_is_made_once_a_voice(engine: Piper, monkeypatch: pytest.MonkeyPatch) -> None:
    """In Chinese, Japanese, Hebrew, Thai and Arabic it loads models."""
    from providers.piper import speech

    made_ways: list[Any] = []
    monkeypatch.setattr(speech, "PiperVoice", lambda **given: made_ways.append(given))
    await chunks(engine, f"{TRAIN} It costs $25.")
    assert made_ways == []
    loaded = next(iter(engine.readers.values()))
    speech.Reader(loaded.config, loaded.model, Path("here"))
    assert [given["download_dir"] for given in made_ways] == [Path("here")]


async def test_parts_that_were_damaged_on_disk_are_made_again(engine: Piper, joe: Path, tmp_path: Path) -> None:
    for _ in range(2):
        other = made(tmp_path)
        assert await pcm(other, "Hello.") == await pcm(engine, "Hello.")
        await other.close()
        _damage(tmp_path)


def _damage(shelf: Path) -> None:
    (part,) = shelf.glob("*/flow.onnx")
    os.truncate(part, 10_000)
