import re
from pathlib import Path

import pytest
from pydantic import SecretStr, ValidationError

from providers.volcano.options import Options
from providers.volcano.settings import VolcanoSettings

DOCS = Path(__file__).parents[3] / "docs" / "engines" / "volcano.md"


def shown(value: object) -> str:
    if isinstance(value, SecretStr):
        value = value.get_secret_value()
    if value in (None, (), ""):
        return "none"
    return f"`{value:g}`" if isinstance(value, float) else f"`{str(value).lower()}`"


def test_every_setting_has_a_row_with_its_default_and_every_row_a_setting() -> None:
    rows = dict(re.findall(r"^\| `VOXWIRE_VOLCANO_(\w+)` \| (\S[^|]*?) \|", DOCS.read_text(), re.MULTILINE))
    assert rows == {name.upper(): shown(field.default) for name, field in VolcanoSettings.model_fields.items()}


def test_every_option_has_a_row_and_every_row_an_option() -> None:
    table = DOCS.read_text().partition("## Options")[2].partition("## ")[0]
    assert re.findall(r"^\| `(\w+)` \|", table, re.MULTILINE) == list(Options.model_fields)


@pytest.mark.parametrize(
    ("variable", "field", "value"),
    [
        ("VOLCENGINE_TTS_APPID", "app_id", "7"),
        ("VOLCENGINE_TTS_ACCESS_KEY", "access_key", SecretStr("7")),
        ("VOLCENGINE_TTS_CONCURRENCY", "concurrency", 7),
        ("VOXWIRE_VOLCANO_CONCURRENCY", "concurrency", 7),
        ("VOXWIRE_VOLCANO_API_KEY", "api_key", SecretStr("7")),
    ],
)
def test_the_environment_is_read_by_its_older_names_too(
    monkeypatch: pytest.MonkeyPatch, variable: str, field: str, value: object
) -> None:
    monkeypatch.setenv(variable, "7")
    assert getattr(VolcanoSettings(_env_file=None), field) == value


def test_lists_and_numbers_are_read_as_people_write_them(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("VOXWIRE_VOLCANO_VOICES", "S_one, S_two:en-US,")
    monkeypatch.setenv("VOXWIRE_VOLCANO_SAMPLE_RATE", "16000")
    settings = VolcanoSettings(_env_file=None)
    assert settings.voices == ("S_one", "S_two:en-US")
    assert settings.sample_rate == 16000


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("SAMPLE_RATE", "11025"),
        ("CONCURRENCY", "0"),
        ("URL", "wss://x"),
        ("PATH", "tts"),
        ("IDLE", "0"),
        ("RETRIES", "-1"),
    ],
)
def test_a_value_out_of_its_range_is_refused(monkeypatch: pytest.MonkeyPatch, name: str, value: str) -> None:
    monkeypatch.setenv(f"VOXWIRE_VOLCANO_{name}", value)
    with pytest.raises(ValidationError):
        VolcanoSettings(_env_file=None)


def test_keys_are_not_shown() -> None:
    settings = VolcanoSettings(_env_file=None, api_key="hidden", access_key="hidden")
    assert "hidden" not in repr(settings)
