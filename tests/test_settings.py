import re
from pathlib import Path

import pytest
from pydantic import ValidationError

from gateway.config import Settings

DOCS = Path(__file__).parent.parent / "docs" / "settings.md"


def rows() -> dict[str, str]:
    """Variable to default, from the tables."""
    return dict(re.findall(r"^\| `VOXWIRE_(\w+)` \| (\S[^|]*?) \|", DOCS.read_text(), re.MULTILINE))


def shown(value: object) -> str:
    if value in (None, ()):
        return "none"
    if isinstance(value, tuple):
        return f"`{','.join(map(str, value))}`"
    return f"`{value:g}`" if isinstance(value, float) else f"`{str(value).lower()}`"


def test_every_setting_has_a_row_with_its_default_and_every_row_a_setting(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir("/")
    defaults = {name.upper(): shown(field.default) for name, field in Settings.model_fields.items()}
    assert rows() == defaults


def test_lists_are_written_with_commas(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("VOXWIRE_PROVIDERS", "mock_tone, hibari,")
    monkeypatch.setenv("VOXWIRE_API_KEYS", "one,two")
    settings = Settings()
    assert settings.providers == ("mock_tone", "hibari")
    assert settings.api_keys == ("one", "two")


@pytest.mark.parametrize(
    ("variable", "field", "value"),
    [
        ("SESSION_QUEUE_MAXSIZE", "max_waiting", 7),
        ("SESSION_QUEUE_WORKER_COUNT", "max_sessions", 7),
        ("RATE_LIMIT_MAX_REQUESTS_PER_WINDOW", "rate_limit_requests", 7),
        ("RATE_LIMIT_WINDOW_SECONDS", "rate_limit_window", 7.0),
        ("VOXWIRE_MAX_WAITING", "max_waiting", 7),
    ],
)
def test_older_names_are_understood(monkeypatch: pytest.MonkeyPatch, variable: str, field: str, value: float) -> None:
    monkeypatch.setenv(variable, "7")
    assert getattr(Settings(), field) == value


def test_the_tone_can_be_left_out_by_its_older_name(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MOCK_TONE_ENABLED", "0")
    assert Settings().enabled_providers == ("hibari",)


def test_a_value_out_of_its_range_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("VOXWIRE_FRAME_MS", "5")
    with pytest.raises(ValidationError, match="frame_ms"):
        Settings()


def test_weights_of_tenants_are_written_with_their_names(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("VOXWIRE_API_KEYS", "web:0123456789,batch:9876543210")
    monkeypatch.setenv("VOXWIRE_TENANT_WEIGHTS", "web=3, batch=0.5")
    assert dict(Settings().tenant_weights) == {"web": 3.0, "batch": 0.5}


@pytest.mark.parametrize("weights", ["nobody=3", "web", "web=", "web=0", "web=-1", "web=nan", "web=inf"])
def test_a_weight_that_is_none_or_nobodys_is_refused(monkeypatch: pytest.MonkeyPatch, weights: str) -> None:
    monkeypatch.setenv("VOXWIRE_API_KEYS", "web:0123456789")
    monkeypatch.setenv("VOXWIRE_TENANT_WEIGHTS", weights)
    with pytest.raises(ValidationError):
        Settings()


@pytest.mark.parametrize(
    "url", ["localhost:6379", "http://localhost", "redis://localhost:port/0", "redis://localhost:99999"]
)
def test_an_address_of_redis_that_is_none_is_refused(monkeypatch: pytest.MonkeyPatch, url: str) -> None:
    monkeypatch.setenv("VOXWIRE_REDIS_URL", url)
    with pytest.raises(ValidationError, match="redis_url"):
        Settings()


def test_redis_without_its_package_is_refused_with_the_line_that_installs_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("VOXWIRE_REDIS_URL", "redis://localhost")
    assert Settings().redis_url == "redis://localhost"
    monkeypatch.setattr("gateway.config.find_spec", lambda _: None)
    with pytest.raises(ValidationError, match=r"pip install 'voxwire\[redis\]'"):
        Settings()


def test_an_empty_address_of_redis_is_none(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("VOXWIRE_REDIS_URL", "")
    assert Settings().redis_url is None


def test_engines_with_a_process_of_their_own_are_some_of_those_that_run(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("VOXWIRE_PROVIDERS", "hibari,piper")
    monkeypatch.setenv("VOXWIRE_ISOLATED_ENGINES", "piper")
    assert Settings().isolated_engines == ("piper",)
    monkeypatch.setenv("VOXWIRE_ISOLATED_ENGINES", "pipre")
    with pytest.raises(ValidationError, match="'pipre', and providers has not") as wrong:
        Settings()
    assert wrong.value.errors()[0]["loc"] == ("isolated_engines",)
