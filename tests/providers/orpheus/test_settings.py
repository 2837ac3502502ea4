"""The settings, and the table of them in the documentation."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from pydantic import SecretStr

from providers.base import EngineUnavailable
from providers.orpheus.engine import Orpheus
from providers.orpheus.settings import OrpheusSettings

DOCS = Path(__file__).parents[3] / "docs" / "engines" / "orpheus.md"


@pytest.fixture(autouse=True)
def _nowhere(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Where there is no ``.env``."""
    monkeypatch.chdir(tmp_path)


def rows() -> dict[str, str]:
    """Variable to default, from the tables."""
    return dict(re.findall(r"^\| `VOXWIRE_ORPHEUS_(\w+)` \| (\S[^|]*?) \|", DOCS.read_text(), re.MULTILINE))


def shown(value: object) -> str:
    if value is None:
        return "none"
    return f"`{value:g}`" if isinstance(value, float) else f"`{str(value).lower()}`"


def test_every_setting_has_a_row_with_its_default_and_every_row_a_setting() -> None:
    assert rows() == {name.upper(): shown(field.default) for name, field in OrpheusSettings.model_fields.items()}


def test_the_engine_reads_the_environment_and_the_env_file(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / ".env").write_text("VOXWIRE_ORPHEUS_URL=http://llama:8090\nVOXWIRE_ORPHEUS_PLACES=2\nVOXWIRE_HOST=x\n")
    monkeypatch.setenv("VOXWIRE_ORPHEUS_PLACES", "3")
    monkeypatch.setenv("VOXWIRE_ORPHEUS_API_KEY", "sesame")
    engine = Orpheus()
    assert (engine.llama.address, engine.places) == ("llama:8090", 3)
    assert engine.settings.api_key == SecretStr("sesame")
    assert "sesame" not in repr(engine.settings)


@pytest.mark.parametrize(
    ("variable", "value"),
    [
        ("URL", "localhost:8090"),
        ("URL", "ftp://localhost"),
        ("URL", "http://"),
        ("URL", "http://llama:port"),
        ("URL", "http://llama:99999"),
        ("URL", "http://llama:8090?slots=4"),
        ("URL", "http://llama:8090/#top"),
        ("URL", "http://llama :8090"),
        ("URL", "http://[::1"),
        ("API_KEY", "two\nlines"),
        ("API_KEY", "schlüssel"),
        ("TOP_K", "0"),
        ("TEMPERATURE", "warm"),
        ("MAX_TOKENS", "4096"),
        ("BACKEND", "tpu"),
        ("PLACES", "0"),
    ],
)
def test_a_wrong_setting_is_named(monkeypatch: pytest.MonkeyPatch, variable: str, value: str) -> None:
    monkeypatch.setenv(f"VOXWIRE_ORPHEUS_{variable}", value)
    with pytest.raises(EngineUnavailable, match=f"^VOXWIRE_ORPHEUS_{variable} is wrong: "):
        Orpheus()


def test_an_address_and_a_key_may_have_space_around_them_and_a_key_may_be_empty() -> None:
    given = OrpheusSettings(url=" http://[::1]:8090/voices\n", api_key=SecretStr("sesame\n"))
    assert (given.url, given.api_key) == ("http://[::1]:8090/voices", SecretStr("sesame"))
    assert OrpheusSettings(api_key=SecretStr(" \n")).api_key is None


def test_a_key_and_a_user_name_do_not_go_together(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("VOXWIRE_ORPHEUS_URL", "http://voice:word@llama:8090")
    assert Orpheus().llama.address == "llama:8090"
    monkeypatch.setenv("VOXWIRE_ORPHEUS_API_KEY", "sesame")
    with pytest.raises(EngineUnavailable, match=r"^VOXWIRE_ORPHEUS_API_KEY is wrong: the address has a user name"):
        Orpheus()


def test_the_sampling_of_the_settings_is_that_of_a_request_which_says_nothing() -> None:
    assert OrpheusSettings().sampling == {
        "temperature": 0.6,
        "top_p": 0.9,
        "top_k": 40,
        "repetition_penalty": 1.1,
        "max_tokens": 2048,
    }
