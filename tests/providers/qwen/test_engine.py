"""The engine on random models: what is streamed is what qwen-tts itself makes, and a cancel frees the model."""

from __future__ import annotations

import asyncio
import gc
import json
import shutil
import threading
import weakref
from collections.abc import AsyncIterator
from contextlib import aclosing, asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

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
from providers.qwen.engine import Qwen
from providers.qwen.settings import QwenSettings
from providers.sound import Edges, to_pcm
from tests.support.tiny_qwen import FRAME

pytestmark = pytest.mark.engines

TEXT = "Hello there, how are you today?"


def settings(models: Path, *kinds: str, **more: Any) -> QwenSettings:
    named = {f"{kind}_model": str(models / kind) for kind in kinds}
    return QwenSettings(_env_file=None, device="cpu", **named, **more)


@asynccontextmanager
async def started(models: Path, *kinds: str, **more: Any) -> AsyncIterator[Qwen]:
    engine = Qwen(settings(models, *kinds, **more))
    await engine.start()
    try:
        yield engine
    finally:
        await engine.close()


async def speak(engine: Qwen, text: str, voice: Voice | None = None, **options: Any) -> bytes:
    spoken = voice or (await engine.voices())[0]
    segment = Segment(text, spoken, language="en-US", options=engine.check(options))
    return b"".join([chunk.pcm async for chunk in engine.synthesize(segment)])


def trimmed(sound: Any) -> bytes:
    """As the engine sends it."""
    return to_pcm(Edges(24000, whole=True).push(np.asarray(sound, np.float32), last=True), 1.0)


def samples(pcm: bytes) -> np.ndarray[tuple[int], np.dtype[np.int32]]:
    return np.frombuffer(pcm, "<i2").astype(np.int32)


def seed(number: int) -> None:
    import torch

    torch.manual_seed(number)


@pytest.fixture(autouse=True)
def _chance(qwen_models: Path) -> None:
    """When a random model ends is up to chance: in each run of a test to the same, whatever ran before it."""
    seed(1)


def library(models: Path, kind: str) -> Any:
    from qwen_tts import Qwen3TTSModel

    return Qwen3TTSModel.from_pretrained(str(models / kind), device_map="cpu")


def clip(seconds: float = 3.0, transcript: str | None = None) -> Clip:
    wave = np.random.default_rng(3).normal(0, 3000, int(seconds * 24000))
    return Clip(wave.astype("<i2").tobytes(), 24000, transcript)


def alive(kind: str) -> int:
    return sum(type(found).__name__ == kind for found in gc.get_objects())


def same(ours: bytes, sound: Any) -> None:
    """Equal but for the last step of a sample."""
    reference = samples(trimmed(sound))
    assert samples(ours).size == reference.size
    assert np.abs(samples(ours) - reference).max() <= 4


# ---- it says what qwen-tts says


async def test_it_is_all_that_it_can_be(qwen_models: Path) -> None:
    engine = Qwen(settings(qwen_models, "custom_voice"))
    for protocol in (Provider, Limited, Tunable, Cloning, Designing):
        assert isinstance(engine, protocol)
    assert engine.places == 1


@pytest.mark.parametrize(
    ("kinds", "clones", "designs"),
    [(["custom_voice"], False, False), (["base"], True, False), (["voice_design"], False, True)],
)
async def test_it_makes_voices_as_far_as_there_is_a_model_for_it(kinds: list[str], clones: bool, designs: bool) -> None:
    engine = Qwen(settings(Path("nowhere"), *kinds))
    assert (makes(engine, Cloning), makes(engine, Designing)) == (clones, designs)


@pytest.mark.parametrize("instruct", ["", "very calm"])
async def test_a_custom_voice_says_what_the_library_says(qwen_models: Path, instruct: str) -> None:
    async with started(qwen_models, "custom_voice") as engine:
        seed(11)
        ours = await speak(engine, TEXT, max_tokens=100, instruct=instruct)
        voice = (await engine.voices())[0].id
    seed(11)
    [sound], _ = library(qwen_models, "custom_voice").generate_custom_voice(
        TEXT, voice, "English", instruct, max_new_tokens=100
    )
    assert len(sound) > 30 * FRAME
    same(ours, sound)


