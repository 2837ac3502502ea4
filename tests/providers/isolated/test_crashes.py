"""An engine's process that ends, hangs or lies: whoever it spoke for is told so, nobody else notices, and the next one
gets another.
"""

from __future__ import annotations

import asyncio
import logging
import os
import re
import signal
import struct
from contextlib import aclosing
from pathlib import Path

import pytest

from providers.base import EngineFailed, EngineUnavailable, PcmChunk, ProviderError, Segment
from providers.isolated import remote
from providers.registry import Providers, load
from providers.status import State
from tests.providers.isolated.processes import WILD, made, over, running, speak
from tests.support.clock_ahead import clock_ahead
from tests.support.duplex import duplex
from tests.support.serving import serving


async def lost(engine: object) -> ProviderError:
    """Why its process was lost, when it is."""
    told: asyncio.Future[ProviderError] = asyncio.get_running_loop().create_future()
    engine.when_lost(told.set_result)  # type: ignore[attr-defined]
    return await told


@pytest.mark.parametrize(
    ("step", "status"),
    [
        ("kill", "was ended by SIGKILL"),
        ("segv", "was ended by SIGSEGV"),
        ("exit", "ended with status 3"),
        ("quit", "ended with status 4"),
    ],
)
async def test_its_end_fails_what_it_was_saying_and_is_told_in_the_log(
    step: str, status: str, caplog: pytest.LogCaptureFixture
) -> None:
    async with running() as engine:
        told = asyncio.create_task(lost(engine))
        waiting = asyncio.create_task(speak(engine, "20 wait"))
        with pytest.raises(EngineFailed, match=r"^engine 'wild' crashed; the next request starts it again$"):
            await speak(engine, f"20 20 {step}")
        with pytest.raises(EngineFailed, match="crashed"):
            await waiting
        error = await told
        assert (str(error), type(error)) == ("engine 'wild' crashed", EngineUnavailable)
        with pytest.raises(EngineUnavailable, match="not loaded"):
            await speak(engine, "20")
        await engine.close()
        assert status in caplog.text
        if step == "segv":
            assert "Fatal Python error: Segmentation fault" in caplog.text
        await engine.start()
        assert await speak(engine, "20")


async def test_what_was_between_two_chunks_fails_with_the_next() -> None:
    async with running() as engine:
        voice = (await engine.voices())[0]
        async with aclosing(engine.synthesize(Segment("20 20", voice))) as chunks:
            await anext(chunks)
            os.kill(engine.process, signal.SIGKILL)
            await lost(engine)
            with pytest.raises(EngineFailed, match="crashed"):
                await anext(chunks)


async def turns() -> None:
    """Let everything run that is ready to."""
    for _ in range(10):
        await asyncio.sleep(0)


def frame(header: bytes, payload: bytes = b"") -> bytes:
    return struct.pack("!II", len(header), len(payload)) + header + payload


