"""The door of the earlier gateway, as its README and its page use it."""

from __future__ import annotations

import asyncio
import base64
import io
import json
import math
import wave
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from typing import Any

import httpx
import pytest
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, InvalidStatus

from audio import formats
from providers.base import EngineFailed, Segment
from providers.tone import Tone
from tests.support.engines import Hang, Mark, Raise, Say, Scripted, Wait, sound
from tests.support.serving import Served, serving

README = {
    "provider": "mock_tone",
    "voice": "en-US-mock-1",
    "text": "Hello KeyReply!",
    "target_format": "pcm16",
    "sample_rate_hz": 16000,
    "language": "en-US",
}


class Door:
    """A client of the earlier gateway."""

    def __init__(self, served: Served, http: httpx.AsyncClient) -> None:
        self.served = served
        self.http = http

    async def post(self, body: Any = None, **options: Any) -> httpx.Response:
        if "content" not in options:
            options["json"] = {"text": "Hello."} if body is None else body
        return await self.http.post("/v1/tts/sessions", **options)

    async def session(self, **body: Any) -> str:
        answer = await self.post({"text": "Hello.", **body})
        assert answer.status_code == 201, answer.text
        return str(answer.json()["session_id"])

    def socket(self, session: str, **options: Any) -> connect:
        return connect(f"{self.served.ws}/v1/tts/stream/{session}", compression=None, **options)

    async def listen(self, session: str) -> list[str]:
        """All messages; the close code comes last."""
        async with self.socket(session) as socket:
            return await transcript(socket)

    async def file(self, session: str, name: str | None = None) -> httpx.Response:
        params = {} if name is None else {"format": name}
        return await self.http.get(f"/v1/tts/sessions/{session}/file", params=params)

    async def empty(self) -> None:
        """Wait until no session is left, and see that none of its places is."""
        gateway = self.served.gateway
        await gateway.sessions.drained()
        assert gateway.sessions.live == ()
        assert (gateway.capacities.sessions.taken, gateway.capacities.sessions.waiting) == (0, 0)


async def transcript(socket: ClientConnection) -> list[str]:
    messages = [str(message) async for message in _messages(socket)]
    return [*messages, str(socket.close_code)]


async def _messages(socket: ClientConnection) -> AsyncIterator[str | bytes]:
    with suppress(ConnectionClosed):
        while True:
            yield await socket.recv()


@asynccontextmanager
async def door(*engines: Any, **settings: Any) -> AsyncIterator[Door]:
    async with (
        serving(engines=engines or (Scripted(),), **settings) as served,
        httpx.AsyncClient(base_url=served.http, timeout=60) as http,
    ):
        yield Door(served, http)


def sound_of(messages: list[str]) -> bytes:
    """The audio of a transcript, whose numbers are without a gap."""
    frames = [json.loads(message) for message in messages if '"audio"' in message]
    assert [frame["seq"] for frame in frames] == list(range(1, len(frames) + 1))
    return b"".join(base64.b64decode(frame["data"]) for frame in frames)


async def tone(text: str, rate: int) -> bytes:
    """What the tone engine makes of one segment, at ``rate``."""
    engine = Tone()
    voice = (await engine.voices())[0]
    stream = formats.find("pcm16").open(voice.sample_rate, rate)
    pieces = [stream.encode(chunk.pcm) async for chunk in engine.synthesize(Segment(text, voice))]
    return b"".join(pieces) + stream.finish()


# ---- asking


async def test_a_session_is_made_as_the_readme_shows() -> None:
    async with door("mock_tone") as made:
        answer = await made.post(README)
        assert answer.status_code == 201
        session = answer.json()["session_id"]
        url = f"ws://127.0.0.1:{made.served.port}/v1/tts/stream/{session}"
        assert answer.json() == {"session_id": session, "ws_url": url}
        async with connect(url) as socket:
            assert sound_of(await transcript(socket)) == await tone("Hello KeyReply!", 16000)


