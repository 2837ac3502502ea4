"""The engine on models of random weights: what it says is what Coqui says, and XTTS streams it."""

from __future__ import annotations

import asyncio
import gc
import shutil
import weakref
from collections.abc import AsyncIterator
from contextlib import aclosing, asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from providers import prompts
from providers.base import (
    BadClip,
    BadOption,
    Clip,
    Cloning,
    Designing,
    EngineBusy,
    EngineFailed,
    EngineUnavailable,
    Limited,
    Provider,
    Segment,
    Tunable,
    UnknownVoice,
    Voice,
    makes,
)
from providers.coqui.engine import Coqui
from providers.coqui.settings import CoquiSettings
from providers.sound import Edges, to_pcm
from tests.support.tiny_coqui import CHANNELS, LATENTS

pytestmark = pytest.mark.engines

TEXT = "Hello there, how are you today?"


def engine_of(models: Path, *names: str, **more: Any) -> Coqui:
    return Coqui(CoquiSettings(_env_file=None, models=[str(models / name) for name in names], device="cpu", **more))


@asynccontextmanager
async def started(models: Path, *names: str, **more: Any) -> AsyncIterator[Coqui]:
    engine = engine_of(models, *names, **more)
    await engine.start()
    try:
        yield engine
    finally:
        await engine.close()


async def speak(engine: Coqui, text: str, voice: Voice | None = None, **segment: Any) -> bytes:
    spoken = voice or (await engine.voices())[0]
    return b"".join([chunk.pcm async for chunk in engine.synthesize(Segment(text, spoken, **segment))])


def trimmed(sound: Any, rate: int) -> bytes:
    """As the engine sends it."""
    return to_pcm(Edges(rate, whole=True).push(np.array(sound, np.float32), last=True), 1.0)


def samples(pcm: bytes) -> np.ndarray[tuple[int], np.dtype[np.int32]]:
    return np.frombuffer(pcm, "<i2").astype(np.int32)


def alive(kind: str) -> int:
    return sum(type(found).__name__ == kind for found in gc.get_objects())


def same(ours: bytes, reference: bytes) -> None:
    """Equal but for the last step of a sample."""
    assert samples(ours).size == samples(reference).size
    assert np.abs(samples(ours) - samples(reference)).max() <= 1


def seed(number: int) -> None:
    import torch

    torch.manual_seed(number)


def library(models: Path, name: str) -> Any:
    from TTS.api import TTS

    checkpoint = models / name / "model.pth" if name == "vits" else models / name
    return TTS(model_path=str(checkpoint), config_path=str(models / name / "config.json")).synthesizer


def clip(seconds: float = 3.0) -> Clip:
    return Clip(np.random.default_rng(3).normal(0, 3000, int(seconds * 24000)).astype("<i2").tobytes(), 24000)


# ---- it says what Coqui says


async def test_it_is_all_that_it_can_be(coqui_models: Path) -> None:
    engine = engine_of(coqui_models, "vits")
    for protocol in (Provider, Limited, Tunable, Cloning):
        assert isinstance(engine, protocol)
    assert not isinstance(engine, Designing)


async def test_it_clones_where_there_is_an_xtts_even_before_it_is_fetched(coqui_models: Path) -> None:
    assert not makes(engine_of(coqui_models, "vits"), Cloning)
    assert makes(engine_of(coqui_models, "vits", "xtts"), Cloning)
    named = CoquiSettings(_env_file=None, models=("tts_models/multilingual/multi-dataset/xtts_v2",))
    assert makes(Coqui(named), Cloning)


async def test_the_voices_are_known_before_the_start_and_stay_the_same(coqui_models: Path) -> None:
    expected = ["vits:ada", "vits:ben", "vits:eva", "xtts:Ada Lovelace", "xtts:Ben Bitdiddle"]
    async with started(coqui_models, "vits", "xtts") as engine:
        assert [voice.id for voice in await engine.voices()] == expected
    assert [voice.id for voice in await engine_of(coqui_models, "vits", "xtts").voices()] == expected


