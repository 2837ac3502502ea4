"""The settings, the variables of an earlier server, and the table of both in the documentation."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from providers.base import EngineUnavailable
from providers.qwen.engine import Qwen
from providers.qwen.settings import PREFIX, QwenSettings, read
from tests.providers.settings_docs import fields, page, rows

EARLIER = {
    "QWEN_TTS_CUSTOM_VOICE_MODEL": ("custom_voice_model", "Qwen/Qwen3-TTS-12Hz-1.7B-CustomVoice"),
    "QWEN_TTS_VOICE_DESIGN_MODEL": ("voice_design_model", "Qwen/Qwen3-TTS-12Hz-1.7B-VoiceDesign"),
    "QWEN_TTS_BASE_MODEL": ("base_model", "Qwen/Qwen3-TTS-12Hz-1.7B-Base"),
    "QWEN_TTS_TOKENIZER": ("tokenizer", "Qwen/Qwen3-TTS-Tokenizer-12Hz"),
    "CUDA_DEVICE": ("device", "cuda:0"),
    "MODEL_DTYPE": ("dtype", "bfloat16"),
    "USE_FLASH_ATTENTION": ("flash_attention", True),
    "PRELOAD_MODELS": ("preload", True),
}


@pytest.fixture(autouse=True)
def _nowhere(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Where there is no ``.env``."""
    monkeypatch.chdir(tmp_path)


def test_every_setting_has_a_row_with_its_default_and_every_row_a_setting() -> None:
    assert rows("qwen", PREFIX) == fields(QwenSettings)


def test_the_variables_of_the_earlier_server_are_read_and_documented(monkeypatch: pytest.MonkeyPatch) -> None:
    documented = dict(re.findall(rf"^\| `{PREFIX}(\w+)` .* \| `(\w+)` \|$", page("qwen"), re.MULTILINE))
    assert {name: field.upper() for name, (field, _) in EARLIER.items()} == {v: k for k, v in documented.items()}
    for name, (_, value) in EARLIER.items():
        monkeypatch.setenv(name, str(value).lower() if isinstance(value, bool) else str(value))
    assert {field: getattr(read(), field) for field, _ in EARLIER.values()} == dict(EARLIER.values())


def test_ours_goes_before_that_of_the_earlier_server(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("CUDA_DEVICE", "cuda:0")
    (tmp_path / ".env").write_text(f"{PREFIX}DTYPE=float16\nMODEL_DTYPE=bfloat16\n{PREFIX}VOICE=\nVOXWIRE_HOST=x\n")
    monkeypatch.setenv(f"{PREFIX}DEVICE", "cpu")
    settings = read()
    assert (settings.device, settings.dtype, settings.voice) == ("cpu", "float16", None)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        (f"{PREFIX}WIDTH", "0"),
        (f"{PREFIX}TOP_K", "0"),
        (f"{PREFIX}TEMPERATURE", "warm"),
        (f"{PREFIX}MAX_TOKENS", "4096"),
        (f"{PREFIX}FIRST_FRAMES", "0"),
        ("MODEL_DTYPE", "int4"),
        ("USE_FLASH_ATTENTION", "perhaps"),
    ],
)
def test_a_wrong_setting_is_named(monkeypatch: pytest.MonkeyPatch, name: str, value: str) -> None:
    monkeypatch.setenv(name, value)
    with pytest.raises(EngineUnavailable, match=f"(^| ){name} is wrong: "):
        Qwen()


def test_a_wrong_setting_with_two_names_is_named_with_both(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(f"{PREFIX}DTYPE", "int4")
    with pytest.raises(EngineUnavailable, match=f"^{PREFIX}DTYPE or MODEL_DTYPE is wrong: input should be 'auto'"):
        Qwen()


def test_the_models_that_are_named_are_the_kinds_that_there_are() -> None:
    settings = QwenSettings(_env_file=None, base_model="b", custom_voice_model="a")
    assert settings.models == {"custom_voice": "a", "base": "b"}
    assert settings.sampling == {"max_tokens": 2048}