@pytest.mark.parametrize(
    "rubbish",
    [
        b"HTTP/1.1 200 OK\r\n\r\n",
        frame(b"{"),
        frame(b"[" * 10_000),
        frame(b"[]"),
        frame(b'{"is": "done"}'),
        frame(b'{"is": "done", "id": []}'),
        frame(b'{"is": ["done"], "id": 1}'),
        frame(b'{"is": "chunk", "id": 999}'),
        frame(b'{"is": "state", "what": {"places": 0}}'),
        frame(b'{"is": "state", "what": {"trouble": {"kind": "Evil"}}}'),
    ],
)
async def test_one_that_answers_nonsense_is_ended(rubbish: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WILD_BYTES", rubbish.hex())
    async with running() as engine:
        pid = engine.process
        with pytest.raises(EngineFailed, match=r"^engine 'wild' gave an answer that makes no sense; the next"):
            await speak(engine, "20 rubbish wait")
        await over(pid)
        await engine.start()
        assert await speak(engine, "20")


@pytest.mark.parametrize(
    ("words", "said"),
    [("[[1, 2, 3]]", "makes no sense"), ('"no list"', "makes no sense"), ("null", "makes no sense")],
)
async def test_an_answer_that_is_no_sound_is_nonsense_too(
    words: str, said: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with running() as engine:
        number = engine._remote._last + 2  # the next but one: before it, the voices are asked for
        answer = frame(f'{{"is": "chunk", "id": {number}, "words": {words}}}'.encode(), b"\0\0")
        monkeypatch.setenv("WILD_BYTES", answer.hex())
        await engine.close()
        await engine.start()
        assert engine._remote._last + 2 == number
        with pytest.raises(EngineFailed, match=said):
            await speak(engine, "rubbish wait")


@pytest.mark.parametrize("method", ["make", "start"])
@pytest.mark.parametrize("step", ["kill", "exit"])
async def test_a_crash_while_it_is_loaded_is_a_load_that_failed(method: str, step: str) -> None:
    providers = Providers([WILD], {WILD: {"at": {method: step}}}, isolated=[WILD])
    await providers.start()
    (status,) = providers.status.values()
    assert status.state is State.FAILED
    assert status.code == "engine_unavailable"
    assert (status.message or "").endswith("crashed while it was being loaded")
    assert 0.0 < (status.retry_after or 0.0) <= 5.0
    await providers.close()


async def test_a_start_that_takes_too_long_is_ended() -> None:
    providers = Providers([WILD], {WILD: {"at": {"start": "stop"}}}, isolated=[WILD], preload=())
    await providers.start()
    engine = providers.engine("wild")
    # Only now: how long its process takes to tell what it is depends on the machine.
    engine._start_timeout = 0.2
    await engine.start()
    (status,) = providers.status.values()
    assert status.message == "engine 'wild' did not start within 0.2 seconds"
    assert status.memory is None
    await providers.close()


@pytest.mark.parametrize("step", ["stop", "hold"])
async def test_one_that_gives_no_sign_of_life_is_ended(
    step: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(remote, "PULSE", 0.05)
    note = tmp_path / "note"
    os.mkfifo(note)
    # Opened for both, it has no end whenever its writers close it.
    with os.fdopen(os.open(note, os.O_RDWR)) as lines:
        async with running(note=str(note)) as engine:
            pid = engine.process
            speaking = asyncio.create_task(speak(engine, f"20 {step}"))
            while (await asyncio.to_thread(lines.readline)).strip() != step:
                pass
            # Only now: until then a machine that is busy may keep it silent for longer.
            monkeypatch.setattr(remote, "_SILENCE", 0.2)
            with pytest.raises(EngineFailed, match="did not answer any more; the next request starts it again"):
                await speaking
            await over(pid)


async def test_a_gateway_that_was_stopped_for_long_does_not_blame_the_engine(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(remote, "PULSE", 0.05)
    put_ahead = clock_ahead(monkeypatch)
    async with running() as engine:
        pid = engine.process
        await speak(engine, "20")
        # The look at its signs of life is overdue, and comes before any answer can.
        os.kill(pid, signal.SIGSTOP)
        await asyncio.to_thread(os.waitid, os.P_PID, pid, os.WSTOPPED)
        await turns()
        put_ahead(10 * remote._SILENCE)
        await turns()
        os.kill(pid, signal.SIGCONT)
        assert await speak(engine, "20")
        assert engine.process == pid


async def test_one_that_hangs_when_it_is_closed_is_killed(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(remote, "_GRACE", 0.3)
    for hang in ({"at": {"close": "stop"}}, {"at": {"close": "hold"}}, {"at": {"start": "stay"}}):
        engine = await made(**hang)
        await engine.start()
        pid = engine.process
        await engine.close()
        await over(pid)
    assert caplog.text.count("does not end, and is killed") == 3


async def test_what_it_has_started_goes_with_it() -> None:
    async with running() as engine:
        await speak(engine, "20 spawn")
        pid = engine.process
        with open(f"/proc/{pid}/task/{pid}/children") as children:  # noqa: ASYNC230, PTH123
            (child,) = children.read().split()
        os.kill(pid, signal.SIGKILL)
        await over(int(child))


async def test_what_it_prints_and_logs_is_in_the_gateways_log(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    async with running() as engine:
        await speak(engine, "print log flood 20")
    assert "engine wild printed: printed by the engine" in caplog.text
    logged = next(record for record in caplog.records if "logged by the engine" in record.getMessage())
    assert (logged.levelname, logged.getMessage()) == (
        "WARNING",
        "engine wild: logged by the engine, 2 lines\nand another",
    )
    assert max(len(record.getMessage()) for record in caplog.records) < 100_000


async def test_a_crash_in_mid_utterance_is_told_to_its_sessions_alone() -> None:
    async with (
        serving(engines=[WILD, "mock_tone"], isolated_engines=(WILD,), providers=(WILD, "mock_tone")) as served,
        duplex(served.ws) as client,
    ):
        engine = served.gateway.providers.engine("wild")
        pid = engine.provider.process  # type: ignore[union-attr]
        crashing = await client.speak("a", "200 wait", pace="burst")
        other = await client.speak("b", "Hello there, how are you? " * 4, voice="en-US-mock-1")
        await asyncio.gather(crashing.begun.wait(), other.begun.wait())
        os.kill(pid, signal.SIGKILL)
        await crashing.over.wait()
        last = crashing.last
        assert (last["type"], last["code"]) == ("error", "engine_failed")
        assert last["message"] == "engine 'wild' crashed; the next request starts it again"
        again = await client.speak("c", "1000", pace="burst")
        await again.over.wait()
        assert (again.last["type"], len(again.sound)) == ("ended", 48_000)
        assert engine.provider.process not in (None, pid)  # type: ignore[union-attr]
        await other.over.wait()
        assert other.last["type"] == "ended"
        assert len(other.sound) == sum(len(chunk.pcm) for chunk in await whole("Hello there, how are you? " * 4))


async def whole(text: str) -> list[PcmChunk]:
    """What the tone makes of it, sentence by sentence."""
    tone = load("mock_tone")
    return [chunk for sentence in re.findall(r"\S[^?]*\?", text) for chunk in await speak(tone, sentence)]