@pytest.mark.parametrize("speed", [1.0, 2.0])
async def test_vits_says_what_the_library_says(coqui_models: Path, speed: float) -> None:
    async with started(coqui_models, "vits") as engine:
        voice = (await engine.voices())[1]
        seed(5)
        ours = await speak(engine, TEXT, voice, speed=speed)
    theirs = library(coqui_models, "vits")
    theirs.tts_model.length_scale = 1 / speed
    seed(5)
    sound = theirs.tts(TEXT, speaker_name="ben", split_sentences=False)
    same(ours, trimmed(sound[:-10000], 16000))


@pytest.mark.parametrize("speed", [1.0, 0.7])
async def test_xtts_streams_what_the_library_streams(coqui_models: Path, speed: float) -> None:
    async with started(coqui_models, "xtts", chunk=6) as engine:
        seed(6)
        ours = await speak(engine, TEXT, speed=speed)
    theirs = library(coqui_models, "xtts").tts_model
    latent, embedding = theirs.speaker_manager.speakers["Ada Lovelace"].values()
    names = ("temperature", "top_p", "top_k", "repetition_penalty")
    seed(6)
    pieces = theirs.inference_stream(
        TEXT,
        "en",
        latent,
        embedding,
        stream_chunk_size=6,
        speed=speed,
        **{name: theirs.config[name] for name in names},
    )
    sound = np.concatenate([piece.numpy() for piece in pieces])
    assert len(sound) > 24000
    same(ours, trimmed(sound, 24000))


async def test_each_piece_costs_what_is_new_in_it(coqui_models: Path) -> None:
    """Frames that the generator makes, in all, are a multiple of those that are heard, not of their square."""
    async with started(coqui_models, "xtts", chunk=5) as engine:
        [model] = engine._models[engine._sources[0]]._idle
        generator = model._tail.generator
        made = []
        handle = generator.register_forward_pre_hook(lambda _module, given: made.append(given[0].shape[-1]))
        heard = len(await speak(engine, TEXT)) / 2 / 256
        handle.remove()
    assert len(made) > 4
    assert max(made[1:]) < 5 * 4.4 + 2 * 14 + 8
    assert sum(made) < 3 * heard


async def test_the_sound_begins_before_all_codes_are_said(coqui_models: Path) -> None:
    async with started(coqui_models, "xtts", chunk=5) as engine:
        segment = Segment(TEXT, (await engine.voices())[0])
        async with aclosing(engine.synthesize(segment)) as chunks:
            first = await anext(chunks)
            lane = engine.lane
            # Between two pieces nothing runs, but the model belongs to this utterance.
            assert (lane.busy, len(first.pcm) <= 9600) == (1, True)
            rest = [chunk.pcm async for chunk in chunks]
        await lane.idle()
    assert len(b"".join(rest)) > 2 * len(first.pcm)


async def test_utterances_that_overlap_do_not_share_what_is_kept(coqui_models: Path) -> None:
    async with started(coqui_models, "xtts", chunk=6) as engine:
        voices = await engine.voices()
        lengths = [len(await speak(engine, TEXT, voice)) for voice in voices]
        together = await asyncio.gather(*(speak(engine, TEXT, voice) for voice in voices * 2))
        assert [len(pcm) for pcm in together] == lengths * 2


async def test_a_text_in_several_sentences_is_said_in_turn(coqui_models: Path) -> None:
    async with started(coqui_models, "vits") as engine:
        one, both = await speak(engine, "Hello there."), await speak(engine, "Hello there. How are you?")
        assert len(both) > len(one)
        assert await speak(engine, "日本語です。") == b""


