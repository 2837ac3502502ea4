"""Another server's speech API as an engine: its PCM, its voices and every way it can let us down."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import aclosing, asynccontextmanager
from typing import Any

import pytest
from aiohttp import web
from pydantic import SecretStr

from audio.wav import header
from providers.base import (
    BadOption,
    EngineBusy,
    EngineFailed,
    EngineUnavailable,
    ProviderError,
    Segment,
    UnknownVoice,
    Voice,
)
from providers.openai_speech import OpenAISpeech, OpenAISpeechSettings
from tests.support.serving import serving as voxwire

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


class Server:
    def __init__(self) -> None:
        self.url = ""
        self.requests: list[dict[str, Any]] = []
        self.gone = asyncio.Event()

    async def pieces(self, request: web.Request, *pieces: bytes, hold: bool = False) -> web.StreamResponse:
        answer = web.StreamResponse(headers={"content-type": "audio/pcm"})
        await answer.prepare(request)
        try:
            for piece in pieces:
                await answer.write(piece)
                await asyncio.sleep(0)
            if hold:
                await asyncio.Event().wait()
        except (ConnectionError, asyncio.CancelledError):
            self.gone.set()
            raise
        return answer


SERVER = web.AppKey("server", Server)


@asynccontextmanager
async def serving(speech: Handler, listing: Any = None) -> AsyncIterator[Server]:
    server = Server()

    async def speak(request: web.Request) -> web.StreamResponse:
        server.requests.append({**await request.json(), "key": request.headers.get("authorization")})
        return await speech(request)

    async def voices(_: web.Request) -> web.StreamResponse:
        return web.json_response(listing) if listing is not None else web.Response(status=404)

    app = web.Application()
    app[SERVER] = server
    app.add_routes([web.post("/v1/audio/speech", speak), web.get("/v1/audio/voices", voices)])
    runner = web.AppRunner(app, handler_cancellation=True)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    server.url = f"http://127.0.0.1:{runner.addresses[0][1]}/v1"
    try:
        yield server
    finally:
        await runner.cleanup()


@asynccontextmanager
async def started(url: str, **settings: Any) -> AsyncIterator[OpenAISpeech]:
    engine = OpenAISpeech(OpenAISpeechSettings(_env_file=None, url=url, **settings))
    await engine.start()
    try:
        yield engine
    finally:
        await engine.close()


async def speak(engine: OpenAISpeech, text: str = "Hello.", **segment: Any) -> bytes:
    voice = (await engine.voices())[0]
    return b"".join([chunk.pcm async for chunk in engine.synthesize(Segment(text, voice, **segment))])


async def some(request: web.Request) -> web.StreamResponse:
    server: Server = request.app[SERVER]
    return await server.pieces(request, b"\x01\x02\x03", b"\x04\x05", b"\x06")


async def test_pcm_comes_as_whole_samples_however_it_was_cut() -> None:
    async with serving(some) as server, started(server.url, api_key=SecretStr("k"), model="m") as engine:
        voice = (await engine.voices())[0]
        chunks = [chunk.pcm async for chunk in engine.synthesize(Segment("Hello.", voice, speed=1.5))]
    assert b"".join(chunks) == bytes(range(1, 7))
    assert all(len(chunk) % 2 == 0 for chunk in chunks)
    assert server.requests == [
        {
            "model": "m",
            "voice": "alloy",
            "input": "Hello.",
            "response_format": "pcm",
            "speed": 1.5,
            "key": "Bearer k",
        }
    ]


@pytest.mark.parametrize(
    "listing",
    [
        ["a", "b"],
        {"voices": ["a", "b", "a"]},
        {"voices": [{"id": "a", "name": "A"}, {"name": "b"}, {}, 5]},
        {"data": [{"voice_id": "a"}, {"id": "b"}]},
    ],
)
async def test_voices_are_those_that_the_server_lists(listing: Any) -> None:
    async with serving(some, listing) as server, started(server.url) as engine:
        assert [voice.id for voice in await engine.voices()] == ["a", "b"]


@pytest.mark.parametrize("listing", [None, {"voices": []}, {"voices": 5}, 5])
async def test_without_a_list_there_is_openais_first_voice(listing: Any) -> None:
    async with serving(some, listing) as server, started(server.url) as engine:
        assert [voice.id for voice in await engine.voices()] == ["alloy"]


async def test_configured_voices_need_no_list() -> None:
    async with serving(some, ["a"]) as server, started(server.url, voices="x, y") as engine:
        assert [voice.id for voice in await engine.voices()] == ["x", "y"]
        with pytest.raises(UnknownVoice):
            await anext(engine.synthesize(Segment("Hi.", Voice("a", "A", "en", 24000))))


def answer(**response: Any) -> Handler:
    async def handle(_: web.Request) -> web.StreamResponse:
        return web.Response(**response)

    return handle


@pytest.mark.parametrize(
    ("handler", "error", "message"),
    [
        (answer(status=429, headers={"retry-after": "7"}), EngineBusy, "no room"),
        (answer(status=503), EngineBusy, "no room"),
        (answer(status=401), EngineFailed, "refuses the key"),
        (answer(status=404), EngineFailed, "no such model"),
        (answer(status=400, text="secret detail"), EngineFailed, "status 400"),
        (answer(status=302, headers={"location": "http://127.0.0.1:9/"}), EngineFailed, "status 302"),
        (answer(text="{}", content_type="application/json"), EngineFailed, "status 200"),
        (answer(body=b""), EngineFailed, "without a whole sample"),
        (answer(body=b"\x01\x02\x03"), EngineFailed, "without a whole sample"),
        (answer(body=b"RIFF....WAVE"), EngineFailed, "a file where PCM"),
    ],
)
async def test_what_is_no_sound_is_a_clear_error(handler: Handler, error: type[ProviderError], message: str) -> None:
    async with serving(handler) as server, started(server.url) as engine:
        with pytest.raises(error, match=message) as raised:
            await speak(engine)
    assert "secret" not in str(raised.value)
    if error is EngineBusy:
        assert raised.value.retry_after in (1.0, 7.0)


async def test_a_server_that_breaks_off_is_told_from_one_that_ends() -> None:
    async def broken(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse(headers={"content-length": "100", "content-type": "audio/pcm"})
        await response.prepare(request)
        await response.write(b"\x01\x02")
        assert request.transport is not None
        request.transport.abort()
        return response

    async with serving(broken) as server, started(server.url) as engine:
        with pytest.raises(EngineFailed, match="broke off"):
            await speak(engine)


async def test_a_server_that_is_not_there_and_one_that_says_nothing() -> None:
    async def silent(_: web.Request) -> web.StreamResponse:
        await asyncio.Event().wait()
        raise AssertionError

    async with serving(silent) as server, started(server.url, voices="a", read_timeout=0.05) as engine:
        with pytest.raises(EngineUnavailable, match="does not answer"):
            await speak(engine)
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        with pytest.raises(EngineUnavailable, match="cannot be reached"):
            async with started(f"http://127.0.0.1:{taken.getsockname()[1]}/v1"):
                pass


async def test_leaving_in_the_middle_ends_the_request() -> None:
    async def endless(request: web.Request) -> web.StreamResponse:
        server: Server = request.app[SERVER]
        return await server.pieces(request, b"\x01\x02", hold=True)

    async with serving(endless) as server, started(server.url) as engine:
        voice = (await engine.voices())[0]
        async with aclosing(engine.synthesize(Segment("Hello.", voice))) as chunks:
            await anext(chunks)
        await asyncio.wait_for(server.gone.wait(), 60)


async def test_what_cannot_be_said_is_not_sent() -> None:
    async with serving(some) as server, started(server.url) as engine:
        assert await speak(engine, "...") == b""
        assert server.requests == []
        await speak(engine, "a\ud800b")
        assert server.requests[0]["input"] == "ab"


async def test_instructions_go_along_and_other_options_are_refused() -> None:
    async with serving(some) as server, started(server.url, extra={"stream": True}) as engine:
        await speak(engine, options=engine.check({"instructions": "Whisper."}))
        assert (server.requests[0]["instructions"], server.requests[0]["stream"]) == ("Whisper.", True)
        for wrong in ({"temperature": 1}, {"instructions": 1}):
            with pytest.raises(BadOption):
                engine.check(wrong)


async def test_it_can_be_started_again() -> None:
    async with serving(some) as server, started(server.url) as engine:
        await engine.close()
        with pytest.raises(EngineUnavailable, match="closed"):
            await speak(engine)
        await engine.start()
        assert await speak(engine)


async def test_instructions_that_no_server_takes_are_refused_here() -> None:
    engine = OpenAISpeech(OpenAISpeechSettings(_env_file=None))
    with pytest.raises(BadOption, match="4096 characters"):
        engine.check({"instructions": "x" * 4097})
    assert engine.check({"instructions": "a\ud800b"}) == {"instructions": "ab"}


async def test_any_script_arrives_as_it_was_written() -> None:
    text, voice = "Ça va, 世界? \u200f👩‍🚀 \x00", "zf_晓晓"
    async with serving(some) as server, started(server.url, voices=voice) as engine:
        await speak(engine, text)
    assert (server.requests[0]["input"], server.requests[0]["voice"]) == (text, voice)


async def test_wav_is_asked_for_where_a_server_has_no_pcm_and_its_header_is_not_heard() -> None:
    async def file(request: web.Request) -> web.StreamResponse:
        return await request.app[SERVER].pieces(request, header(24_000), b"\x01\x02\x03\x04")

    async with serving(file) as server, started(server.url, response_format="wav") as engine:
        assert await speak(engine) == b"\x01\x02\x03\x04"
    assert server.requests[0]["response_format"] == "wav"


async def test_another_voxwire_lists_its_voices_and_speaks_with_them() -> None:
    async with voxwire(engines=["mock_tone"]) as served, started(f"{served.http}/v1") as engine:
        assert [voice.id for voice in await engine.voices()] == ["en-US-mock-1", "en-US-mock-2"]
        assert len(await speak(engine)) > 1000
