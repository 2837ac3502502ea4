"""Which voices are found, and what they are called. Needs no Piper: a voice is two files here."""

from __future__ import annotations

import json
import logging
import os
from pathlib import Path
from typing import Any

import pytest

from providers.piper import catalogue
from providers.piper.catalogue import speakers


@pytest.fixture(autouse=True)
def _no_package(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(catalogue, "_PACKAGE", "no_voice_package")


def voice(folder: Path, name: str, **config: Any) -> Path:
    model = folder / f"{name}.onnx"
    model.touch()
    given = {"audio": {"sample_rate": 22050}, "espeak": {"voice": "en-us"}, **config}
    model.with_name(f"{name}.onnx.json").write_text(json.dumps(given))
    return model


def test_a_voice_is_called_by_its_file_and_speaks_its_language(tmp_path: Path) -> None:
    model = voice(tmp_path, "en_US-hfc_female-medium")
    found = speakers([model])["en_US-hfc_female-medium"]
    assert (found.voice.name, found.voice.language, found.voice.sample_rate) == ("Hfc female", "en-US", 22050)
    assert (found.model, found.number) == (model, None)


@pytest.mark.parametrize(
    ("name", "config", "language"),
    [
        ("voice", {"language": {"code": "de_DE"}, "espeak": {"voice": "de"}}, "de-DE"),
        ("voice", {"espeak": {"voice": "en-gb-x-rp"}}, "en-GB-x-rp"),
        ("pt_BR-faber-medium", {"espeak": {"voice": "pt-br"}}, "pt-BR"),
        ("my-own-voice", {"espeak": {"voice": "fr"}}, "fr"),
        ("voice", {"language": {"code": "?"}, "espeak": {"voice": "!"}}, "und"),
    ],
)
def test_the_language_is_a_tag(tmp_path: Path, name: str, config: dict[str, Any], language: str) -> None:
    assert speakers([voice(tmp_path, name, **config)])[name].voice.language == language


def test_every_speaker_of_a_voice_is_one(tmp_path: Path) -> None:
    model = voice(tmp_path, "en_GB-vctk-medium", num_speakers=3, speaker_id_map={"p239": 1, "p236": 0})
    found = speakers([model])
    assert {key: speaker.number for key, speaker in found.items()} == {
        "en_GB-vctk-medium:p236": 0,
        "en_GB-vctk-medium:p239": 1,
        "en_GB-vctk-medium:2": 2,
    }
    assert found["en_GB-vctk-medium:p239"].voice.name == "Vctk, p239"


def test_a_folder_holds_voices_and_other_things(tmp_path: Path) -> None:
    voice(tmp_path, "b")
    voice(tmp_path, "a")
    (tmp_path / "vad.onnx").touch()
    assert list(speakers([tmp_path])) == ["a", "b"]


def test_what_is_no_voice_is_logged_and_left_out(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    bad = [
        voice(tmp_path, "fast", audio={"sample_rate": 96000}),
        voice(tmp_path, "empty", audio={}),
        voice(tmp_path, "odd", audio=3),
        voice(tmp_path, "endless", audio={"sample_rate": float("inf")}),
        voice(tmp_path, "crowded", num_speakers=10**12),
        voice(tmp_path, "half", num_speakers=2, speaker_id_map={"\ud83d": 1}),
        voice(tmp_path, os.fsdecode(b"latin-\xe9")),
        tmp_path / "missing.onnx",
    ]
    voice(tmp_path, "deep").with_name("deep.onnx.json").write_text("[" * 100_000)
    bad.append(tmp_path / "deep.onnx")
    (tmp_path / "broken.onnx").touch()
    (tmp_path / "broken.onnx.json").write_text("{")
    bad.append(tmp_path / "broken.onnx")
    with caplog.at_level(logging.WARNING):
        found = speakers([*bad, voice(tmp_path, "good")])
    assert list(found) == ["good"]
    assert [path.name for path in bad if str(path) not in caplog.text] == []
    json.dumps([speaker.voice.name for speaker in found.values()]).encode()


def test_of_two_voices_of_a_name_the_first_is_taken(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    (tmp_path / "other").mkdir()
    first, second = voice(tmp_path, "joe"), voice(tmp_path / "other", "joe")
    with caplog.at_level(logging.WARNING):
        assert speakers([first, second])["joe"].model == first
    assert str(second) in caplog.text


def test_the_voice_package_is_found_by_itself(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    data = tmp_path / "some_voice_package" / "data"
    data.mkdir(parents=True)
    (data.parent / "__init__.py").touch()
    voice(data, "en_US-joe-medium")
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setattr(catalogue, "_PACKAGE", "some_voice_package")
    assert list(speakers([])) == ["en_US-joe-medium"]
