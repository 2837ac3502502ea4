"""Servers that break the rules of HTTP, of the API, or off."""

from __future__ import annotations

import asyncio
import logging
import time
import zlib
from contextlib import aclosing

import pytest
from pydantic import SecretStr

from providers.base import EngineFailed, EngineUnavailable, ProviderError, Segment
from providers.openai_speech import OpenAISpeech, OpenAISpeechSettings
from providers.openai_speech.server import refusal, retry_after
from tests.providers.openai_speech.raw_server import PCM, SOUND, Connection, always, answer, serving_raw
from tests.providers.openai_speech.test_engine import speak, started

KEY = SecretStr("the-secret-key")


@pytest.mark.parametrize(
    "data",
    [
        b"\x00\xff\xfe rubbish\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nx: " + b"a" * 100_000 + b"\r\n\r\n",
        b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\nzz\r\n",
        answer(b"no gzip", "content-encoding: gzip"),
    ],
)
async def test_what_is_no_http_is_a_clear_error_and_no_log_shows_the_key(
    data: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    async with serving_raw(always(data)) as server, started(server.url, voices="a", api_key=KEY) as engine:
        with pytest.raises(EngineFailed, match="broke off"):
            await speak(engine)
    assert KEY.get_secret_value() not in caplog.text
    assert "broke off" in caplog.text


@pytest.mark.parametrize("used_before", [False, True])
async def test_a_connection_that_was_kept_and_is_dead_costs_one_more_try(used_before: bool) -> None:
    async def handle(connection: Connection) -> None:
        if used_before and connection.number == 0:
            await connection.request()
            await connection.send(answer(SOUND, PCM))
        if not used_before or connection.number == 0:
            await connection.request()
            connection.abort()
        await always(answer(SOUND, PCM))(connection)

    async with serving_raw(handle) as server, started(server.url, voices="a") as engine:
        if used_before:
            assert await speak(engine) == SOUND
            assert await speak(engine) == SOUND
        else:
            # Somebody who refuses at the first word is not asked again.
            with pytest.raises(EngineUnavailable, match="without an answer"):
                await speak(engine)
    assert len(server.connections) == 1 + used_before


async def test_a_kept_connection_is_given_up_once_and_not_for_ever() -> None:
    async def handle(connection: Connection) -> None:
        await connection.request()
        await ready.wait()
        await connection.send(answer(SOUND, PCM))
        await connection.request()
        connection.abort()

    ready = asyncio.Event()
    async with serving_raw(handle) as server, started(server.url, voices="a") as engine:
        three = [asyncio.ensure_future(speak(engine)) for _ in range(3)]
        await server.accepted(3)
        ready.set()
        await asyncio.gather(*three)
        with pytest.raises(EngineUnavailable):
            await speak(engine)
        assert len(server.connections) == 3


async def test_a_connection_is_kept_while_somebody_else_has_the_word(monkeypatch: pytest.MonkeyPatch) -> None:
    now = time.monotonic
    async with serving_raw(always(answer(SOUND, PCM))) as server, started(server.url, voices="a") as engine:
        await speak(engine)
        monkeypatch.setattr("aiohttp.connector.monotonic", lambda: now() + 40)
        await speak(engine)
        assert len(server.connections) == 1
        monkeypatch.setattr("aiohttp.connector.monotonic", lambda: now() + 100)
        await speak(engine)
        assert len(server.connections) == 2


async def test_a_server_that_only_says_to_go_on_does_not_hold_for_ever() -> None:
    handler = always(b"HTTP/1.1 100 Continue\r\n\r\n" * 20)
    soon = {"read_timeout": 0.05, "connect_timeout": 0.05}
    async with serving_raw(handler) as server, started(server.url, voices="a", **soon) as engine:
        with pytest.raises(EngineUnavailable, match="does not answer"):
            await speak(engine)


async def test_a_server_that_never_ends_its_tls_handshake_is_given_up() -> None:
    async def silent(connection: Connection) -> None:
        await connection.left()

    async with serving_raw(silent) as server:
        url = server.url.replace("http:", "https:")
        async with started(url, voices="a", connect_timeout=0.05) as engine:
            with pytest.raises(EngineUnavailable):
                await speak(engine)
        await server.accepted(1)
        await server.connections[0].gone.wait()


async def test_sound_without_end_is_ended() -> None:
    async def endless(connection: Connection) -> None:
        await connection.request()
        await connection.send(f"HTTP/1.1 200 OK\r\n{PCM}\r\n\r\n".encode())
        while True:
            await connection.send(bytes(65_536))

    async with serving_raw(endless) as server, started(server.url, voices="a") as engine:
        with pytest.raises(EngineFailed, match="longer than any voice"):
            await speak(engine)


async def test_a_compressed_answer_is_not_asked_for_and_is_bounded_all_the_same() -> None:
    packer = zlib.compressobj(9, zlib.DEFLATED, 31)
    bomb = packer.compress(bytes(50_000_000)) + packer.flush()
    requests = []

    async def handle(connection: Connection) -> None:
        requests.append(await connection.request())
        await connection.send(answer(bomb, PCM, "content-encoding: gzip"))
        await connection.left()

    async with serving_raw(handle) as server, started(server.url, voices="a") as engine:
        with pytest.raises(EngineFailed, match="longer than any voice"):
            await speak(engine)
    assert b"accept-encoding: identity" in requests[0].lower()


@pytest.mark.parametrize("phase", ["before the answer", "in the middle", "while it floods"])
async def test_a_cancel_closes_the_connection_at_once(phase: str) -> None:
    asked = asyncio.Event()

    async def handle(connection: Connection) -> None:
        await connection.request()
        asked.set()
        if phase != "before the answer":
            await connection.send(f"HTTP/1.1 200 OK\r\n{PCM}\r\n\r\n".encode() + SOUND)
        try:
            while phase == "while it floods":
                await connection.send(bytes(4096))
        except ConnectionError:
            connection.gone.set()
        await connection.left()

    async with serving_raw(handle) as server, started(server.url, voices="a") as engine:
        voice = (await engine.voices())[0]
        async with aclosing(engine.synthesize(Segment("Hello.", voice))) as chunks:
            if phase != "before the answer":
                await anext(chunks)
            if phase != "while it floods":
                pull = asyncio.ensure_future(anext(chunks))
                await asked.wait()
                await asyncio.sleep(0)
                pull.cancel()
                await asyncio.wait([pull])
        await asyncio.wait_for(server.connections[0].gone.wait(), 60)


async def test_redirects_are_not_followed_and_neither_key_nor_text_goes_elsewhere() -> None:
    async with serving_raw(always(answer(SOUND, PCM))) as elsewhere:
        moved = answer(b"", f"location: {elsewhere.url}/audio/speech", status="307 Temporary Redirect")
        async with serving_raw(always(moved)) as server, started(server.url, api_key=KEY) as engine:
            with pytest.raises(EngineFailed, match="moved to another address"):
                await speak(engine)
        assert elsewhere.connections == []


async def test_cookies_are_not_kept() -> None:
    requests = []

    async def handle(connection: Connection) -> None:
        while True:
            requests.append(await connection.request())
            await connection.send(answer(SOUND, PCM, "set-cookie: server=1; path=/"))

    async with serving_raw(handle) as server:
        url = server.url.replace("127.0.0.1", "localhost")
        async with started(url, voices="a") as engine:
            for _ in range(2):
                await speak(engine)
    assert len(requests) == 2
    assert b"cookie" not in requests[1].lower()


async def test_no_more_connections_than_places_have_use_for() -> None:
    async def handle(connection: Connection) -> None:
        await connection.request()
        await release.wait()
        await connection.send(answer(SOUND, PCM))

    release = asyncio.Event()
    async with serving_raw(handle) as server, started(server.url, voices="a", places=1) as engine:
        many = [asyncio.ensure_future(speak(engine)) for _ in range(8)]
        await server.accepted(2)
        for _ in range(50):
            await asyncio.sleep(0)
        assert len(server.connections) == 2
        release.set()
        assert await asyncio.gather(*many) == [SOUND] * 8


# ---- what it says of its sound


@pytest.mark.parametrize("said", ["content-type: audio/L16; rate=16000; channels=1", "x-sample-rate: 16000"])
async def test_sound_at_another_rate_is_refused_where_the_server_says_so(said: str) -> None:
    async with serving_raw(always(answer(SOUND, said))) as server:
        async with started(server.url, voices="a") as engine:
            with pytest.raises(EngineFailed, match="16000 samples a second"):
                await speak(engine)
        async with started(server.url, voices="a", sample_rate=16_000) as engine:
            assert await speak(engine) == SOUND


async def test_a_rate_that_is_none_is_not_looked_at() -> None:
    said = always(answer(SOUND, "x-sample-rate: " + "5" * 5000))
    async with serving_raw(said) as server, started(server.url, voices="a") as engine:
        assert await speak(engine) == SOUND


@pytest.mark.parametrize("kind", ["application/problem+json", "application/json; charset=utf-8"])
async def test_an_error_with_a_good_status_is_an_error(kind: str) -> None:
    handler = always(answer(b'{"detail": "no"}', f"content-type: {kind}"))
    async with serving_raw(handler) as server, started(server.url, voices="a") as engine:
        with pytest.raises(EngineFailed, match="JSON where sound"):
            await speak(engine)


# ---- its voices


async def test_a_list_that_comes_in_pieces_is_read_to_its_end() -> None:
    async def handle(connection: Connection) -> None:
        await connection.request()
        data = answer(b'{"voices": ["a", "b"]}', "content-type: application/json")
        await connection.send(data[:-10])
        for _ in range(5):
            await asyncio.sleep(0)
        await connection.send(data[-10:])
        await connection.left()

    async with serving_raw(handle) as server, started(server.url) as engine:
        assert [voice.id for voice in await engine.voices()] == ["a", "b"]


@pytest.mark.parametrize("status", ["429 Too Many", "500 Internal", "502 Bad Gateway", "503 Unavailable"])
async def test_a_server_that_is_still_starting_does_not_leave_a_wrong_voice_behind(status: str) -> None:
    async with serving_raw(always(answer(b"", status=status))) as server:
        engine = OpenAISpeech(OpenAISpeechSettings(_env_file=None, url=server.url, api_key=KEY))
        with pytest.raises(EngineUnavailable, match=r"does not tell its voices.*VOXWIRE_OPENAI_SPEECH_VOICES"):
            await engine.start()


@pytest.mark.parametrize("data", [b"rubbish\r\n\r\n", answer(b"x", status="401 No"), b"HTTP/1.1 200 OK\r\n"])
async def test_a_start_says_that_the_engine_is_unavailable(data: bytes) -> None:
    async def handle(connection: Connection) -> None:
        await connection.request()
        await connection.send(data)

    async with serving_raw(handle) as server:
        with pytest.raises(EngineUnavailable):
            await OpenAISpeech(OpenAISpeechSettings(_env_file=None, url=server.url, api_key=KEY)).start()


async def test_a_list_without_end_is_given_up() -> None:
    async def handle(connection: Connection) -> None:
        await connection.request()
        await connection.send(b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\n\r\n[")
        while True:
            await connection.send(b'"a",' * 20_000)

    async with serving_raw(handle) as server:
        with pytest.raises(EngineUnavailable, match="no end"):
            await OpenAISpeech(OpenAISpeechSettings(_env_file=None, url=server.url, api_key=KEY)).start()


async def test_an_empty_list_is_looked_for_elsewhere() -> None:
    async def handle(connection: Connection) -> None:
        while True:
            elsewhere = b" /v1/voices " in await connection.request()
            await connection.send(answer(b'["a"]' if elsewhere else b"{}", "content-type: application/json"))

    async with serving_raw(handle) as server, started(server.url) as engine:
        assert [voice.id for voice in await engine.voices()] == ["a"]


# ---- what its statuses mean


@pytest.mark.parametrize(
    ("status", "code", "message"),
    [
        (204, "engine_failed", "answered no sound"),
        (302, "engine_failed", "moved"),
        (422, "engine_failed", "refused the text"),
        (500, "engine_failed", "failed"),
        (502, "engine_unavailable", "does not answer"),
        (504, "engine_unavailable", "does not answer"),
        (503, "engine_busy", "no room"),
    ],
)
def test_a_status_says_whose_fault_it_is_and_whether_to_try_again(status: int, code: str, message: str) -> None:
    error: ProviderError = refusal(status, {})
    assert (error.code, error.retryable) == (code, code != "engine_failed")
    assert message in str(error)


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        ("7", 7.0),
        ("0.5", 0.5),
        ("-3", 0.0),
        ("inf", 3600.0),
        ("1e300", 3600.0),
        ("nan", None),
        ("soon", None),
        ("Wed, 21 Oct 2099 07:28:00 GMT", 3600.0),
        ("Wed, 21 Oct 2015 07:28:00 -0000", 0.0),
        ("Wed, 21 Oct 99999999999999999999 07:28:00 GMT", None),
    ],
)
def test_a_time_to_try_again_is_a_sensible_one(value: str, seconds: float | None) -> None:
    assert retry_after({"retry-after": value}) == seconds
    assert retry_after({}) is None
