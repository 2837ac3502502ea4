"""The settings, and the table of them in the documentation."""

from __future__ import annotations

from pathlib import Path

import pytest

from providers.base import EngineUnavailable
from providers.kokoro.engine import Kokoro
from providers.kokoro.settings import PREFIX, KokoroSettings
from tests.providers.settings_docs import fields, rows


@pytest.fixture(autouse=True)
def _nowhere(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Where there is no ``.env``."""
    monkeypatch.chdir(tmp_path)


def test_every_setting_has_a_row_with_its_default_and_every_row_a_setting() -> None:
    assert rows("kokoro", PREFIX) == fields(KokoroSettings)


@pytest.mark.parametrize(("name", "value"), [("WIDTH", "-1"), ("THREADS", "65"), ("MAX_WAITING", "few")])
def test_a_wrong_setting_is_named(monkeypatch: pytest.MonkeyPatch, name: str, value: str) -> None:
    monkeypatch.setenv(f"{PREFIX}{name}", value)
    with pytest.raises(EngineUnavailable, match=f"^{PREFIX}{name} is wrong: "):
        Kokoro()


def test_a_batch_has_several_cores_and_the_others_share_the_rest(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("providers.kokoro.settings.cores", lambda: 8)
    for width, threads, expected in ((0, 0, (2, 4)), (1, 0, (1, 4)), (99, 0, (8, 4)), (0, 1, (8, 1)), (0, 16, (1, 16))):
        settings = KokoroSettings(_env_file=None, width=width, threads=threads)
        assert (settings.lane_width, settings.run_threads) == expected