async def test_a_text_is_what_xtts_can_read_and_a_language_that_lacks_a_package_names_it(
    coqui_models: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from providers.coqui.model import Manner

    def lacking(text: str, language: str) -> str:
        raise ModuleNotFoundError("No module named 'cutlet'")

    async with started(coqui_models, "xtts") as engine:
        [model] = engine._models[engine._sources[0]]._idle
        assert model.sentences("a [en] b [STOP]", Manner(language="en")) == ["a (en) b (STOP)"]
        assert [len(part) for part in model.sentences("ha" * 90, Manner(language="ja-JP"))] == [71, 71, 38]
        assert len(model.sentences("Call +49 30 901820, or " * 6 + "1234567.", Manner(language="en"))) > 1
        monkeypatch.setattr(model._model.tokenizer, "preprocess_text", lacking)
        with pytest.raises(EngineFailed, match=r"run: pip install 'coqui-tts\[ja\]'"):
            await speak(engine, TEXT, language="ja-JP")


async def test_a_promise_of_another_rate_is_kept(coqui_models: Path) -> None:
    async with started(coqui_models, "vits") as engine:
        voice = (await engine.voices())[0]
        seed(1)
        given = await speak(engine, TEXT, voice)
        seed(1)
        promised = await speak(engine, TEXT, replace(voice, sample_rate=24000))
        assert len(promised) // 2 == round(len(given) // 2 * 24000 / 16000)


async def test_what_a_model_raises_is_the_segments_failure_alone(
    coqui_models: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from providers.coqui.model import Whole

    async with started(coqui_models, "vits") as engine:
        original = Whole.sound

        def sound(model: Whole, sentence: str, manner: Any) -> Any:
            if "fail" in sentence:
                raise RuntimeError("CUDA error: /home/somebody/secret")
            return original(model, sentence, manner)

        monkeypatch.setattr(Whole, "sound", sound)
        results = await asyncio.gather(
            *(speak(engine, text) for text in ("one", "fail", "two")), return_exceptions=True
        )
        assert isinstance(results[1], EngineFailed)
        assert "secret" not in str(results[1])
        assert results[0]
        assert results[2]


async def test_the_callers_text_is_in_no_log(coqui_models: Path, caplog: pytest.LogCaptureFixture) -> None:
    async with started(coqui_models, "vits") as engine:
        await speak(engine, "my secret 日本語")
    assert "secret" not in caplog.text


# ---- voices that are made


async def test_xtts_speaks_with_the_voice_of_a_clip_as_the_library_does(coqui_models: Path) -> None:
    async with started(coqui_models, "vits", "xtts", chunk=6) as engine:
        voice = await engine.clone(clip())
        assert voice.prompt is not None
        assert len(voice.prompt) < 10_000
        seed(7)
        ours = await speak(engine, TEXT, replace(voice, id="mine"))
    import torch

    theirs = library(coqui_models, "xtts").tts_model
    sound = torch.from_numpy(samples(clip().pcm).astype(np.float32) / 32768)[None]
    latent = theirs.get_gpt_cond_latents(
        sound, 24000, length=theirs.config.gpt_cond_len, chunk_length=theirs.config.gpt_cond_chunk_len
    )
    names = ("temperature", "top_p", "top_k", "repetition_penalty")
    seed(7)
    pieces = theirs.inference_stream(
        TEXT,
        "en",
        latent,
        theirs.get_speaker_embedding(sound, 24000),
        stream_chunk_size=6,
        **{name: theirs.config[name] for name in names},
    )
    same(ours, trimmed(np.concatenate([piece.numpy() for piece in pieces]), 24000))


async def test_without_xtts_no_voice_is_made(coqui_models: Path) -> None:
    engine = engine_of(coqui_models, "vits")
    with pytest.raises(BadOption, match="MODELS names no XTTS"):
        await engine.clone(clip())


@pytest.mark.parametrize("seconds", [0.0, 0.9, 121.0])
async def test_a_clip_too_short_or_too_long_is_refused(coqui_models: Path, seconds: float) -> None:
    with pytest.raises(BadClip, match="from 1 to 120 seconds"):
        await engine_of(coqui_models, "xtts").clone(clip(seconds))


async def test_a_prompt_that_is_none_is_refused(coqui_models: Path) -> None:
    latent, embedding = np.zeros((1, LATENTS, CHANNELS), np.float32), np.zeros((1, 512, 1), np.float32)
    hostile = {
        "rubbish": b"rubbish" * 10,
        "pickle": b"\x80\x04cos\nsystem\n",
        "channels": prompts.pack({"latent": latent[..., 1:], "embedding": embedding}, {}),
        "latents": prompts.pack({"latent": np.tile(latent, (1, 9, 1)), "embedding": embedding}, {}),
        "embedding": prompts.pack({"latent": latent, "embedding": embedding[:, 1:]}, {}),
        "missing": prompts.pack({"latent": latent}, {}),
        "infinite": prompts.pack({"latent": latent + np.inf, "embedding": embedding}, {}),
        "kind": prompts.pack({"latent": latent.astype(np.int16), "embedding": embedding}, {}),
    }
    async with started(coqui_models, "vits", "xtts") as engine:
        for name, prompt in hostile.items():
            voice = Voice("mine", "Mine", "en", 24000, prompt=prompt)
            [refused] = await asyncio.gather(speak(engine, TEXT, voice), return_exceptions=True)
            assert isinstance(refused, UnknownVoice), name
        assert await speak(engine, TEXT)


# ---- models


async def test_models_are_loaded_when_they_are_first_spoken_with(coqui_models: Path) -> None:
    async with started(coqui_models, "vits", "xtts") as engine:
        assert engine.detail == "vits on cpu"
        await speak(engine, "Hello.", (await engine.voices())[-1])
        assert engine.detail == "vits, xtts on cpu"


async def test_closing_gives_the_memory_back(coqui_models: Path) -> None:
    async with started(coqui_models, "xtts") as engine:
        [model] = engine._models[engine._sources[0]]._idle
        alive = weakref.ref(model._model)
        del model
    gc.collect()
    assert alive() is None


@pytest.mark.parametrize(
    ("names", "reason"),
    [
        ((), "engine 'coqui' has no model; name one in VOXWIRE_COQUI_MODELS"),
        (("nothing",), "finds no model 'nothing'"),
        (("broken",), "cannot load its model 'broken'"),
    ],
)
async def test_a_model_that_is_none_is_named_without_its_path(
    coqui_models: Path, names: tuple[str, ...], reason: str
) -> None:
    (coqui_models / "broken").mkdir(exist_ok=True)
    (coqui_models / "broken" / "config.json").write_text('{"model": "vits"}')
    (coqui_models / "broken" / "model.pth").write_bytes(b"rubbish")
    engine = engine_of(coqui_models, *names)
    with pytest.raises(EngineUnavailable, match=reason) as refused:
        await engine.start()
    assert str(coqui_models) not in str(refused.value)
    await engine.close()


async def test_xtts_is_not_fetched_before_its_licence_is_agreed_to(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TTS_HOME", "/nowhere")
    monkeypatch.setattr("builtins.input", lambda *_: pytest.fail("it asks on the terminal"))
    engine = Coqui(
        CoquiSettings(_env_file=None, models=("tts_models/multilingual/multi-dataset/xtts_v2",), device="cpu")
    )
    with pytest.raises(EngineUnavailable, match="COQUI_TOS_AGREED=1"):
        await engine.start()
    await engine.close()


XTTS = "tts_models/multilingual/multi-dataset/xtts_v2"


@pytest.fixture
def kept_xtts(coqui_models: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An XTTS where Coqui keeps those that it has fetched; it finds it there as if it had it from the hub."""
    from TTS.utils.manage import ModelManager

    folder = tmp_path / "tts" / XTTS.replace("/", "--")
    shutil.copytree(coqui_models / "xtts", folder)
    monkeypatch.setenv("TTS_HOME", str(tmp_path))
    # It goes on to the environment where it was agreed to.
    monkeypatch.setenv("COQUI_TOS_AGREED", "")
    monkeypatch.setattr("builtins.input", lambda *_: pytest.fail("it asks on the terminal"))
    monkeypatch.setattr(ModelManager, "_download_hf_model", lambda manager, item: folder)
    return folder


async def test_a_licence_is_asked_for_where_the_model_was_fetched_before_too(kept_xtts: Path) -> None:
    engine = Coqui(CoquiSettings(_env_file=None, models=(XTTS,), tos_agreed=False, device="cpu"))
    with pytest.raises(EngineUnavailable, match="COQUI_TOS_AGREED=1"):
        await engine.start()
    (kept_xtts / "tos_agreed.txt").write_text("I have read, understood and agreed to the Terms and Conditions.")
    await engine.start()
    await engine.close()


async def test_a_licence_that_was_agreed_to_in_the_settings_is_not_asked_for_again(kept_xtts: Path) -> None:
    engine = Coqui(CoquiSettings(_env_file=None, models=(XTTS,), tos_agreed=True, device="cpu"))
    await engine.start()
    assert [voice.id for voice in await engine.voices()] == ["xtts_v2:Ada Lovelace", "xtts_v2:Ben Bitdiddle"]
    await engine.close()


async def test_a_voice_that_the_settings_name_must_be_there_and_no_model_stays_loaded(coqui_models: Path) -> None:
    engine = engine_of(coqui_models, "vits", voice="vits:zoe")
    with pytest.raises(EngineUnavailable, match="no voice 'vits:zoe'"):
        await engine.start()
    await engine.close()


async def test_an_engine_that_could_not_warm_up_gives_its_memory_back(
    coqui_models: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from providers.coqui.model import Whole

    def sound(model: Whole, sentence: str, manner: Any) -> Any:
        raise EngineBusy("engine 'coqui' has no memory left now")

    with monkeypatch.context() as patched:
        patched.setattr(Whole, "sound", sound)
        engine = engine_of(coqui_models, "vits")
        with pytest.raises(EngineBusy) as failed:
            await engine.start()
        # Whoever keeps the error does not keep what was loaded.
        assert not alive("Synthesizer")
    assert str(failed.value) == "engine 'coqui' has no memory left now"
    await engine.start()
    assert alive("Synthesizer") == 1
    assert await speak(engine, TEXT)
    await engine.close()


async def test_a_model_that_comes_later_is_found_when_it_is_tried_again(coqui_models: Path, tmp_path: Path) -> None:
    engine = engine_of(tmp_path, "vits")
    with pytest.raises(EngineUnavailable, match="finds no model 'vits'"):
        await engine.start()
    shutil.copytree(coqui_models / "vits", tmp_path / "vits")
    await engine.start()
    assert [voice.id for voice in await engine.voices()] == ["vits:ada", "vits:ben", "vits:eva"]
    await engine.close()


async def test_an_xtts_without_speakers_has_no_voice_and_clones_all_the_same(
    coqui_models: Path, tmp_path: Path
) -> None:
    shutil.copytree(coqui_models / "xtts", tmp_path / "tuned")
    (tmp_path / "tuned" / "speakers_xtts.pth").unlink()
    alone = engine_of(tmp_path, "tuned")
    with pytest.raises(EngineUnavailable, match=r"has no voice; those of an XTTS are in speakers_xtts\.pth"):
        await alone.start()
    await alone.close()
    async with started(tmp_path, str(coqui_models / "vits"), "tuned") as engine:
        assert [voice.id for voice in await engine.voices()] == ["vits:ada", "vits:ben", "vits:eva"]
        assert (await engine.clone(clip(1.0))).prompt


async def test_two_models_of_one_name_are_refused(coqui_models: Path, tmp_path: Path) -> None:
    shutil.copytree(coqui_models / "vits", tmp_path / "vits")
    engine = engine_of(coqui_models, "vits", str(tmp_path / "vits"))
    with pytest.raises(EngineUnavailable, match="two of the models in VOXWIRE_COQUI_MODELS are called 'vits'"):
        await engine.start()
    await engine.close()
    assert len(engine_of(coqui_models, "vits", "vits")._sources) == 1


async def test_a_clip_of_any_length_makes_a_voice(coqui_models: Path) -> None:
    async with started(coqui_models, "vits", "xtts") as engine:
        for rate, seconds in ((8000, 1.0), (44100, 1.00005), (22050, 4.1), (48000, 6.3), (11025, 12.0001)):
            wave = np.random.default_rng(3).normal(0, 3000, round(seconds * rate)).astype("<i2")
            voice = await engine.clone(Clip(wave.tobytes(), rate))
            assert voice.prompt is not None
            latent = prompts.Unpacked("coqui", voice.prompt).array("latent", prompts.Shape([1, LATENTS, CHANNELS]))
            assert np.isfinite(latent).all()


async def test_a_temperature_may_be_written_as_a_whole_number(coqui_models: Path) -> None:
    engine = engine_of(coqui_models, "xtts")
    checked = engine.check({"temperature": 2, "top_p": 1, "top_k": 7, "repetition_penalty": 5})
    assert {name: type(value) for name, value in checked.items()} == {
        "temperature": float,
        "top_p": float,
        "top_k": int,
        "repetition_penalty": float,
    }