@pytest.mark.parametrize(
    ("settings", "headers", "begins"),
    [
        ({"public_url": "https://voice.example/tts/"}, {}, "wss://voice.example/tts/v1/tts/stream/"),
        ({"public_url": "http://voice.example"}, {}, "ws://voice.example/v1/tts/stream/"),
        ({}, {"host": "voice.example"}, "ws://voice.example/v1/tts/stream/"),
        # The test's client is on the loopback, which the server trusts to be a proxy.
        ({}, {"host": "voice.example", "x-forwarded-proto": "https"}, "wss://voice.example/v1/tts/stream/"),
    ],
)
async def test_the_address_of_the_stream_is_the_one_the_caller_sees(
    settings: dict[str, Any], headers: dict[str, str], begins: str
) -> None:
    async with door(**settings) as made:
        answer = await made.post(headers=headers)
        assert answer.json()["ws_url"] == begins + answer.json()["session_id"]


async def test_voices_are_listed_in_the_earlier_form() -> None:
    async with door(Scripted(voices=("one",)), "mock_tone") as made:
        known = list(formats.FORMATS)
        one = {
            "id": "one",
            "name": "One",
            "language": "en-US",
            "provider": "scripted",
            "sample_rate_hz": 24000,
            "supported_formats": known,
        }
        all_voices = (await made.http.get("/v1/voices")).json()["voices"]
        assert all_voices[0] == one
        assert [voice["id"] for voice in all_voices] == ["one", "en-US-mock-1", "en-US-mock-2"]
        assert (await made.http.get("/v1/voices?provider=scripted")).json() == {"voices": [one]}
        assert (await made.http.get("/v1/voices?language=fr-FR")).json() == {"voices": []}


@pytest.mark.parametrize(
    ("change", "status", "code"),
    [
        ({"text": None}, 422, "bad_request"),
        ({"text": ""}, 422, "bad_request"),
        ({"text": 7}, 422, "bad_request"),
        ({"sample_rate_hz": 0}, 422, "bad_request"),
        ({"sample_rate_hz": "fast"}, 422, "bad_request"),
        ({"text": "  \n"}, 400, "nothing_to_speak"),
        ({"text": "?! ..."}, 400, "nothing_to_speak"),
        ({"text": "x" * 201}, 400, "text_too_long"),
        ({"provider": "coqui_tts"}, 400, "unknown_provider"),
        ({"voice": "nobody"}, 400, "unknown_voice"),
        ({"target_format": "tape"}, 400, "unsupported_format"),
        ({"sample_rate_hz": 12345}, 400, "unsupported_format"),
        ({"language": "fr-FR"}, 400, "bad_request"),
    ],
)
async def test_a_wrong_field_makes_no_session(change: dict[str, Any], status: int, code: str) -> None:
    async with door("mock_tone", max_text_characters=200) as made:
        answer = await made.post({**README, **change})
        assert (answer.status_code, answer.json()["code"]) == (status, code)
        assert answer.json()["detail"]
        assert made.served.gateway.sessions.prepared == 0


async def test_a_missing_field_is_explained_as_the_earlier_gateway_did() -> None:
    async with door() as made:
        assert (await made.post({})).json()["detail"] == [
            {"type": "missing", "loc": ["body", "text"], "msg": "Field required"}
        ]


@pytest.mark.parametrize("content", [b"{", b"[]", b"", b'{"text":"\xff"}', b'{"text":"%b"}' % (b"x" * 20_000)])
async def test_a_body_that_cannot_be_read_makes_no_session(content: bytes) -> None:
    async with door(max_text_characters=200) as made:
        answer = await made.post(content=content)
        assert answer.status_code == 400
        assert answer.json()["code"] in {"bad_message", "text_too_long"}


async def test_a_body_that_does_not_come_is_not_waited_for() -> None:
    async with door(send_timeout=0.1) as made:
        reader, writer = await asyncio.open_connection("127.0.0.1", made.served.port)
        writer.write(b"POST /v1/tts/sessions HTTP/1.1\r\nHost: x\r\nContent-Length: 9\r\n\r\n{")
        answer = await reader.read()
        assert answer.startswith(b"HTTP/1.1 400")
        assert b"did not come within" in answer
        writer.close()


