"""The client without asyncio, against a gateway that runs on this test's loop."""

from __future__ import annotations

import asyncio
import subprocess
import sys
import threading
import wave
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from gateway.client import CancelResult, Client, ConnectionFailed, SpeechError, Voice, VoxwireClientError, sync
from gateway.client.sync import Speech
from tests.support.fake_gateway import FakeGateway, Peer, heard, nothing


def client_threads() -> set[threading.Thread]:
    """Some of them may be another test's: a thread that pulls a text ends when its source lets it."""
    return {thread for thread in threading.enumerate() if thread.name.startswith("voxwire")}


async def test_the_first_example_saves_a_wav_file(tmp_path: Path) -> None:
    path = tmp_path / "hello.wav"

    def example(url: str) -> None:
        with Client(url) as voxwire, voxwire.speak("Hello there. How are you?") as speech:
            speech.save(path)

    async with FakeGateway() as gateway:
        await asyncio.to_thread(example, gateway.url)
    with wave.open(str(path)) as file:
        assert heard(file.readframes(file.getnframes())) == "Hello there. How are you?"


async def test_text_goes_in_and_audio_is_iterated() -> None:
    def use(url: str) -> None:
        with Client(url) as client:
            with client.stream(voice="echo") as speech:
                speech.send("Hel")
                speech.send("lo.", flush=True)
                speech.end()
                assert speech.started.voice == "echo"
                assert heard(b"".join(speech)) == "Hello."
                assert speech.ended is not None
            with client.speak(iter(["a", "b"])) as speech:
                assert [heard(frame.data) for frame in speech.frames()] == ["a", "b"]

    async with FakeGateway() as gateway:
        await asyncio.to_thread(use, gateway.url)
        assert len(gateway.peers) == 1


async def test_another_thread_may_cancel() -> None:
    def use(url: str) -> None:
        with Client(url) as client, client.speak("Hello there.") as speech:
            results: list[CancelResult] = []
            canceller = threading.Thread(target=lambda: results.append(speech.cancel(played_ms=100)))
            canceller.start()
            assert speech.read() == b""
            canceller.join()
            assert results == [CancelResult("Hello", " there.", 1.5)]
            with pytest.raises(VoxwireClientError, match="not read to its end"):
                speech.save("never.wav")

    async with FakeGateway(on={"end": nothing}) as gateway:
        await asyncio.to_thread(use, gateway.url)


async def test_a_cut_connection_raises_in_the_reader() -> None:
    def use(url: str, cut: Any) -> None:
        with Client(url) as client, client.speak("Hello.") as speech:
            cut()
            with pytest.raises(ConnectionFailed):
                speech.read()

    async with FakeGateway(on={"end": nothing}) as gateway:
        loop = asyncio.get_running_loop()
        await asyncio.to_thread(use, gateway.url, lambda: loop.call_soon_threadsafe(gateway.peers[0].cut))


async def test_what_a_source_raises_reaches_the_reader() -> None:
    def tokens() -> Iterator[str]:
        yield "a"
        raise LookupError("no more tokens")

    def use(url: str) -> None:
        with Client(url) as client, client.speak(tokens()) as speech, pytest.raises(LookupError):
            speech.read()

    async with FakeGateway() as gateway:
        await asyncio.to_thread(use, gateway.url)


async def test_a_refused_speech_raises_when_it_is_entered() -> None:
    async def refuse(peer: Peer, message: dict[str, Any]) -> None:
        await peer.error(message["context"], "unknown_voice")

    def use(url: str) -> None:
        with Client(url) as client, pytest.raises(SpeechError, match="unknown_voice"), client.speak("Hello."):
            raise AssertionError("not reached")

    async with FakeGateway(on={"start": refuse, "text": nothing}) as gateway:
        await asyncio.to_thread(use, gateway.url)


