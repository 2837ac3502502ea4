"""The engine with kokoro-onnx's own way to phonemes, on a model that hums."""

from __future__ import annotations

import zipfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from providers.base import EngineFailed, EngineUnavailable, Segment, Voice
from providers.kokoro import catalogue
from providers.kokoro.engine import Kokoro
from providers.kokoro.settings import KokoroSettings
from tests.support import kokoro_voice
from tests.support.recogniser import at_16_khz, transcribe, word_error_rate
from tests.support.required import required
from tests.support.sentences import SENTENCES

LONG = (
    "The old lighthouse keeper climbed the stairs every evening, lamp in hand, until the storm took the roof. He left."
)


def settings(folder: Path, **more: Any) -> KokoroSettings:
    return KokoroSettings(_env_file=None, **{"model": folder / "model.onnx", "voices": folder / "voices.bin", **more})


@asynccontextmanager
async def started(folder: Path, **more: Any) -> AsyncIterator[Kokoro]:
    engine = Kokoro(settings(folder, **more))
    await engine.start()
    try:
        yield engine
    finally:
        await engine.close()


async def speak(engine: Kokoro, text: str, voice: str | None = None, **segment: Any) -> list[bytes]:
    voices = await engine.voices()
    spoken = next(known for known in voices if voice in (None, known.id))
    return [chunk.pcm async for chunk in engine.synthesize(Segment(text, spoken, **segment))]


# ---- what is known without the package


def voices_file(path: Path, *names: str) -> Path:
    np.savez(path, **{name: np.zeros((510, 1, 256), np.float32) for name in names})
    return path.with_suffix(".npz")


def test_a_name_says_language_and_gender(tmp_path: Path) -> None:
    path = voices_file(tmp_path / "voices", "zm_yunxi", "af_heart", "odd")
    found = catalogue.voices(path, "zm_yunxi")
    assert [(voice.id, voice.name, voice.language, voice.gender) for voice in found.values()] == [
        ("zm_yunxi", "Yunxi", "zh", "male"),
        ("af_heart", "Heart", "en-US", "female"),
        ("odd", "Odd", "en-US", None),
    ]


def test_a_file_that_holds_no_voices_has_none(tmp_path: Path) -> None:
    (tmp_path / "voices.bin").write_bytes(b"rubbish")
    assert catalogue.voices(tmp_path / "voices.bin") == catalogue.voices(tmp_path / "missing") == {}


@pytest.mark.parametrize(
    ("own", "asked", "expected"),
    [
        ("en-US", None, "en-us"),
        ("en-US", "en", "en-us"),
        ("en-GB", "en-AU", "en-gb"),
        ("en-GB", "en-US", "en-us"),
        ("en-US", "fr", "fr-fr"),
        ("en-US", "pt_PT", "pt-br"),
        ("ja", "zh-TW", "cmn"),
        ("it", "sv", "it"),
    ],
)
def test_a_text_is_read_in_the_language_of_the_request(own: str, asked: str | None, expected: str) -> None:
    assert catalogue.espeak(Voice("v", "V", own, 24000), asked) == expected


@pytest.mark.parametrize("missing", ["model", "voices"])
async def test_a_file_that_is_not_there_is_named(tmp_path: Path, missing: str) -> None:
    (tmp_path / "model.onnx").write_bytes(b"rubbish")
    voices_file(tmp_path / "voices", "af_heart").rename(tmp_path / "voices.bin")
    for given, reason in ((None, "name the file in"), (tmp_path / "nothing", "a file that is not there")):
        with pytest.raises(EngineUnavailable, match=f"no {missing}; .*{reason}"):
            await Kokoro(settings(tmp_path, **{missing: given})).start()


async def test_a_voice_that_the_settings_name_must_be_there(tmp_path: Path) -> None:
    (tmp_path / "model.onnx").write_bytes(b"rubbish")
    voices_file(tmp_path / "voices", "af_heart").rename(tmp_path / "voices.bin")
    with pytest.raises(EngineUnavailable, match="no voice 'af_zoe'"):
        await Kokoro(settings(tmp_path, voice="af_zoe")).start()


# ---- and with it


@pytest.mark.engines
async def test_a_file_that_is_no_model_is_refused(kokoro_model: Path, tmp_path: Path) -> None:
    (tmp_path / "model.onnx").write_bytes(b"rubbish")
    engine = Kokoro(settings(kokoro_model, model=tmp_path / "model.onnx"))
    with pytest.raises(EngineUnavailable, match="cannot load its model"):
        await engine.start()
    await engine.close()


@pytest.mark.engines
@pytest.mark.parametrize(
    "style",
    [
        np.zeros(10, np.float32),
        np.zeros((510, 256), np.float32),
        np.zeros((0, 1, 256), np.float32),
        np.full((510, 1, 256), np.nan, np.float32),
        np.array(["no style"]),
        np.array([{"a": "pickle"}], dtype=object),
    ],
    ids=["vector", "flat", "empty", "no numbers", "text", "pickle"],
)
async def test_voices_that_are_none_make_the_engine_unavailable(
    kokoro_model: Path, tmp_path: Path, style: np.ndarray[Any, Any]
) -> None:
    np.savez(tmp_path / "voices.npz", af_heart=style)
    engine = Kokoro(settings(kokoro_model, voices=tmp_path / "voices.npz"))
    with pytest.raises(EngineUnavailable, match="cannot speak with the model and voices"):
        await engine.start()
    await engine.close()