@pytest.mark.parametrize("language", ["en-US", "en-GB", "EN", "en_us", None])
async def test_the_region_of_a_language_is_not_compared(language: str | None) -> None:
    async with door() as made:
        await made.session(language=language)


async def test_too_many_sessions_from_one_address_are_refused_until_the_window_ends() -> None:
    async with door(rate_limit_requests=2) as made:
        await made.session()
        await made.session()
        answer = await made.post()
        assert (answer.status_code, answer.json()["code"]) == (429, "rate_limited")
        assert 1 <= int(answer.headers["retry-after"]) <= 60


async def test_every_door_asks_for_the_key() -> None:
    async with door(api_keys=("right",)) as made:
        for path in ("/v1/voices", "/v1/tts/sessions/x/file"):
            assert (await made.http.get(path)).status_code == 401
        assert (await made.post()).json()["code"] == "unauthorized"
        made.http.headers["authorization"] = "Bearer right"
        session = await made.session()
        with pytest.raises(InvalidStatus) as refused:
            await made.listen(session)
        assert refused.value.response.status_code == 401
        async with made.socket(session, additional_headers={"x-api-key": "right"}) as socket:
            assert sound_of(await transcript(socket)) == sound(200)
        assert (await made.file(session)).content == sound(200)


# ---- listening


async def test_a_short_stream_is_this_to_the_byte() -> None:
    engine = Scripted()
    engine.on("Hello.", Say(b"\1\0\2\0\3\0"))
    async with door(engine) as made:
        assert await made.listen(await made.session(target_format="pcm16")) == [
            '{"type":"audio","seq":1,"data":"AQACAAMA"}',
            '{"type":"eos"}',
            "1000",
        ]
        await made.empty()


async def test_a_tone_is_streamed_in_frames_of_100_ms_to_the_byte() -> None:
    async with door("mock_tone") as made:
        session = await made.session(**{**README, "text": "Hello there.", "sample_rate_hz": 24000})
        pcm = await tone("Hello there.", 24000)
        frames = [pcm[at : at + 4800] for at in range(0, len(pcm), 4800)]
        assert await made.listen(session) == [
            *(
                f'{{"type":"audio","seq":{number},"data":"{base64.b64encode(frame).decode()}"}}'
                for number, frame in enumerate(frames, 1)
            ),
            '{"type":"eos"}',
            "1000",
        ]


@pytest.mark.parametrize("name", ["pcm16", "wav", "mulaw", "alaw", "mp3", "opus"])
async def test_every_format_can_be_streamed_as_one_stream(name: str) -> None:
    async with door() as made:
        messages = await made.listen(await made.session(target_format=name, sample_rate_hz=16000))
        assert messages[-2:] == ['{"type":"eos"}', "1000"]
        heard = sound_of(messages)
        assert heard.count(b"RIFF") == (name == "wav")
        assert heard


async def test_an_unknown_session_is_refused_in_the_handshake() -> None:
    async with door() as made:
        with pytest.raises(InvalidStatus) as refused:
            await made.listen("nobody")
        assert refused.value.response.status_code == 404
        assert json.loads(refused.value.response.body or b"")["error"]["code"] == "unknown_session"


async def test_a_second_listener_is_refused() -> None:
    async with door() as made:
        session = await made.session()
        await made.listen(session)
        with pytest.raises(InvalidStatus):
            await made.listen(session)


async def test_a_session_that_nobody_came_for_is_forgotten() -> None:
    async with door() as made:
        session = await made.session()
        made.served.gateway.sessions.expire(math.inf)
        with pytest.raises(InvalidStatus):
            await made.listen(session)
        assert (await made.file(session)).status_code == 404


async def test_what_a_listener_sends_is_not_read() -> None:
    engine, hold = Scripted(), asyncio.Event()
    engine.on("Hello.", Wait(hold), Say(sound(100)))
    async with door(engine) as made, made.socket(await made.session()) as socket:
        for message in ("ping", "{", '{"type":"cancel"}', b"\0"):
            await socket.send(message)
        hold.set()
        assert sound_of(await transcript(socket)) == sound(100)