async def test_a_file_and_the_voices_are_one_line_each(tmp_path: Path) -> None:
    rows = [{"id": "heart", "provider": "hibari"}]

    def use(url: str) -> None:
        with Client(url) as client:
            assert client.save("Hi.", tmp_path / "a.mp3").frames == 3
            assert client.voices() == [Voice("heart", "heart", "hibari", None, None, None, None)]

    async with FakeGateway(voices=rows) as gateway:
        await asyncio.to_thread(use, gateway.url)
        assert gateway.received[0]["format"] == "mp3"


def read(speech: Speech, errors: list[Exception]) -> None:
    """On a thread of its own, whose errors nobody else sees."""
    try:
        speech.read()
    except VoxwireClientError as error:
        errors.append(error)


async def test_closing_frees_a_reader_on_another_thread_and_leaves_no_thread() -> None:
    before = client_threads()

    def use(url: str) -> None:
        client = Client(url)
        speech = client.speak("Hello.").__enter__()
        errors: list[Exception] = []

        reader = threading.Thread(target=read, args=(speech, errors))
        reader.start()
        client.close()
        client.close()
        reader.join()
        assert len(errors) == 1
        with pytest.raises(VoxwireClientError, match="closed"):
            client.stream().__enter__()

    async with FakeGateway(on={"end": nothing}) as gateway:
        await asyncio.to_thread(use, gateway.url)
    assert client_threads() <= before


async def test_one_who_asks_at_the_moment_of_the_close_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    run, about_to, closed = sync._Loop.run, threading.Event(), threading.Event()
    errors: list[Exception] = []

    def late(loop: sync._Loop, work: Any) -> Any:
        if threading.current_thread().name == "reader":
            about_to.set()
            closed.wait()
        return run(loop, work)

    monkeypatch.setattr(sync._Loop, "run", late)
    async with FakeGateway(on={"end": nothing}) as gateway:
        client = Client(gateway.url)
        speech = await asyncio.to_thread(client.speak("Hello.").__enter__)
        reader = threading.Thread(target=read, args=(speech, errors), name="reader")
        reader.start()
        await asyncio.to_thread(about_to.wait)
        await asyncio.to_thread(client.close)
        closed.set()
        await asyncio.to_thread(reader.join)
    assert len(errors) == 1


async def test_the_handler_of_a_signal_may_cancel_whatever_it_interrupts(monkeypatch: pytest.MonkeyPatch) -> None:
    ask, results = asyncio.run_coroutine_threadsafe, list[CancelResult]()

    def use(url: str) -> None:
        with Client(url) as client, client.speak("Hello.") as speech:

            def interrupted(work: Any, loop: Any) -> Any:
                monkeypatch.undo()
                results.append(speech.cancel())
                return ask(work, loop)

            monkeypatch.setattr(asyncio, "run_coroutine_threadsafe", interrupted)
            speech.read()

    async with FakeGateway(on={"end": nothing}) as gateway:
        thread = threading.Thread(target=use, args=(gateway.url,), daemon=True)
        thread.start()
        await asyncio.to_thread(thread.join, 60)
    assert not thread.is_alive()
    assert len(results) == 1


def test_a_client_that_is_not_used_starts_nothing() -> None:
    before = client_threads()
    with Client():
        assert client_threads() <= before


def test_importing_the_client_loads_nothing_of_the_server() -> None:
    code = "import sys, gateway.client; print(*sys.modules)"
    root = Path(__file__).parents[2]
    result = subprocess.run([sys.executable, "-c", code], cwd=root, capture_output=True, text=True, check=True)
    heavy = {"numpy", "starlette", "prometheus_client", "pydantic", "uvicorn", "av", "aiohttp", "gateway.config"}
    assert not heavy & set(result.stdout.split())


@pytest.mark.parametrize("url", ["ftp://host", "http://", ""])
def test_an_address_that_is_none_is_refused(url: str) -> None:
    with pytest.raises(ValueError, match="is no address of a gateway"):
        Client(url)
