"""The settings and the options, and the table of the former in the documentation."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from providers.base import BadOption, EngineUnavailable
from providers.coqui import options
from providers.coqui.engine import Coqui
from providers.coqui.settings import PREFIX, CoquiSettings, read
from tests.providers.settings_docs import fields, rows


@pytest.fixture(autouse=True)
def _nowhere(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Where there is no ``.env``."""
    monkeypatch.chdir(tmp_path)


def test_every_setting_has_a_row_with_its_default_and_every_row_a_setting() -> None:
    assert rows("coqui", PREFIX) == fields(CoquiSettings)


def test_the_environment_and_the_env_file_are_read(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / ".env").write_text(f"{PREFIX}MODELS=models/one, tts_models/en/ljspeech/vits\n{PREFIX}CHUNK=30\n")
    monkeypatch.setenv(f"{PREFIX}CHUNK", "10")
    monkeypatch.setenv("COQUI_TOS_AGREED", "1")
    settings = read()
    assert settings.models == ("models/one", "tts_models/en/ljspeech/vits")
    assert (settings.chunk, settings.tos_agreed, settings.sampling) == (10, True, {})


@pytest.mark.parametrize(
    ("name", "value"),
    [("WIDTH", "0"), ("CHUNK", "0"), ("TEMPERATURE", "0"), ("TOP_K", "many"), ("TOS_AGREED", "perhaps")],
)
def test_a_wrong_setting_is_named(monkeypatch: pytest.MonkeyPatch, name: str, value: str) -> None:
    monkeypatch.setenv(f"{PREFIX}{name}", value)
    with pytest.raises(EngineUnavailable, match=f"^{PREFIX}{name}.* is wrong: "):
        Coqui()


def test_good_options_are_as_they_were() -> None:
    good = {"temperature": 0.05, "top_p": 1.0, "top_k": 1, "repetition_penalty": 20}
    assert options.check(good) == good


@pytest.mark.parametrize(
    ("wrong", "sentence"),
    [
        ({"temperature": 0}, "temperature is a number from 0.05 to 2"),
        ({"repetition_penalty": 0.9}, "repetition_penalty is a number from 1 to 20"),
        ({"seed": 1}, "engine 'coqui' has no such option; it has: temperature, top_p, top_k, repetition_penalty"),
    ],
)
def test_a_wrong_option_is_refused(wrong: dict[str, Any], sentence: str) -> None:
    with pytest.raises(BadOption, match=f"^{sentence}$"):
        options.check(wrong)
