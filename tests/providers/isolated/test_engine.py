"""An engine in a process of its own is, for the gateway, the engine that it is here."""

from __future__ import annotations

import asyncio
import sys
import zlib
from contextlib import aclosing
from pathlib import Path
from typing import Any

import pytest

from providers.base import (
    Accounted,
    BadClip,
    BadOption,
    Bidirectional,
    Capabilities,
    Clip,
    Cloning,
    Credentialed,
    Designing,
    EngineUnavailable,
    Isolated,
    Limited,
    MissingDependency,
    PcmChunk,
    Provider,
    ProviderError,
    Segment,
    Tunable,
    UnknownProvider,
    Voice,
    Watched,
)
from providers.isolated import remote
from providers.registry import load
from tests.providers.isolated.processes import PLAIN, WILD, made, running, speak
from tests.support.wild import ERRORS

OPTIONAL = (Tunable, Limited, Accounted, Watched, Cloning, Designing, Bidirectional, Credentialed)


async def test_it_is_what_the_engine_is_and_nothing_else() -> None:
    for name, offered in ((WILD, set(OPTIONAL[:6])), (PLAIN, set())):
        engine = await made(name)
        assert isinstance(engine, Provider)
        assert isinstance(engine, Isolated)
        assert {kind for kind in OPTIONAL if isinstance(engine, kind)} == offered
        assert (engine.id, engine.capabilities) == ("wild", Capabilities(True, speeds=(0.5, 2.0), max_characters=777))
        assert [voice.id for voice in await engine.voices()] == ["one", "two"]
        await engine.close()