async def test_a_design_says_what_the_library_says(qwen_models: Path) -> None:
    async with started(qwen_models, "voice_design") as engine:
        seed(12)
        ours = await speak(engine, TEXT, max_tokens=60, instruct="an old man")
    seed(12)
    [sound], _ = library(qwen_models, "voice_design").generate_voice_design(
        TEXT, "an old man", "English", max_new_tokens=60
    )
    same(ours, sound)


@pytest.mark.parametrize("transcript", [None, "What is said in the clip."])
async def test_a_clone_says_what_the_library_says(qwen_models: Path, transcript: str | None) -> None:
    async with started(qwen_models, "base") as engine:
        voice = await engine.clone(clip(transcript=transcript))
        seed(13)
        ours = await speak(engine, TEXT, voice, max_tokens=60)
    theirs = library(qwen_models, "base")
    sound = samples(clip().pcm).astype(np.float32) / 32768
    made = theirs.create_voice_clone_prompt((sound, 24000), transcript, x_vector_only_mode=transcript is None)
    seed(13)
    [sound], _ = theirs.generate_voice_clone(TEXT, "English", voice_clone_prompt=made, max_new_tokens=60)
    same(ours, sound)


async def test_a_base_model_alone_has_a_voice(qwen_models: Path) -> None:
    async with started(qwen_models, "base") as engine:
        assert [voice.id for voice in await engine.voices()] == ["any"]
        assert await speak(engine, TEXT, max_tokens=12)


async def test_the_sound_begins_while_the_model_still_speaks(qwen_models: Path, count: Counted) -> None:
    async with started(qwen_models, "custom_voice", first_frames=2) as engine:
        count.hold_at(5)
        segment = Segment(TEXT, (await engine.voices())[0], options={"max_tokens": 40})
        async with aclosing(engine.synthesize(segment)) as chunks:
            first = await anext(chunks)
            assert len(first.pcm) <= 2 * FRAME * 2
            assert count.frames <= 5
            count.release()
            rest = [chunk.pcm async for chunk in chunks]
    assert len(b"".join(rest)) > len(first.pcm)


# ---- an end, wanted or not


