"""The settings, and the table of them in the documentation. Needs no Piper."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from providers.base import EngineUnavailable
from providers.piper.settings import PiperSettings, read

DOCS = Path(__file__).parents[3] / "docs" / "engines" / "piper.md"


@pytest.fixture(autouse=True)
def _nowhere(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Where there is no ``.env``."""
    monkeypatch.chdir(tmp_path)


def rows() -> dict[str, str]:
    """Variable to default, from the table."""
    return dict(re.findall(r"^\| `VOXWIRE_PIPER_(\w+)` \| (\S[^|]*?) \|", DOCS.read_text(), re.MULTILINE))


def shown(value: object) -> str:
    if value in (None, ()):
        return "none"
    return f"`{value:g}`" if isinstance(value, float) else f"`{value}`"


def test_every_setting_has_a_row_with_its_default_and_every_row_a_setting() -> None:
    assert rows() == {name.upper(): shown(field.default) for name, field in PiperSettings.model_fields.items()}


def test_the_environment_and_the_env_file_are_read(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / ".env").write_text("VOXWIRE_PIPER_VOICE=joe\nVOXWIRE_PIPER_WIDTH=2\nVOXWIRE_HOST=x\n")
    monkeypatch.setenv("VOXWIRE_PIPER_WIDTH", "1")
    monkeypatch.setenv("VOXWIRE_PIPER_VOICES", "/voices, /more/joe.onnx,")
    settings = read()
    assert (settings.voice, settings.width) == ("joe", 1)
    assert settings.voices == (Path("/voices"), Path("/more/joe.onnx"))


def test_voices_that_were_taken_apart_are_kept_in_the_users_cache(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert PiperSettings().shelf == tmp_path / "voxwire" / "piper"
    assert PiperSettings(cache=tmp_path / "here").shelf == tmp_path / "here"


def test_a_user_without_a_home_keeps_none(monkeypatch: pytest.MonkeyPatch) -> None:
    def nowhere() -> Path:
        raise RuntimeError("Could not determine home directory.")

    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
    monkeypatch.setattr(Path, "home", nowhere)
    assert PiperSettings().shelf is None


@pytest.mark.parametrize(
    ("variable", "value"), [("VOLUME", "0"), ("WIDTH", "many"), ("LOADED", "0"), ("THREADS", "17")]
)
def test_a_wrong_setting_is_named(monkeypatch: pytest.MonkeyPatch, variable: str, value: str) -> None:
    monkeypatch.setenv(f"VOXWIRE_PIPER_{variable}", value)
    with pytest.raises(EngineUnavailable, match=f"^VOXWIRE_PIPER_{variable} is wrong: "):
        read()