async def test_nothing_of_an_engine_without_options_is_imported_here(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(sys.modules, "providers.tone", raising=False)
    async with running("mock_tone") as engine:
        assert await speak(engine, "Hello there.")
        assert "providers.tone" not in sys.modules


async def test_its_samples_are_those_of_the_same_engine_here() -> None:
    for name in ("mock_tone", "hibari"):
        here = load(name)
        await here.start()
        async with running(name) as engine:
            text = "The morning train leaves at seven. Nobody is on it."
            assert await speak(engine, text) == await speak(here, text)
            assert await engine.voices() == await here.voices()
        await here.close()


async def test_all_of_a_segment_reaches_the_engine_and_words_come_back() -> None:
    voice = Voice("one", "Eins \ud800", "de", 24000, prompt=b"\0\xff" * 500_000)
    async with running() as engine:
        given = Segment("repr \ud83d", voice, 1.5, "de", 7, True, {"heat": [0.5, {"x": None}], "checked": True})
        (chunk,) = [chunk async for chunk in engine.synthesize(given)]
        assert chunk.words[0].text == repr((given, zlib.crc32(voice.prompt or b"")))
        assert (chunk.pcm, chunk.words[0].start, chunk.words[0].end) == (b"\0\0", 0, 1)


@pytest.mark.parametrize("name", ERRORS)
async def test_an_error_comes_back_as_what_it_is(name: str) -> None:
    async with running() as engine:
        expected = ERRORS[name]
        with pytest.raises(ProviderError) as raised:
            await speak(engine, f"20 {name}")
        error = raised.value
        assert (str(error), error.retry_after) == (str(expected), expected.retry_after)
        assert (error.code, error.retryable) == (expected.code, expected.retryable)
        assert isinstance(error, next(kind for kind in type(expected).__mro__ if kind.__module__ == "providers.base"))
        assert getattr(error, "fix", None) == getattr(expected, "fix", None)
        assert len(await speak(engine, "20 20")) == 2


@pytest.mark.parametrize("step", ["raise", "cancel"])
async def test_whatever_else_it_raises_is_its_failure_and_nothing_of_it_is_told(
    step: str, caplog: pytest.LogCaptureFixture
) -> None:
    async with running() as engine:
        with pytest.raises(ProviderError, match=r"^engine 'wild' failed$") as raised:
            await speak(engine, f"20 {step}")
        assert raised.value.code == "engine_failed"
        if step == "raise":
            assert "/secret/path" in caplog.text
        assert await speak(engine, "20")


async def test_options_are_checked_here_by_the_engines_own_rules() -> None:
    engine = await made()
    assert engine.option_names == {"heat"}
    assert engine.check({"heat": 1}) == {"heat": 1, "checked": True}
    with pytest.raises(BadOption, match="only heat"):
        engine.check({"cold": 1})
    await engine.close()


async def test_voices_are_made_there_and_their_prompts_are_bytes_here() -> None:
    async with running() as engine:
        voice = await engine.clone(Clip(b"\1\2" * 3_000_000, 48000, "hello \ud800"))
        assert voice == Voice("cloned", "6000000 at 48000", "mul", 24000, prompt=bytes(range(256)) + b"\1\2\1\2")
        with pytest.raises(BadClip, match="not this one"):
            await engine.clone(Clip(b"\1\2", 48000, "bad"))
        assert await engine.design("a calm man", "de") == Voice("designed", "a calm man", "de", 24000, prompt=b"p")


async def test_what_it_says_of_itself_is_known_here_when_it_has_changed() -> None:
    async with running() as engine:
        assert (engine.places, engine.clones, engine.designs, engine.account) == (3, True, False, "wild-account")
        assert engine.trouble is None
        assert engine.detail.startswith("in a process of its own (")
        assert engine.detail.endswith(" MB); as wild as it gets")
        assert engine.memory > 10_000_000
        await engine.design("a calm man")
        assert (engine.places, engine.designs) == (5, True)
        assert (engine.trouble.code, str(engine.trouble), engine.trouble.retry_after) == (
            "wild_denied",
            "it is tired",
            3,
        )
    assert (engine.memory, engine.trouble) == (None, None)


async def test_an_error_of_its_start_is_the_engines_own_and_it_can_be_started_again() -> None:
    engine = await made(at={"start": "busy"})
    for _ in range(2):
        with pytest.raises(ProviderError, match="it has no room"):
            await engine.start()
    await engine.close()


async def test_an_engine_that_cannot_be_made_says_why() -> None:
    with pytest.raises(MissingDependency, match="pip install wild"):
        await made(at={"make": "missing"})
    with pytest.raises(ProviderError, match="failed"):
        await made(at={"make": "raise"})
    with pytest.raises(UnknownProvider):
        await made("no.such.package:Engine")
    with pytest.raises(EngineUnavailable, match="cannot have a process of its own: it is bidirectional"):
        await made("tests.support.wild:Singing")
    with pytest.raises(EngineUnavailable, match="bidirectional and credentialed"):
        await made("volcano")


async def test_who_does_not_pull_holds_the_engine_back(tmp_path: Path) -> None:
    note = tmp_path / "note"
    async with running(note=str(note)) as engine:
        voice = (await engine.voices())[0]
        async with aclosing(engine.synthesize(Segment("10 20 30 40", voice))) as chunks:
            await anext(chunks)
            await anext(chunks)
            await engine.voices()
            assert note.read_text().splitlines()[-4:] == ["started", "begun", "chunk 10", "chunk 20"]
        await engine.settled()
        assert note.read_text().splitlines()[-2:] == ["chunk 20", "left"]


async def listen(engine: Any, heard: asyncio.Queue[PcmChunk]) -> None:
    """To two chunks, and then to nothing."""
    voice = (await engine.voices())[0]
    async with aclosing(engine.synthesize(Segment("10 10 wait", voice))) as chunks:
        async for chunk in chunks:
            heard.put_nowait(chunk)


async def test_a_cancel_is_told_at_once_wherever_it_comes(tmp_path: Path) -> None:
    note = tmp_path / "note"
    async with running(note=str(note)) as engine:
        for turns, chunks in ((0, 0), (1, 0), (2, 0), (3, 0), (5, 0), (8, 0), (0, 1), (1, 1), (0, 2), (2, 2)):
            heard: asyncio.Queue[PcmChunk] = asyncio.Queue()
            task = asyncio.create_task(listen(engine, heard))
            for _ in range(chunks):
                await heard.get()
            for _ in range(turns):
                await asyncio.sleep(0)
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
        async with asyncio.timeout(60):
            await engine.settled()
        lines = note.read_text().splitlines()
        assert lines.count("left") == lines.count("begun") >= 4
        assert len(await speak(engine, "10 20")) == 2


async def test_a_start_that_is_cancelled_leaves_nothing_and_another_starts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # However slow it is to end, it ends by itself.
    monkeypatch.setattr(remote, "_GRACE", 60.0)
    note = tmp_path / "note"
    engine = await made(note=str(note))
    starting = asyncio.create_task(engine.start())
    await asyncio.sleep(0)
    starting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await starting
    assert engine.process is None
    await engine.start()
    assert await speak(engine, "20")
    await engine.close()
    assert note.read_text().splitlines()[-1] == "closed"


async def test_what_cannot_be_sent_is_refused_and_harms_nobody() -> None:
    async with running() as engine:
        with pytest.raises(ProviderError, match="cannot be given this"):
            await speak(engine, "20", options={"heat": object()})
        with pytest.raises(ProviderError, match="cannot be given this"):
            await engine.clone(Clip(bytes(70_000_000), 48000))
        with pytest.raises(ProviderError, match="cannot be given this"):
            await speak(engine, "20 " * 500_000)
        assert await speak(engine, "20")