async def test_an_engine_that_fails_is_an_error_and_a_close() -> None:
    engine = Scripted()
    engine.otherwise(Say(sound(200)), Raise(EngineFailed("it broke")))
    async with door(engine) as made:
        session = await made.session()
        messages = await made.listen(session)
        assert sound_of(messages) == sound(200)
        assert messages[-2:] == ['{"type":"error","code":502,"message":"it broke"}', "1011"]
        answer = await made.file(session)
        assert (answer.status_code, answer.json()["code"]) == (404, "unknown_session")


async def test_a_full_gateway_refuses_both_sessions_and_streams() -> None:
    engine, begun = Scripted(), asyncio.Event()
    engine.on("First.", Mark(begun), Hang())
    async with door(engine, max_sessions=1, max_waiting=0) as made:
        first, second = await made.session(text="First."), await made.session()
        async with made.socket(first):
            await begun.wait()
            answer = await made.post()
            assert (answer.status_code, answer.json()["code"]) == (503, "overloaded")
            assert answer.headers["retry-after"] == "1"
            error = '{"type":"error","code":503,"message":"all 1 places are taken and 0 wait; try again later"}'
            assert await made.listen(second) == [error, "1013"]
        await made.empty()
        assert "tts_session_queue_full_total 2.0" in (await made.http.get("/metrics")).text


async def test_a_gateway_that_is_about_to_stop_refuses_once_and_closes() -> None:
    async with door() as made:
        session = await made.session()
        made.served.gateway.sessions.draining = True
        error = '{"type":"error","code":503,"message":"the gateway is about to stop; try another one"}'
        assert await made.listen(session) == [error, "1013"]
        assert (await made.post()).status_code == 503


async def test_the_series_that_the_earlier_page_reads_are_there() -> None:
    engine = Scripted()
    engine.on("Bad.", Raise(EngineFailed("it broke")))
    async with door(engine, rate_limit_requests=4) as made:
        await made.listen(await made.session())
        await made.listen(await made.session(text="Bad."))
        lines = (await made.http.get("/metrics")).text.splitlines()
        for line in (
            'tts_active_streams{provider="scripted"} 0.0',
            'tts_sessions_total{provider="scripted",status="created"} 2.0',
            'tts_sessions_total{provider="scripted",status="completed"} 1.0',
            'tts_sessions_total{provider="scripted",status="failed"} 1.0',
            "tts_rate_limit_max_bucket_usage 0.5",
            "tts_session_queue_depth 0.0",
            "tts_session_queue_maxsize 100.0",
            "tts_session_workers_busy 0.0",
            "tts_session_workers_total 500.0",
            "tts_session_queue_full_total 0.0",
        ):
            assert line in lines
        assert any(line.startswith("tts_rate_limit_window_remaining_seconds ") for line in lines)


async def test_a_listener_that_goes_stops_the_engine() -> None:
    engine = Scripted()
    engine.otherwise(Say(sound(200)), Hang())
    async with door(engine) as made:
        async with made.socket(await made.session()) as socket:
            await socket.recv()
            socket.transport.abort()
        await made.empty()
        assert (engine.stopped, engine.active) == (1, 0)


# ---- the file


