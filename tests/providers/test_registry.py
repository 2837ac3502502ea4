from __future__ import annotations

import asyncio
import importlib
import logging
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import ClassVar

import pytest

from providers import registry
from providers.base import (
    EngineFailed,
    EngineUnavailable,
    MissingDependency,
    ProviderError,
    UnknownProvider,
    UnknownVoice,
    Voice,
)
from providers.registry import PROVIDERS, Providers, Row, load
from providers.status import State
from providers.tone import Tone
from tests.support.engines import Broken, Scripted
from tests.support.virtual_time import virtual_time

SCRIPTED = "tests.support.engines:Scripted"
DOCS = Path(__file__).parents[2] / "docs" / "engines.md"


class Voiceless(Scripted):
    id: ClassVar[str] = "voiceless"

    async def voices(self) -> Sequence[Voice]:
        return ()


class Crashing(Scripted):
    id: ClassVar[str] = "crashing"

    async def start(self) -> None:
        raise OSError("/secret/path")

    async def close(self) -> None:
        raise OSError("/secret/path")


# ---- load


@pytest.mark.parametrize("name", PROVIDERS)
def test_every_row_names_a_class_of_its_id(name: str) -> None:
    try:
        assert load(name).id == name
    except MissingDependency as error:
        pytest.skip(str(error))


@pytest.mark.parametrize("name", PROVIDERS)
def test_every_engine_has_a_row_in_the_docs(name: str) -> None:
    rows = [line for line in DOCS.read_text().splitlines() if line.startswith(f"| `{name}` |")]
    assert len(rows) == 1
    assert (PROVIDERS[name].install or "core") in rows[0]


def test_options_go_to_the_constructor() -> None:
    assert isinstance(load("mock_tone", sample_rate=16000), Tone)


def test_an_unknown_id_lists_what_there_is() -> None:
    with pytest.raises(UnknownProvider) as refused:
        load("nope")
    assert all(name in str(refused.value) for name in PROVIDERS)


def test_an_engine_from_elsewhere_is_named_by_its_class() -> None:
    assert isinstance(load(SCRIPTED, voices=["x"]), Scripted)


def test_a_missing_package_gives_the_line_that_installs_it(monkeypatch: pytest.MonkeyPatch) -> None:
    row = Row("providers.hibari:Hibari", "pip install 'voxwire[x]'", "")
    monkeypatch.setitem(PROVIDERS, "hibari", row)
    monkeypatch.setitem(sys.modules, "hibari", None)
    monkeypatch.delitem(sys.modules, "providers.hibari", raising=False)
    with pytest.raises(MissingDependency) as raised:
        load("hibari")
    assert raised.value.fix == "pip install 'voxwire[x]'"
    assert "pip install 'voxwire[x]'" in str(raised.value)


@pytest.mark.parametrize(
    ("name", "error"),
    [
        ("tests.support.nowhere:Engine", UnknownProvider),
        ("nowhere.at.all:Engine", UnknownProvider),
        ("tests.support.engines:Nothing", UnknownProvider),
        ("tests.support.engines:sound", UnknownProvider),
        ("tests.support.engines:Say", UnknownProvider),
        (":", UnknownProvider),
        ("needy:Engine", EngineUnavailable),
        ("torn:Engine", EngineUnavailable),
    ],
)
def test_an_engine_from_elsewhere_that_cannot_be_had(
    name: str, error: type[ProviderError], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "needy.py").write_text("import surely_not_installed")
    (tmp_path / "torn.py").write_text("raise OSError('libnothing.so')")
    monkeypatch.syspath_prepend(tmp_path)
    importlib.invalidate_caches()
    with pytest.raises(error):
        load(name, **({"pcm": b""} if name.endswith("Say") else {}))


# ---- Providers


async def test_engines_start_together_and_one_that_fails_does_not_stop_the_others() -> None:
    engines = Providers([Broken(), SCRIPTED, "mock_tone"])
    await engines.start()
    assert engines.get("scripted") is engines.get(SCRIPTED)
    assert isinstance(engines.get("mock_tone"), Tone)
    with pytest.raises(EngineUnavailable, match="no model"):
        engines.get("broken")
    await engines.close()


async def test_the_status_of_each_engine_is_told() -> None:
    scripted = Scripted()
    scripted.start_gate = asyncio.Event()
    engines = Providers([scripted, Broken(), "nope"])
    assert {status.state for status in engines.status.values()} == {State.STARTING}
    starting = asyncio.create_task(engines.start())
    while State.STARTING in (engines.status["broken"].state, engines.status["nope"].state):  # noqa: ASYNC110
        await asyncio.sleep(0)
    assert not engines.voices
    with pytest.raises(EngineUnavailable, match="starting"):
        engines.get("scripted")
    scripted.start_gate.set()
    await starting
    assert engines.status["scripted"].state is State.READY
    assert engines.status["nope"].code == "unknown_provider"
    broken = engines.status["broken"]
    assert (broken.state, broken.code) == (State.FAILED, "engine_unavailable")
    assert broken.message == "engine 'broken' has no model"
    await engines.close()
    assert engines.status["scripted"].message == "engine 'scripted' is closed"


async def test_what_is_no_provider_error_is_logged_and_not_told(caplog: pytest.LogCaptureFixture) -> None:
    engines = Providers([Crashing()])
    with caplog.at_level(logging.ERROR, "providers"):
        await engines.start()
        with pytest.raises(EngineFailed) as raised:
            engines.get("crashing")
        await engines.close()
    assert "secret" not in str(raised.value)
    assert "secret" in caplog.text