class Counted:
    """How many frames a model has said, and a way to hold it at one of them."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        from providers.qwen.frames import Frames

        self.frames = 0
        self._held_at: int | None = None
        self._gate = threading.Event()
        self.reached = threading.Event()
        original = Frames.put

        def put(frames: Frames, frame: Any) -> None:
            if self.frames == self._held_at:
                self.reached.set()
                self._gate.wait()
            self.frames += 1
            original(frames, frame)

        monkeypatch.setattr(Frames, "put", put)

    def hold_at(self, frame: int) -> None:
        self.frames, self._held_at = 0, frame
        self._gate.clear()
        self.reached.clear()

    def release(self) -> None:
        self._held_at = None
        self._gate.set()


def talkers() -> list[threading.Thread]:
    """The threads on which a model speaks."""
    return [thread for thread in threading.enumerate() if thread.name == "qwen-talker"]


@pytest.fixture
def count(monkeypatch: pytest.MonkeyPatch) -> Counted:
    return Counted(monkeypatch)


async def test_a_cancel_ends_the_model_at_the_frame_it_is_at(qwen_models: Path, count: Counted) -> None:
    async with started(qwen_models, "custom_voice", first_frames=2) as engine:
        count.hold_at(9)
        task = asyncio.create_task(speak(engine, TEXT, max_tokens=2048))
        await asyncio.to_thread(count.reached.wait)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        # The pull is over at once, though the model is held; its place is free with the frame that it is at.
        assert engine.lane.busy == 1
        count.release()
        await engine.lane.idle()
        assert count.frames == 10
        assert not talkers()
        assert await speak(engine, TEXT, max_tokens=12)


async def test_closing_frees_a_model_that_speaks(qwen_models: Path, count: Counted) -> None:
    async with started(qwen_models, "custom_voice", first_frames=2) as engine:
        segment = Segment(TEXT, (await engine.voices())[0], options={"max_tokens": 2048})
        async with aclosing(engine.synthesize(segment)) as chunks:
            await anext(chunks)
            await engine.close()
            assert not talkers()
    assert count.frames < 2048


async def test_a_slow_listener_holds_the_model_back(
    qwen_models: Path, count: Counted, monkeypatch: pytest.MonkeyPatch
) -> None:
    from providers.qwen.frames import AHEAD, Frames

    put, full, waiting = Frames.put, threading.Event(), list[int]()

    def noted(frames: Frames, frame: Any) -> None:
        if len(frames._waiting) == AHEAD:
            full.set()
        try:
            put(frames, frame)
        finally:
            waiting.append(len(frames._waiting))

    monkeypatch.setattr(Frames, "put", noted)
    async with started(qwen_models, "custom_voice", first_frames=2) as engine:
        segment = Segment(TEXT, (await engine.voices())[0], options={"temperature": 2.0})
        most = 2 + AHEAD + 1
        # An utterance that is longer than that.
        seed(3)
        count.frames = 0
        async with aclosing(engine.synthesize(segment)) as chunks:
            await anext(chunks)
            assert await asyncio.to_thread(full.wait, 60)
            assert count.frames == most
        await engine.lane.idle()
    assert max(waiting) == AHEAD, "it was given up where it waited"


async def test_nothing_of_an_utterance_is_left_in_the_next_or_in_one_beside_it(
    qwen_models: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("providers.lane.cores", lambda: 2)
    # Without chance each text is one sound.
    sampling = {"temperature": 0, "subtalker_temperature": 0, "max_tokens": 24}
    async with started(qwen_models, "custom_voice", "base", width=2, first_frames=2) as engine:
        cloned = await engine.clone(clip(transcript="What is said in the clip."))
        asked = [("One of them.", (await engine.voices())[0]), ("Quite another, which is longer.", cloned)]
        alone = [await speak(engine, text, voice, **sampling) for text, voice in asked]
        assert alone[0] != alone[1]
        for taken in (0, 1):
            segment = Segment(TEXT, cloned, options=engine.check({"max_tokens": 500}))
            async with aclosing(engine.synthesize(segment)) as chunks:
                for _ in range(taken):
                    await anext(chunks)
            await engine.lane.idle()
            together = await asyncio.gather(*(speak(engine, text, voice, **sampling) for text, voice in asked * 2))
            for sound, reference in zip(together, alone * 2, strict=True):
                assert samples(sound).size == samples(reference).size
                assert np.abs(samples(sound) - samples(reference)).max() <= 4
        for instances in engine._models.values():
            assert not any(model._model.talker._forward_hooks for model in instances._idle)


async def test_what_is_raised_while_a_model_speaks_ends_its_thread_and_frees_it(
    qwen_models: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from providers.qwen.decoder import Decoding

    async with started(qwen_models, "custom_voice", first_frames=2) as engine:
        original, fed = Decoding.feed, 0

        def feed(decoding: Decoding, frames: Any) -> Any:
            nonlocal fed
            fed += 1
            if fed == 3:
                raise RuntimeError("out of luck")
            return original(decoding, frames)

        monkeypatch.setattr(Decoding, "feed", feed)
        with pytest.raises(EngineFailed):
            await speak(engine, TEXT, temperature=2.0)
        await engine.lane.idle()
        assert not talkers()
        [model] = engine._models["custom_voice"]._idle
        assert not model._model.talker._forward_hooks
        assert await speak(engine, TEXT, max_tokens=12)


async def test_what_a_model_raises_is_the_segments_failure_alone(
    qwen_models: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from providers.qwen.model import Model

    async with started(qwen_models, "custom_voice") as engine:
        original = Model.talk

        def talk(model: Model, speech: Any, heard: Any) -> None:
            if "fail" in speech.text:
                raise RuntimeError("CUDA error: /home/somebody/secret")
            original(model, speech, heard)

        monkeypatch.setattr(Model, "talk", talk)
        results = await asyncio.gather(
            *(speak(engine, text, max_tokens=12) for text in ("one", "fail", "two")), return_exceptions=True
        )
        assert isinstance(results[1], EngineFailed)
        assert "secret" not in str(results[1])
        assert results[0]
        assert results[2]


# ---- texts and options


async def test_no_text_spells_one_of_the_models_own_tokens(qwen_models: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from providers.qwen.model import Model

    asked: list[Any] = []
    monkeypatch.setattr(Model, "talk", lambda model, speech, heard: asked.append(speech))
    async with started(qwen_models, "custom_voice") as engine:
        for text in ("a <|im_end|> b", "<\u200b|im_start|>x", "<<tts_pad>tts_pad>", "a < b > c", "x<|im_end|"):
            await speak(engine, text, instruct=text)
    asked = asked[1:]
    assert [speech.text for speech in asked[:1]] == ["a |im_end| b"]
    for speech in asked:
        assert "<|im" not in speech.text.replace("|im_end|", "") or ">" not in speech.text
        assert "<tts_pad>" not in speech.text
        assert speech.instruct == speech.text


async def test_what_cannot_be_said_is_not_asked_of_the_model(qwen_models: Path, count: Counted) -> None:
    async with started(qwen_models, "custom_voice") as engine:
        count.frames = 0
        for text in ("", "...", "👍", "\ud800"):
            assert await speak(engine, text) == b""
    assert count.frames == 0


async def test_the_settings_count_where_a_request_says_nothing(qwen_models: Path) -> None:
    async with started(qwen_models, "custom_voice", max_tokens=12, temperature=0.0) as engine:
        assert len(await speak(engine, TEXT)) <= 12 * FRAME * 2
        # Of the codes of a frame the first is without chance now, and the others where the request says so.
        first, second = [await speak(engine, TEXT, subtalker_temperature=0) for _ in range(2)]
        assert first == second


async def test_the_ends_of_every_range_are_taken(qwen_models: Path) -> None:
    extremes = [
        {"temperature": 2, "repetition_penalty": 2, "subtalker_temperature": 2, "top_p": 1, "top_k": 1000},
        {"temperature": 1e-300, "subtalker_temperature": 1e-300, "top_p": 0.01, "top_k": 1, "repetition_penalty": 1},
    ]
    async with started(qwen_models, "custom_voice") as engine:
        for options in extremes:
            assert await speak(engine, TEXT, max_tokens=12, **options)


# ---- voices that are made


async def test_a_design_that_says_nothing_is_the_engines_failure(
    qwen_models: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from providers.qwen.model import Model

    async with started(qwen_models, "voice_design", "base", max_tokens=40) as engine:
        monkeypatch.setattr(Model, "talk", lambda model, speech, heard: None)
        with pytest.raises(EngineFailed, match="said too little to make a voice of"):
            await engine.design("a calm old man")


async def test_words_in_a_prompt_are_bounded_and_spell_no_token(
    qwen_models: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from providers import prompts
    from providers.qwen.model import Model

    arrays = {"embedding": np.zeros(32, np.float32), "codes": np.zeros((5, 4), np.int16)}
    words = "<|im_end|> Hi <tts_pad> " + "x" * 15_000
    cloned, designed = prompts.pack(arrays, {"transcript": words}), prompts.pack({}, {"description": words})
    asked: list[Any] = []
    async with started(qwen_models, "voice_design", "base", max_tokens=12) as engine:
        monkeypatch.setattr(Model, "talk", lambda model, speech, heard: asked.append(speech))
        for prompt in (cloned, designed):
            await speak(engine, TEXT, Voice("mine", "Mine", "mul", 24000, prompt=prompt))
    assert asked[0].clone.transcript.startswith("|im_end| Hi tts_pad xxx")
    assert asked[1].instruct.startswith("|im_end| Hi tts_pad xxx")
    assert (len(asked[0].clone.transcript) <= 2000, len(asked[1].instruct) <= 1000) == (True, True)


async def test_a_designed_voice_is_heard_once_and_cloned(qwen_models: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    # What is heard is from a random model: one time in twelve it ends within half a second.
    monkeypatch.setattr("providers.qwen.engine.SHORTEST_CLIP", 0.1)
    async with started(qwen_models, "voice_design", "base", max_tokens=40) as engine:
        voice = await engine.design("a calm old man", "de-DE")
        assert voice.prompt is not None
        assert b"embedding" in voice.prompt
        assert "Guten Tag, schön".encode() in voice.prompt
        assert voice.description == "a calm old man"
        assert await speak(engine, TEXT, replace(voice, id="mine", name="Mine"))


async def test_a_designed_voice_is_a_description_where_nothing_clones_it(qwen_models: Path) -> None:
    async with started(qwen_models, "voice_design") as engine:
        voice = await engine.design("a calm <|im_end|> old man")
        assert voice.prompt is not None
        assert b"a calm |im_end| old man" in voice.prompt
        assert await speak(engine, TEXT, voice, max_tokens=12)


async def test_a_voice_is_made_only_of_what_there_is_a_model_for(qwen_models: Path) -> None:
    async with started(qwen_models, "custom_voice", max_tokens=12) as engine:
        with pytest.raises(BadOption, match="BASE_MODEL names no model"):
            await engine.clone(clip())
        with pytest.raises(BadOption, match="VOICE_DESIGN_MODEL names no model"):
            await engine.design("a calm old man")


@pytest.mark.parametrize("seconds", [0.0, 0.4, 60.1])
async def test_a_clip_too_short_or_too_long_is_refused(qwen_models: Path, seconds: float) -> None:
    engine = Qwen(settings(qwen_models, "base"))
    with pytest.raises(BadClip, match=r"from 0.5 to 60 seconds"):
        await engine.clone(clip(seconds))


@pytest.mark.parametrize("description", ["", "...", "x" * 1001])
async def test_a_description_that_says_nothing_or_too_much_is_refused(qwen_models: Path, description: str) -> None:
    engine = Qwen(settings(qwen_models, "voice_design"))
    with pytest.raises(BadOption, match="a text of at most 1000 characters"):
        await engine.design(description)


async def test_a_prompt_that_is_none_is_refused(qwen_models: Path) -> None:
    from providers import prompts

    async with started(qwen_models, "base", max_tokens=12) as engine:
        good = await engine.clone(clip(transcript="Hello."))
        assert good.prompt is not None
        embedding, codes = np.zeros(32, np.float32), np.zeros((10, 4), np.int16)
        hostile = {
            "empty": b"",
            "rubbish": b"rubbish" * 10,
            "pickle": b"\x80\x04cos\nsystem\n",
            "cut": good.prompt[:-10],
            "header": (2**62).to_bytes(8, "little") + good.prompt[8:],
            "huge": good.prompt + bytes(5_000_000),
            "shape": prompts.pack({"embedding": embedding[:31]}, {"transcript": ""}),
            "kind": prompts.pack({"embedding": embedding.astype(np.int16)}, {"transcript": ""}),
            "nan": prompts.pack({"embedding": embedding * np.nan}, {"transcript": ""}),
            "groups": prompts.pack({"embedding": embedding, "codes": codes[:, :3]}, {"transcript": "x"}),
            "range": prompts.pack({"embedding": embedding, "codes": codes + 64}, {"transcript": "x"}),
            "negative": prompts.pack({"embedding": embedding, "codes": codes - 1}, {"transcript": "x"}),
            "long": prompts.pack({"embedding": embedding, "codes": np.tile(codes, (101, 1))}, {"transcript": "x"}),
            "words": prompts.pack({"embedding": embedding, "transcript": np.full(9, 255, np.uint8)}, {}),
            "nothing": prompts.pack({}, {"transcript": "x"}),
        }
        for name, prompt in hostile.items():
            [refused] = await asyncio.gather(speak(engine, TEXT, replace(good, prompt=prompt)), return_exceptions=True)
            assert isinstance(refused, UnknownVoice), name
            assert "was not made by engine 'qwen'" in str(refused)
        assert await speak(engine, TEXT, good)
        described = replace(good, prompt=prompts.pack({}, {"description": "x"}))
        with pytest.raises(UnknownVoice, match="needs a model"):
            await speak(engine, TEXT, described)


# ---- models


async def test_models_are_loaded_when_they_are_needed(qwen_models: Path) -> None:
    async with started(qwen_models, "custom_voice", "voice_design", "base", max_tokens=12) as engine:
        assert engine.detail == "custom_voice on cpu"
        await speak(engine, TEXT, (await engine.voices())[-1])
        assert engine.detail == "custom_voice, voice_design on cpu"
    assert engine.detail is None
    async with started(qwen_models, "custom_voice", "base", max_tokens=12, preload=True) as engine:
        assert engine.detail == "custom_voice, base on cpu"


async def test_the_default_voice_decides_what_is_loaded_first(qwen_models: Path) -> None:
    async with started(qwen_models, "custom_voice", "voice_design", max_tokens=12, voice="design") as engine:
        assert (await engine.voices())[0].id == "design"
        assert engine.detail == "voice_design on cpu"


async def test_closing_gives_the_memory_back(qwen_models: Path) -> None:
    async with started(qwen_models, "custom_voice", max_tokens=12) as engine:
        [model] = engine._models["custom_voice"]._idle
        alive = weakref.ref(model._model)
        del model
    gc.collect()
    assert alive() is None


async def test_the_second_of_two_at_once_has_a_model_of_its_own(
    qwen_models: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from providers.qwen.model import Model

    monkeypatch.setattr("providers.lane.cores", lambda: 2)
    together, talk = threading.Barrier(2), Model.talk

    def met(model: Model, speech: Any, heard: Any) -> None:
        # On a busy machine the first might be over before the second begins, and leave its model to it.
        together.wait(60)
        talk(model, speech, heard)

    async with started(qwen_models, "custom_voice", max_tokens=12, width=2) as engine:
        assert engine.places == 2
        monkeypatch.setattr(Model, "talk", met)
        await asyncio.gather(*(speak(engine, text) for text in ("one", "two", "three", "four")))
        assert engine._models["custom_voice"].made == 2


@pytest.mark.parametrize(
    ("model", "reason"),
    [
        ("voice_design", "CUSTOM_VOICE_MODEL names the model 'voice_design', which is a voice_design model"),
        ("nothing", "engine 'qwen' cannot load the model 'nothing'"),
    ],
)
async def test_a_model_that_is_none_is_named_without_its_path(qwen_models: Path, model: str, reason: str) -> None:
    engine = Qwen(QwenSettings(_env_file=None, custom_voice_model=str(qwen_models / model), device="cpu"))
    with pytest.raises(EngineUnavailable, match=reason) as refused:
        await engine.start()
    assert str(qwen_models) not in str(refused.value)
    # Whoever keeps the error does not keep what was loaded.
    assert not alive("Qwen3TTSForConditionalGeneration")
    await engine.close()


async def test_a_model_without_speakers_says_so_and_is_not_kept(qwen_models: Path, tmp_path: Path) -> None:
    shutil.copytree(qwen_models / "custom_voice", tmp_path / "custom_voice")
    path = tmp_path / "custom_voice" / "config.json"
    config = json.loads(path.read_text())
    config["talker_config"]["spk_id"] = {}
    path.write_text(json.dumps(config))
    engine = Qwen(settings(tmp_path, "custom_voice"))
    with pytest.raises(EngineUnavailable, match="its custom voice model names no speaker"):
        await engine.start()
    assert engine.detail is None
    await engine.close()


async def test_an_engine_that_could_not_warm_up_gives_its_memory_back_and_may_be_started_again(
    qwen_models: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from providers.qwen.model import Model

    def talk(model: Model, speech: Any, heard: Any) -> None:
        raise EngineBusy("engine 'qwen' has no memory left now")

    engine = Qwen(settings(qwen_models, "custom_voice", max_tokens=12))
    with monkeypatch.context() as patched:
        patched.setattr(Model, "talk", talk)
        with pytest.raises(EngineBusy) as failed:
            await engine.start()
        assert (engine.detail, alive("Qwen3TTSForConditionalGeneration")) == (None, 0)
    assert str(failed.value) == "engine 'qwen' has no memory left now"
    await engine.start()
    assert alive("Qwen3TTSForConditionalGeneration") == 1
    assert await speak(engine, TEXT)
    await engine.close()


@pytest.mark.parametrize("part", ["model.safetensors", "speech_tokenizer/model.safetensors", "config.json"])
async def test_a_model_that_was_fetched_by_half_cannot_be_loaded_until_it_is_whole(
    qwen_models: Path, tmp_path: Path, part: str
) -> None:
    shutil.copytree(qwen_models / "custom_voice", tmp_path / "custom_voice")
    whole = (tmp_path / "custom_voice" / part).read_bytes()
    (tmp_path / "custom_voice" / part).write_bytes(whole[: len(whole) // 2])
    engine = Qwen(settings(tmp_path, "custom_voice", max_tokens=12))
    with pytest.raises(EngineUnavailable, match="cannot load the model 'custom_voice'"):
        await engine.start()
    (tmp_path / "custom_voice" / part).write_bytes(whole)
    await engine.start()
    assert {voice.id for voice in await engine.voices()} == {"vivian", "ryan", "eric"}
    await engine.close()


async def test_a_device_that_is_not_there_is_named(qwen_models: Path) -> None:
    engine = Qwen(settings(qwen_models, "custom_voice").model_copy(update={"device": "cuda:7"}))
    with pytest.raises(EngineUnavailable, match="cannot use the device 'cuda:7'"):
        await engine.start()
    await engine.close()