async def test_a_wav_of_what_was_spoken_is_whole_and_exact() -> None:
    async with door("mock_tone") as made:
        session = await made.session(**README)
        spoken = sound_of(await made.listen(session))
        answer = await made.file(session, "wav")
        assert answer.headers["content-type"] == "audio/wav"
        assert answer.headers["content-length"] == str(44 + len(spoken))
        assert answer.headers["content-disposition"] == f'inline; filename="speech-{session[:8]}.wav"'
        with wave.open(io.BytesIO(answer.content)) as file:
            assert (file.getframerate(), file.getnframes()) == (16000, len(spoken) // 2)
            assert file.readframes(file.getnframes()) == spoken


@pytest.mark.parametrize(
    ("name", "kind", "begins"),
    [
        ("pcm16", "audio/pcm", sound(1)),
        ("mulaw", "audio/pcmu", b""),
        ("alaw", "audio/pcma", b""),
        ("mp3", "audio/mpeg", b"\xff"),
        ("opus", "audio/ogg", b"OggS"),
    ],
)
async def test_a_file_comes_in_every_format_without_speaking_again(name: str, kind: str, begins: bytes) -> None:
    engine = Scripted()
    async with door(engine) as made:
        session = await made.session()
        await made.listen(session)
        for _ in range(2):
            answer = await made.file(session, name)
            assert (answer.status_code, answer.headers["content-type"]) == (200, kind)
            assert answer.content.startswith(begins)
            assert answer.content
        assert engine.texts == ["Hello."]


async def test_without_a_format_the_file_is_as_the_session_was_asked_for() -> None:
    async with door() as made:
        session = await made.session(target_format="wav", sample_rate_hz=8000)
        await made.listen(session)
        with wave.open(io.BytesIO((await made.file(session)).content)) as file:
            assert (file.getframerate(), file.getnframes()) == (8000, 1600)


async def test_a_rate_that_the_files_format_lacks_becomes_the_next() -> None:
    async with door() as made:
        session = await made.session(sample_rate_hz=22050)
        await made.listen(session)
        assert (await made.file(session, "opus")).content.startswith(b"OggS")


@pytest.mark.parametrize("name", ["wav", "pcm16", "mp3"])
async def test_a_file_follows_what_is_still_being_spoken(name: str) -> None:
    engine, hold = Scripted(), asyncio.Event()
    engine.on("Hello.", Say(sound(300, 1)), Wait(hold), Say(sound(300, 2)))
    async with door(engine) as made:
        session = await made.session()
        async with made.socket(session) as socket:
            await socket.recv()
            path = f"/v1/tts/sessions/{session}/file"
            async with made.http.stream("GET", path, params={"format": name}) as answer:
                assert "content-length" not in answer.headers
                pieces = answer.aiter_bytes()
                got = await anext(pieces)
                hold.set()
                got += b"".join([piece async for piece in pieces])
        if name == "mp3":
            assert got.startswith(b"\xff")
        else:
            assert got[44 if name == "wav" else 0 :] == sound(300, 1) + sound(300, 2)
        await made.empty()


async def test_a_file_of_a_session_nobody_listened_to_speaks_it_once() -> None:
    engine = Scripted()
    async with door(engine) as made:
        session = await made.session()
        first = await made.file(session, "wav")
        with pytest.raises(InvalidStatus):
            await made.listen(session)
        second = await made.file(session, "wav")
        assert first.content[44:] == second.content[44:] == sound(200)
        assert "content-length" not in first.headers
        assert second.headers["content-length"] == str(len(second.content))
        assert engine.texts == ["Hello."]
        await made.empty()


@pytest.mark.parametrize("name", [None, "mp3"])
async def test_a_file_that_is_refused_for_want_of_a_place_can_be_asked_for_again(name: str | None) -> None:
    engine, begun, hold = Scripted(), asyncio.Event(), asyncio.Event()
    engine.on("First.", Mark(begun), Wait(hold), Say(sound(10)))
    async with door(engine, max_sessions=1, max_waiting=0) as made:
        first, second = await made.session(text="First."), await made.session()
        async with made.socket(first) as socket:
            await begun.wait()
            answer = await made.file(second, name)
            assert (answer.status_code, answer.json()["retryable"], answer.headers["retry-after"]) == (503, True, "1")
            hold.set()
            await transcript(socket)
        assert (await made.file(second, name)).status_code == 200
        await made.empty()


async def test_a_file_that_cannot_be_begun_says_why() -> None:
    engine = Scripted()
    engine.otherwise(Raise(EngineFailed("it broke")))
    async with door(engine) as made:
        answer = await made.file(await made.session(), "wav")
        assert (answer.status_code, answer.json()) == (
            502,
            {"detail": "it broke", "code": "engine_failed", "retryable": False},
        )
        await made.empty()


async def test_the_file_of_a_speech_that_is_cut_short_breaks_off() -> None:
    engine, hold = Scripted(), asyncio.Event()
    engine.on("Hello.", Say(sound(300)), Wait(hold), Raise(EngineFailed("it broke")))
    async with door(engine) as made:
        session = await made.session()
        async with made.socket(session) as socket:
            await socket.recv()
            async with made.http.stream("GET", f"/v1/tts/sessions/{session}/file") as answer:
                pieces = answer.aiter_bytes()
                await anext(pieces)
                hold.set()
                with pytest.raises(httpx.RemoteProtocolError):
                    _ = [piece async for piece in pieces]
        assert (await made.file(session)).json()["code"] == "unknown_session"


@pytest.mark.parametrize(("session", "name", "status"), [("nobody", "wav", 404), ("nobody", "tape", 400)])
async def test_a_file_that_is_not_there_is_an_error_with_a_code(session: str, name: str, status: int) -> None:
    async with door() as made:
        answer = await made.file(session, name)
        assert (answer.status_code, answer.json()["retryable"]) == (status, False)


@pytest.mark.parametrize("encoder", ["audio.mp3.Mp3Encoder", "audio.pcm16.Pcm16Encoder"])
async def test_an_encoder_that_fails_is_an_error_with_a_code(monkeypatch: pytest.MonkeyPatch, encoder: str) -> None:
    def fail(*_: object) -> bytes:
        raise RuntimeError("secret")

    async with door() as made:
        session = await made.session(target_format="wav")
        assert (await made.file(session)).status_code == 200
        monkeypatch.setattr(f"{encoder}.encode", fail)
        answer = await made.file(session, "mp3" if "Mp3" in encoder else "pcm16")
        assert (answer.status_code, answer.json()["code"]) == (500, "internal")
        assert "secret" not in answer.text


async def test_an_error_does_not_repeat_what_the_caller_sent() -> None:
    async with door() as made:
        answer = await made.file(await made.session(), "<script>")
        assert answer.status_code == 400
        assert "script" not in answer.text
        assert "pcm16, " in answer.json()["detail"]


async def test_a_wrong_format_does_not_use_the_session_up() -> None:
    async with door() as made:
        session = await made.session()
        assert (await made.file(session, "tape")).status_code == 400
        assert (await made.file(session, "wav")).status_code == 200


async def test_a_question_for_the_head_of_a_file_speaks_nothing() -> None:
    async with door() as made:
        session = await made.session()
        assert (await made.http.head(f"/v1/tts/sessions/{session}/file")).status_code == 405
        assert made.served.gateway.sessions.prepared == 1


async def test_a_recording_too_long_to_keep_has_no_file() -> None:
    async with door(recording_bytes=400) as made:
        session = await made.session()
        assert sound_of(await made.listen(session)) == sound(200)
        assert (await made.file(session)).status_code == 404


async def test_who_follows_a_file_and_goes_disturbs_nobody() -> None:
    engine, hold = Scripted(), asyncio.Event()
    engine.on("Hello.", Say(sound(300, 1)), Wait(hold), Say(sound(300, 2)))
    async with door(engine) as made:
        session = await made.session()
        async with made.socket(session) as socket:
            first = str(await socket.recv())
            async with made.http.stream("GET", f"/v1/tts/sessions/{session}/file") as answer:
                await anext(answer.aiter_bytes())
            hold.set()
            assert sound_of([first, *await transcript(socket)]) == sound(300, 1) + sound(300, 2)
        await made.empty()


async def test_who_asks_for_an_unspoken_file_and_goes_stops_the_engine() -> None:
    engine = Scripted()
    engine.otherwise(Say(sound(300)), Hang())
    async with door(engine) as made:
        session = await made.session()
        async with made.http.stream("GET", f"/v1/tts/sessions/{session}/file") as answer:
            await anext(answer.aiter_bytes())
        await made.empty()
        assert (engine.stopped, engine.active) == (1, 0)