async def test_an_engine_without_a_voice_has_failed() -> None:
    engines = Providers([Voiceless()])
    await engines.start()
    with pytest.raises(EngineUnavailable, match="no voice"):
        engines.get("voiceless")


async def test_starting_again_tries_what_failed_and_leaves_the_rest() -> None:
    scripted, broken = Scripted(), Broken()
    engines = Providers([scripted, broken])
    await engines.start()
    broken.start_error = None
    await engines.start()
    assert engines.get("broken") is broken
    assert (scripted.starts, broken.starts) == (1, 2)


async def test_every_engine_is_closed_even_if_another_cannot_be() -> None:
    scripted = Scripted()
    engines = Providers([Crashing(), scripted])
    await engines.start()
    await engines.close()
    assert scripted.closes == 1
    with pytest.raises(EngineUnavailable, match="closed"):
        engines.get("scripted")


async def test_a_remembered_error_does_not_grow_with_its_callers() -> None:
    engines = Providers([Broken()])
    await engines.start()
    depths = []
    for _ in range(3):
        with pytest.raises(EngineUnavailable) as raised:
            engines.get("broken")
        depths.append(len(raised.traceback))
    assert len(set(depths)) == 1


def test_no_engine_at_all_is_refused() -> None:
    with pytest.raises(ValueError, match="at least one"):
        Providers([])


# ---- voices


@pytest.fixture
async def engines() -> Providers:
    running = Providers([Scripted(), "mock_tone", Broken()])
    await running.start()
    return running


@pytest.mark.parametrize(
    ("provider", "voice", "found"),
    [
        (None, None, ("scripted", "one")),
        (None, "two", ("scripted", "two")),
        (None, "en-US-mock-2", ("mock_tone", "en-US-mock-2")),
        ("mock_tone", None, ("mock_tone", "en-US-mock-1")),
        ("mock_tone", "en-US-mock-2", ("mock_tone", "en-US-mock-2")),
    ],
)
async def test_a_voice_is_found(
    engines: Providers, provider: str | None, voice: str | None, found: tuple[str, str]
) -> None:
    engine, known = engines.find_voice(provider, voice)
    assert (engine.id, known.id) == found


@pytest.mark.parametrize(
    ("provider", "voice", "error", "message"),
    [
        (None, "nobody", UnknownVoice, "there are: one, two, en-US-mock-1, en-US-mock-2"),
        ("mock_tone", "one", UnknownVoice, "there are: en-US-mock-1, en-US-mock-2"),
        ("nope", None, UnknownProvider, "there are: scripted, mock_tone, broken"),
        ("broken", None, EngineUnavailable, "no model"),
        ("broken", "nobody", EngineUnavailable, "no model"),
        (None, "broken-one", EngineUnavailable, "no model"),
    ],
)
async def test_a_voice_that_cannot_be_had_is_refused_with_what_there_is(
    engines: Providers, provider: str | None, voice: str | None, error: type[ProviderError], message: str
) -> None:
    with pytest.raises(error, match=message):
        engines.find_voice(provider, voice)


@pytest.mark.parametrize(
    ("provider", "language", "found"),
    [
        (None, "en", ("scripted", "ann")),
        (None, "en-us", ("scripted", "ann")),
        (None, "en-GB", ("scripted", "bob")),
        (None, "de-AT", ("other", "dora")),
        ("other", "en", ("other", "dora")),  # nobody there does, so the first, who may refuse
        (None, "pt", ("scripted", "ann")),
    ],
)
async def test_without_a_voice_the_first_that_speaks_the_language_is_found(
    provider: str | None, language: str, found: tuple[str, str]
) -> None:
    spoken = {"ann": "en-US", "bob": "en-GB", "dora": "de-DE"}

    class Speaking(Scripted):
        async def voices(self) -> Sequence[Voice]:
            return [replace(voice, language=spoken[voice.id]) for voice in await super().voices()]

    class Other(Speaking):
        id: ClassVar[str] = "other"

    engines = Providers([Speaking(voices=["ann", "bob"]), Other(voices=["dora"])])
    await engines.start()
    engine, known = engines.find_voice(provider, None, language)
    assert (engine.id, known.id) == found
    assert engines.find_voice("other", "dora", "en")[1].id == "dora"


async def test_the_list_of_voices_in_a_refusal_is_bounded() -> None:
    engines = Providers([Scripted(voices=[f"voice-{index}" for index in range(500)])])
    await engines.start()
    with pytest.raises(UnknownVoice, match=f"and {500 - registry._NAMES_SHOWN} more"):
        engines.find_voice(None, "nobody")


async def test_a_voice_of_two_engines_is_spoken_by_the_one_that_is_ready() -> None:
    engines = Providers([Broken(voices=["one"]), Scripted()])
    await engines.start()
    assert engines.find_voice(None, "one")[0].id == "scripted"


async def test_the_voices_of_ready_engines_are_listed(engines: Providers) -> None:
    listed = [(engine.id, voice.id) for engine, voice in engines.voices]
    assert listed == [
        ("scripted", "one"),
        ("scripted", "two"),
        ("mock_tone", "en-US-mock-1"),
        ("mock_tone", "en-US-mock-2"),
    ]
    assert engines.default.id == "scripted"


@virtual_time
async def test_an_engine_that_does_not_start_in_time_has_failed_and_the_others_serve() -> None:
    slow, quick = Scripted(voices=("slow",)), Scripted(voices=("quick",))
    slow.start_gate = asyncio.Event()
    providers = Providers([quick, slow], start_timeout=60.0)
    await providers.start()
    assert providers.find_voice(None, "quick")[0] is quick
    with pytest.raises(EngineUnavailable, match="did not start within"):
        providers.find_voice(None, "slow")
    await providers.close()
