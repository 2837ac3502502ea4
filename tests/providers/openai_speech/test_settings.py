"""The settings, and the table of them in the documentation."""

from __future__ import annotations

from pathlib import Path

import pytest
from pydantic import SecretStr

from providers.base import EngineUnavailable
from providers.openai_speech import PREFIX, OpenAISpeech, OpenAISpeechSettings
from providers.openai_speech.settings import read
from tests.providers.settings_docs import page


@pytest.fixture(autouse=True)
def _nowhere(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Where there is no ``.env``."""
    monkeypatch.chdir(tmp_path)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("URL", "kokoro:8880"),
        ("URL", "http://"),
        ("URL", "http://[::1/v1"),
        ("URL", "http://host:99999/v1"),
        ("URL", "http://a host/v1"),
        ("URL", "https://host/v1?key=k"),
        ("URL", "https://host/v1#k"),
        ("API_KEY", "k\r\nx-other: y"),
        ("EXTRA", '{"stream": '),
        ("EXTRA", "[]"),
        ("RESPONSE_FORMAT", "mp3"),
        ("PLACES", "0"),
    ],
)
def test_a_wrong_setting_is_named(monkeypatch: pytest.MonkeyPatch, name: str, value: str) -> None:
    monkeypatch.setenv(f"{PREFIX}{name}", value)
    with pytest.raises(EngineUnavailable, match=f"^{PREFIX}{name} is wrong: "):
        OpenAISpeech()


def test_a_password_in_the_address_and_a_key_exclude_each_other(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(f"{PREFIX}URL", "https://user:secret@host/v1")
    assert read().url == "https://user:secret@host/v1"
    monkeypatch.setenv(f"{PREFIX}API_KEY", "key")
    with pytest.raises(EngineUnavailable, match="only one of them can") as raised:
        read()
    assert "secret" not in str(raised.value)


def test_a_key_that_was_read_from_a_file_loses_its_line_feed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(f"{PREFIX}API_KEY", " key\n")
    assert read().api_key == SecretStr("key")
    monkeypatch.setenv(f"{PREFIX}API_KEY", "")
    assert read().api_key is None


def test_fields_for_each_request_are_a_json_object(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(f"{PREFIX}EXTRA", '{"stream": true}')
    assert read().extra == {"stream": True}
    monkeypatch.setenv(f"{PREFIX}EXTRA", "")
    assert read().extra == {}


def test_every_setting_has_a_row_in_the_docs() -> None:
    rows = {line.split("`")[1] for line in page("openai-speech").splitlines() if line.startswith(f"| `{PREFIX}")}
    assert rows == {PREFIX + name.upper() for name in OpenAISpeechSettings.model_fields}