@pytest.mark.engines
async def test_a_damaged_file_of_voices_and_another_model_make_it_unavailable_too(
    kokoro_model: Path, tmp_path: Path
) -> None:
    with zipfile.ZipFile(tmp_path / "voices.npz", "w") as archive:
        archive.writestr("af_heart.npy", b"rubbish")
    _another_model(tmp_path / "model.onnx")
    for wrong in ({"voices": tmp_path / "voices.npz"}, {"model": tmp_path / "model.onnx"}):
        engine = Kokoro(settings(kokoro_model, **wrong))
        with pytest.raises(EngineUnavailable):
            await engine.start()
        await engine.close()


def _another_model(path: Path) -> None:
    from onnx import TensorProto, helper, save

    ends = [helper.make_tensor_value_info(name, TensorProto.FLOAT, [1]) for name in ("x", "y")]
    graph = helper.make_graph([helper.make_node("Identity", ["x"], ["y"])], "another", ends[:1], ends[1:])
    save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9), str(path))


@pytest.mark.engines
async def test_a_damaged_voice_fails_its_segments_and_no_others(kokoro_model: Path, tmp_path: Path) -> None:
    styles = {"af_heart": np.full((510, 1, 256), 0.1, np.float32), "af_torn": np.zeros(3, np.float32)}
    np.savez(tmp_path / "voices.npz", **styles)
    async with started(kokoro_model, voices=tmp_path / "voices.npz") as engine:
        with pytest.raises(EngineFailed):
            await speak(engine, "Hello.", "af_torn")
        assert await speak(engine, "Hello.", "af_heart")


@pytest.mark.engines
async def test_many_digits_are_spoken_to_the_last(kokoro_model: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async with started(kokoro_model) as engine:
        spoken: list[str] = []
        create = engine._model.create

        def heard(batch: str, *given: Any, **named: Any) -> Any:
            spoken.append(batch)
            return create(batch, *given, **named)

        monkeypatch.setattr(engine._model, "create", heard)
        await speak(engine, "7" * 400)
        assert "".join(spoken).count("ɛvən") == 400
        assert max(map(len, spoken)) <= 510


@pytest.mark.engines
async def test_a_long_sentence_is_heard_after_its_first_clause(
    kokoro_model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with started(kokoro_model) as engine:
        spoken: list[str] = []
        create = engine._model.create

        def heard(batch: str, *given: Any, **named: Any) -> Any:
            spoken.append(batch)
            return create(batch, *given, **named)

        monkeypatch.setattr(engine._model, "create", heard)
        await speak(engine, LONG)
        assert len(spoken) == 3
        assert spoken[0].endswith(",")
        assert [batch[-1] for batch in spoken[1:]] == [".", "."]


@pytest.mark.engines
async def test_the_sound_is_that_of_the_library_but_for_the_pauses(kokoro_model: Path) -> None:
    text = "The morning train leaves the station at seven."
    async with started(kokoro_model) as engine:
        ours = b"".join(await speak(engine, text, "bm_george"))
        sound, _ = engine._model.create(text, "bm_george", lang="en-gb", trim=False)
    reference = np.rint(np.clip(sound, -1, 1) * 32767).astype(np.int16)
    made = np.frombuffer(ours, "<i2")
    assert made.size == reference.size
    # The two milliseconds at either end are faded.
    assert np.array_equal(made[48:-48], reference[48:-48])


@pytest.mark.engines
async def test_a_recogniser_understands_the_real_model(tmp_path: Path) -> None:
    required("engines", "kokoro_onnx")
    files = kokoro_voice.write(tmp_path)
    rates = []
    async with started(files, voices=files / "voices.npz") as engine:
        for sentence in SENTENCES[2:6]:
            pcm = b"".join(await speak(engine, sentence, kokoro_voice.VOICE, language="en-US"))
            rates.append(word_error_rate(sentence, transcribe(at_16_khz(np.frombuffer(pcm, "<i2"), 24000))))
    # A voice from Japan, and yet: the first six sentences of the list have 0.08.
    assert np.mean(rates) <= 0.15


@pytest.mark.engines
async def test_each_voice_has_a_style_and_a_language(kokoro_model: Path) -> None:
    async with started(kokoro_model) as engine:
        heard = {voice.id: b"".join(await speak(engine, "Hello there.", voice.id)) for voice in await engine.voices()}
        assert len(set(heard.values())) == len(heard)
        dora = await speak(engine, "Hello there.", "ef_dora", language="en-US")
        assert b"".join(dora) != heard["ef_dora"]


@pytest.mark.engines
async def test_a_speed_beyond_the_models_is_the_nearest(kokoro_model: Path) -> None:
    async with started(kokoro_model) as engine:
        lengths = [len(b"".join(await speak(engine, "Hello.", speed=speed))) for speed in (0.1, 0.5, 1.0, 2.0, 9.0)]
    assert lengths[0] == lengths[1] > lengths[2] > lengths[3] == lengths[4]


@pytest.mark.engines
async def test_what_the_model_raises_is_the_segments_failure(
    kokoro_model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with started(kokoro_model) as engine:
        create = engine._model.create
        monkeypatch.setattr(engine._model, "create", lambda *given, **named: 1 / 0)
        with pytest.raises(EngineFailed):
            await speak(engine, "Hello.")
        monkeypatch.setattr(engine._model, "create", create)
        assert await speak(engine, "Hello.")
