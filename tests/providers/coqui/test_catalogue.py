"""Which voices the models have that the settings name, before any of them is loaded."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from providers.coqui.catalogue import Source, fetched, speakers
from providers.coqui.parts import parts


def model(folder: Path, checkpoint: str = "model.pth", **config: Any) -> Source:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / checkpoint).write_bytes(b"weights")
    (folder / "config.json").write_text(json.dumps({"audio": {"sample_rate": 16000}, **config}))
    return Source(str(folder))


def ids(*sources: Source, default: str | None = None) -> list[str]:
    return list(speakers(sources, default))


@pytest.mark.parametrize(
    "config",
    [
        {"model": "vits", "audio": [], "model_args": 7, "speakers": {"a": 1}},
        {"model": ["vits"], "audio": {"sample_rate": "fast"}},
        {"model": "vits", "audio": {"sample_rate": -1}},
        {"model": "vits", "audio": {"sample_rate": True}},
        {"model": None, "phoneme_language": {}, "audio": None},
    ],
)
def test_a_config_that_makes_no_sense_makes_no_trouble_before_it_is_loaded(
    tmp_path: Path, config: dict[str, Any]
) -> None:
    source = model(tmp_path / "odd", **config)
    assert (ids(source), source.rate) == (["odd"], 22050)


def test_a_model_with_one_voice_is_called_by_its_folder(tmp_path: Path) -> None:
    source = model(tmp_path / "anna", model="vits", phoneme_language="de-de")
    [speaker] = speakers([source]).values()
    assert (speaker.voice.id, speaker.name, speaker.voice.sample_rate) == ("anna", None, 16000)
    assert speaker.voice.language == "de-de"
    assert source.checkpoint == tmp_path / "anna" / "model.pth"


def test_each_speaker_is_a_voice(tmp_path: Path) -> None:
    source = model(tmp_path / "vctk", model="vits", speakers=["p225", "p226"])
    assert ids(source) == ["vctk:p225", "vctk:p226"]
    assert ids(source, default="vctk:p226") == ["vctk:p226", "vctk:p225"]


def test_speakers_may_lie_in_a_file_beside_the_model(tmp_path: Path) -> None:
    folder = tmp_path / "your"
    source = model(folder, model="vits", model_args={"speakers_file": "/where/it/was/trained/speakers.json"})
    (folder / "speakers.json").write_text(json.dumps({"female-en-5\n": 0, "male-en-2": 1}))
    found = speakers([source])
    assert list(found) == ["your:female-en-5", "your:male-en-2"]
    assert found["your:female-en-5"].name == "female-en-5\n"


def test_a_checkpoint_may_be_named_itself(tmp_path: Path) -> None:
    model(tmp_path / "run", "checkpoint_1000.pth", model="tacotron2")
    source = Source(str(tmp_path / "run" / "checkpoint_1000.pth"))
    assert (source.id, source.kind) == ("checkpoint_1000", "tacotron2")
    assert source.checkpoint == tmp_path / "run" / "checkpoint_1000.pth"
    assert Source(str(tmp_path / "run")).checkpoint == source.checkpoint


def test_xtts_is_given_as_its_folder_and_speaks_many_languages(tmp_path: Path) -> None:
    source = model(tmp_path / "xtts", model="xtts", audio={"sample_rate": 22050, "output_sample_rate": 24000})
    assert (source.checkpoint, source.language, source.rate) == (tmp_path / "xtts", "mul", 24000)


@pytest.mark.parametrize(
    ("name", "voice", "language", "rate"),
    [
        ("tts_models/en/ljspeech/vits", "en-ljspeech-vits", "en", 22050),
        ("tts_models/multilingual/multi-dataset/xtts_v2", "xtts_v2", "mul", 24000),
    ],
)
def test_a_model_that_is_yet_to_be_fetched_has_one_voice(
    name: str, voice: str, language: str, rate: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TTS_HOME", str(tmp_path))
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path))
    [speaker] = speakers([Source(name)]).values()
    assert (speaker.voice.id, speaker.voice.language, speaker.voice.sample_rate) == (voice, language, rate)
    assert Source(name).path is None


def test_a_model_that_was_fetched_is_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TTS_HOME", str(tmp_path))
    model(tmp_path / "tts" / "tts_models--en--vctk--vits", "model_file.pth", model="vits", speakers=["p225", "p226"])
    assert fetched("tts_models/en/vctk/vits") == tmp_path / "tts" / "tts_models--en--vctk--vits"
    assert ids(Source("tts_models/en/vctk/vits")) == ["en-vctk-vits:p225", "en-vctk-vits:p226"]


@pytest.mark.parametrize("text", ["", "[]", '{"audio": null}'])
def test_a_configuration_that_says_nothing_makes_one_voice(tmp_path: Path, text: str) -> None:
    (tmp_path / "config.json").write_text(text)
    [speaker] = speakers([Source(str(tmp_path))]).values()
    assert speaker.voice.sample_rate == 22050


# ---- parts of a text


def test_a_short_text_is_one_part() -> None:
    assert list(parts("Hello there.", 71)) == ["Hello there."]
    assert list(parts("", 71)) == []


def test_a_text_is_cut_behind_sentences_then_clauses_then_words() -> None:
    assert list(parts("One two three. Four five, six seven.", 20)) == ["One two three.", "Four five,", "six seven."]
    assert list(parts("One two three four five six seven", 20)) == ["One two three four", "five six seven"]


def test_a_text_without_any_place_is_cut_where_it_is_too_long() -> None:
    assert list(parts("z" * 50, 20)) == ["z" * 20, "z" * 20, "z" * 10]
    made = list(parts("今日はとてもいい天気ですから、" * 10, 71))
    assert "".join(made) == "今日はとてもいい天気ですから、" * 10
    assert all(part.endswith("、") and len(part) <= 71 for part in made)
