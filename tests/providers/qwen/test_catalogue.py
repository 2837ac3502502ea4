"""Which voices there are before a model is loaded, and what its languages are called."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from providers.qwen import catalogue
from providers.qwen.settings import QwenSettings


def voices(**settings: str) -> list[str]:
    return list(catalogue.voices(QwenSettings(_env_file=None, **settings)))


def test_a_model_of_the_hub_has_the_nine_voices() -> None:
    found = voices(custom_voice_model="Qwen/Qwen3-TTS-12Hz-0.6B-CustomVoice")
    assert len(found) == 9
    assert found[0] == "vivian"


def test_the_voices_of_a_folder_are_read_from_it(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text(json.dumps({"talker_config": {"spk_id": {"Ryan": 1, "new_one": 2}}}))
    found = catalogue.voices(QwenSettings(_env_file=None, custom_voice_model=str(tmp_path)))
    assert [(voice.id, voice.name, voice.gender) for voice in found.values()] == [
        ("ryan", "Ryan", "male"),
        ("new_one", "New One", None),
    ]


@pytest.mark.parametrize("text", ["", "[]", '{"talker_config": {}}', '{"talker_config": null}'])
def test_a_folder_that_cannot_be_read_has_none_yet(tmp_path: Path, text: str) -> None:
    (tmp_path / "config.json").write_text(text)
    assert voices(custom_voice_model=str(tmp_path)) == []


def test_a_model_without_speakers_has_one_voice() -> None:
    assert voices(base_model="b") == ["any"]
    assert voices(voice_design_model="d", base_model="b") == ["design"]
    assert voices() == []


def test_the_chosen_voice_comes_first() -> None:
    assert voices(custom_voice_model="Qwen/X", voice="sohee")[0] == "sohee"
    assert voices(custom_voice_model="Qwen/X", voice="nobody")[0] == "vivian"


@pytest.mark.parametrize(
    ("tag", "name"),
    [("en-US", "english"), ("zh_CN", "chinese"), ("PT", "portuguese"), ("sv", "auto"), (None, "auto"), ("", "auto")],
)
def test_a_language_is_called_as_the_models_call_it(tag: str | None, name: str) -> None:
    assert catalogue.language(tag) == name


def test_there_is_something_to_say_in_every_language() -> None:
    assert catalogue.sample("de-AT").startswith("Guten Tag")
    assert catalogue.sample("sv") == catalogue.sample(None) == catalogue.sample("en")
