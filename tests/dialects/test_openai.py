"""OpenAI's API, asked by OpenAI's own package."""

from __future__ import annotations

import asyncio
import base64
import io
import json
import wave
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any, ClassVar

import httpx
import openai
import pytest

from providers.base import BadOption, EngineFailed, EngineUnavailable
from tests.support.asking import empty, until
from tests.support.engines import Hang, Mark, Raise, Say, Scripted, Wait, sound
from tests.support.serving import Served, serving

SPEECH: dict[str, Any] = {"model": "tts-1", "input": "Hello.", "voice": "alloy"}


@asynccontextmanager
async def client(served: Served, key: str = "none") -> AsyncIterator[openai.AsyncOpenAI]:
    async with openai.AsyncOpenAI(base_url=f"{served.http}/v1", api_key=key, max_retries=0) as made:
        yield made


async def post(served: Served, body: Any = None, **options: Any) -> httpx.Response:
    if "content" not in options:
        options["json"] = SPEECH if body is None else body
    async with httpx.AsyncClient(base_url=served.http, timeout=60) as http:
        return await http.post("/v1/audio/speech", **options)


# ---- sound


async def test_the_synchronous_client_gets_a_file() -> None:
    async with serving(engines=[Scripted()]) as served:

        def speak() -> bytes:
            with openai.OpenAI(base_url=f"{served.http}/v1", api_key="none", max_retries=0) as made:
                return made.audio.speech.create(**SPEECH, response_format="pcm").content

        assert await asyncio.to_thread(speak) == sound(200)
        await empty(served)


@pytest.mark.parametrize(
    ("name", "kind", "begins"),
    [
        ("mp3", "audio/mpeg", b"\xff"),
        ("opus", "audio/ogg", b"OggS"),
        ("aac", "audio/aac", b"\xff\xf1"),
        ("flac", "audio/flac", b"fLaC"),
        ("wav", "audio/wav", b"RIFF"),
        ("pcm", "audio/pcm", sound(1)),
    ],
)
async def test_each_format_comes_with_its_content_type(name: Any, kind: str, begins: bytes) -> None:
    async with serving(engines=[Scripted()]) as served, client(served) as made:
        answer = await made.audio.speech.create(**SPEECH, response_format=name)
        assert answer.response.headers["content-type"] == kind
        assert answer.content.startswith(begins)


async def test_mp3_is_the_default() -> None:
    async with serving(engines=[Scripted()]) as served, client(served) as made:
        answer = await made.audio.speech.create(**SPEECH)
        assert answer.response.headers["content-type"] == "audio/mpeg"


@pytest.mark.parametrize("rate", [8000, 16000, 22050, 24000, 48000])
async def test_pcm_is_24_khz_whatever_the_engine_speaks(rate: int) -> None:
    async with serving(engines=[Scripted(sample_rate=rate)]) as served:
        answer = await post(served, {**SPEECH, "response_format": "pcm"})
        assert len(answer.content) == 2 * 24_000 // 5


async def test_a_wav_has_the_engines_own_rate() -> None:
    async with serving(engines=[Scripted(sample_rate=16000)]) as served:
        answer = await post(served, {**SPEECH, "response_format": "wav"})
        with wave.open(io.BytesIO(answer.content)) as file:
            assert (file.getframerate(), file.getnchannels(), file.getsampwidth()) == (16000, 1, 2)


async def test_sound_comes_while_the_rest_is_still_being_made() -> None:
    engine, hold = Scripted(), asyncio.Event()
    engine.on("Hello.", Say(sound(100, 1)), Wait(hold), Say(sound(100, 2)))
    async with serving(engines=[engine]) as served, client(served) as made:
        speech = made.audio.speech.with_streaming_response
        async with speech.create(**SPEECH, response_format="pcm") as answer:
            pieces = answer.iter_bytes()
            first = await anext(pieces)
            hold.set()
            assert first + b"".join([piece async for piece in pieces]) == sound(100, 1) + sound(100, 2)


async def test_events_carry_the_sound_and_end_with_the_usage() -> None:
    engine = Scripted()
    engine.on("Hello.", Say(b"\1\0\2\0\3\0"))
    async with serving(engines=[engine]) as served:
        answer = await post(served, {**SPEECH, "response_format": "pcm", "stream_format": "sse"})
        assert answer.headers["content-type"] == "text/event-stream; charset=utf-8"
        assert answer.text == (
            'data: {"type":"speech.audio.delta","audio":"AQACAAMA"}\n\n'
            'data: {"type":"speech.audio.done","usage":{"input_tokens":2,"output_tokens":1,"total_tokens":3}}\n\n'
        )


async def test_events_of_a_long_speech_join_to_its_sound() -> None:
    async with serving(engines=[Scripted()]) as served:
        answer = await post(served, {**SPEECH, "response_format": "pcm", "stream_format": "sse"})
        events = [json.loads(line.removeprefix("data: ")) for line in answer.text.splitlines() if line]
        pieces = [base64.b64decode(event["audio"]) for event in events[:-1]]
        assert (b"".join(pieces), events[-1]["type"]) == (sound(200), "speech.audio.done")


# ---- who speaks


@pytest.mark.parametrize(
    ("voice", "spoken"),
    [
        ("two", "two"),
        ({"id": "two"}, "two"),
        ("alloy", "one"),
        ({"id": "verse"}, "one"),
        (None, "one"),
    ],
)
async def test_a_voice_is_a_name_or_an_id_and_openais_own_mean_the_default(voice: Any, spoken: str) -> None:
    engine = Scripted()
    async with serving(engines=[engine]) as served:
        assert (await post(served, {**SPEECH, "voice": voice})).status_code == 200
        assert [segment.voice.id for segment in engine.segments] == [spoken]


async def test_an_engines_own_voice_goes_before_openais_name() -> None:
    engine = Scripted(voices=("one", "nova"))
    async with serving(engines=[engine]) as served:
        await post(served, {**SPEECH, "voice": "nova"})
        assert [segment.voice.id for segment in engine.segments] == ["nova"]


@pytest.mark.parametrize(
    ("model", "spoken"),
    [("tts-1", 0), ("gpt-4o-mini-tts-2025-12-15", 0), (None, 0), ("mock_tone", 0), ("scripted", 1)],
)
async def test_a_model_is_an_engine_or_one_of_openais_names(model: str | None, spoken: int) -> None:
    engine = Scripted()
    async with serving(engines=["mock_tone", engine]) as served:
        assert (await post(served, {**SPEECH, "model": model})).status_code == 200
        assert len(engine.segments) == spoken


async def test_the_speed_reaches_the_engine() -> None:
    engine = Scripted()
    async with serving(engines=[engine]) as served:
        await post(served, {**SPEECH, "speed": 2})
        assert engine.segments[0].speed == 2.0


async def test_models_are_listed_and_can_be_looked_up() -> None:
    async with serving(engines=[Scripted()]) as served, client(served) as made:
        names = [model.id async for model in made.models.list()]
        assert names == ["gpt-4o-mini-tts", "tts-1", "tts-1-hd", "scripted"]
        assert (await made.models.retrieve("scripted")).owned_by == "voxwire"
        with pytest.raises(openai.NotFoundError):
            await made.models.retrieve("whisper-1")


# ---- errors


@pytest.mark.parametrize(
    ("change", "status", "code", "param"),
    [
        ({"input": ""}, 400, "nothing_to_speak", "input"),
        ({"input": " ?! "}, 400, "nothing_to_speak", "input"),
        ({"input": None}, 400, "bad_request", "input"),
        ({"input": "x" * 201}, 400, "text_too_long", "input"),
        ({"input": 7}, 400, "bad_request", "input"),
        ({"voice": "nobody"}, 400, "unknown_voice", "voice"),
        ({"voice": ["one"]}, 400, "bad_request", "voice"),
        ({"voice": {"id": ""}}, 400, "bad_request", "voice"),
        ({"model": "whisper-1"}, 404, "model_not_found", "model"),
        ({"response_format": "aiff"}, 400, "unsupported_format", "response_format"),
        ({"response_format": "pcm16"}, 400, "unsupported_format", "response_format"),
        ({"speed": 0.2}, 400, "bad_request", "speed"),
        ({"speed": 4.5}, 400, "bad_request", "speed"),
        ({"speed": "fast"}, 400, "bad_request", "speed"),
        ({"stream_format": "ndjson"}, 400, "bad_request", "stream_format"),
    ],
)
async def test_a_wrong_field_is_named(change: dict[str, Any], status: int, code: str, param: str) -> None:
    async with serving(engines=[Scripted()], max_text_characters=200) as served:
        answer = await post(served, {**SPEECH, **change})
        error = answer.json()["error"]
        assert (answer.status_code, error["code"], error["param"]) == (status, code, param)
        assert error["type"] == "invalid_request_error"
        assert answer.headers["x-request-id"]
        assert answer.headers["x-should-retry"] == "false"
        await empty(served)


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"content": b"{"}, "the body is not JSON in UTF-8"),
        ({"content": b""}, "the body is not JSON in UTF-8"),
        ({"content": b'{"input":"\xff"}'}, "the body is not JSON in UTF-8"),
        ({"content": b'{"input":"\\ud800"}'}, "the body is not JSON in UTF-8"),
        ({"content": b"[]"}, "the body must be a JSON object"),
        ({"content": b"input=Hello", "headers": {"content-type": "application/x-www-form-urlencoded"}}, "must be JSON"),
        ({"content": b'{"input":"%b"}' % (b"x" * 10_000)}, "the body has more than"),
    ],
)
async def test_a_body_that_cannot_be_read_is_a_bad_request(options: dict[str, Any], said: str) -> None:
    async with serving(engines=[Scripted()], max_text_characters=1, max_message_bytes=1024) as served:
        answer = await post(served, **options)
        error = answer.json()["error"]
        assert (answer.status_code, error["code"]) == (400, "bad_message")
        assert said in error["message"]


async def test_a_body_without_a_length_is_measured_as_it_comes() -> None:
    async def endless() -> AsyncIterator[bytes]:
        while True:
            yield b" " * 1000

    async with serving(engines=[Scripted()], max_text_characters=1, max_message_bytes=1024) as served:
        # The answer may come, or the connection close, while the client still writes.
        with pytest.raises(httpx.TransportError):
            await post(served, content=endless())
        await empty(served)


async def test_errors_have_openais_form() -> None:
    async with serving(engines=[Scripted()], api_keys=("right",)) as served, client(served, "wrong") as made:
        with pytest.raises(openai.AuthenticationError) as refused:
            await made.audio.speech.create(**SPEECH)
        assert refused.value.body == {
            "message": "no valid API key: send it as 'Authorization: Bearer KEY'",
            "type": "invalid_request_error",
            "param": None,
            "code": "invalid_api_key",
        }
        assert refused.value.request_id
        with pytest.raises(openai.AuthenticationError):
            await made.models.list()


async def test_a_right_key_speaks() -> None:
    async with serving(engines=[Scripted()], api_keys=("right",)) as served, client(served, "right") as made:
        assert (await made.audio.speech.create(**SPEECH, response_format="pcm")).content == sound(200)


async def test_a_full_gateway_says_when_to_come_back() -> None:
    engine, begun = Scripted(), asyncio.Event()
    engine.on("First.", Mark(begun), Hang())
    async with serving(engines=[engine], max_sessions=1, max_waiting=0) as served, client(served) as made:
        first = asyncio.create_task(made.audio.speech.create(**{**SPEECH, "input": "First."}))
        await begun.wait()
        with pytest.raises(openai.InternalServerError) as refused:
            await made.audio.speech.create(**SPEECH)
        answer = refused.value.response
        assert (answer.status_code, refused.value.code, refused.value.type) == (503, "overloaded", "server_error")
        assert (answer.headers["retry-after"], answer.headers["x-should-retry"]) == ("1", "true")
        first.cancel()
        await asyncio.gather(first, return_exceptions=True)
        await empty(served)


async def test_one_that_waits_for_a_place_gets_it() -> None:
    engine, begun, hold = Scripted(), asyncio.Event(), asyncio.Event()
    engine.on("First.", Mark(begun), Wait(hold), Say(sound(10)))
    async with serving(engines=[engine], max_sessions=1) as served, client(served) as made:
        first = asyncio.create_task(made.audio.speech.create(**{**SPEECH, "input": "First."}))
        await begun.wait()
        second = asyncio.create_task(made.audio.speech.create(**SPEECH, response_format="pcm"))
        await until(lambda: served.gateway.capacities.sessions.waiting == 1)
        hold.set()
        assert (await second).content == sound(200)
        await first


@pytest.mark.parametrize(
    ("error", "status", "code", "retry"),
    [
        (EngineFailed("it broke"), 502, "engine_failed", "false"),
        (EngineUnavailable("it is away", retry_after=2.2), 502, "engine_unavailable", "true"),
        (ValueError("a secret"), 502, "engine_failed", "false"),
    ],
)
async def test_an_engine_that_fails_before_its_first_sound_is_a_status(
    error: Exception, status: int, code: str, retry: str
) -> None:
    engine = Scripted()
    engine.otherwise(Raise(error))
    async with serving(engines=[engine]) as served:
        answer = await post(served)
        assert (answer.status_code, answer.json()["error"]["code"]) == (status, code)
        assert answer.headers["x-should-retry"] == retry
        assert "secret" not in answer.text
        await empty(served)


@pytest.mark.parametrize("name", ["pcm", "wav", "mp3", "opus"])
async def test_an_engine_that_fails_later_breaks_the_transfer(name: Any) -> None:
    engine = Scripted()
    engine.otherwise(Say(sound(500)), Raise(EngineFailed("it broke")))
    async with serving(engines=[engine]) as served, client(served) as made:
        with pytest.raises((openai.APIConnectionError, httpx.RemoteProtocolError)):
            await made.audio.speech.create(**SPEECH, response_format=name)
        await empty(served)


async def test_events_say_what_failed_before_the_transfer_breaks() -> None:
    engine = Scripted()
    engine.otherwise(Say(sound(100)), Raise(EngineFailed("it broke")))
    async with serving(engines=[engine]) as served, httpx.AsyncClient(timeout=60) as http:
        pieces: list[str] = []

        async def read() -> None:
            body = {**SPEECH, "response_format": "pcm", "stream_format": "sse"}
            async with http.stream("POST", f"{served.http}/v1/audio/speech", json=body) as answer:
                async for piece in answer.aiter_text():
                    pieces.append(piece)  # noqa: PERF401 - kept when the transfer breaks

        with pytest.raises(httpx.RemoteProtocolError):
            await read()
        error = json.loads("".join(pieces).splitlines()[-2].removeprefix("data: "))
        assert (error["type"], error["error"]["code"]) == ("error", "engine_failed")
        await empty(served)


async def test_a_gateway_that_is_about_to_stop_refuses() -> None:
    async with serving(engines=[Scripted()]) as served:
        served.gateway.sessions.draining = True
        answer = await post(served)
        assert (answer.status_code, answer.json()["error"]["code"]) == (503, "overloaded")


# ---- clients that go


async def test_a_client_that_goes_before_the_first_sound_stops_the_engine() -> None:
    engine, begun = Scripted(), asyncio.Event()
    engine.otherwise(Mark(begun), Hang())
    async with serving(engines=[engine]) as served, client(served) as made:
        asked = asyncio.create_task(made.audio.speech.create(**SPEECH))
        await begun.wait()
        asked.cancel()
        await asyncio.gather(asked, return_exceptions=True)
        await empty(served)
        assert (engine.stopped, engine.active) == (1, 0)


@pytest.mark.parametrize("stream_format", ["audio", "sse"])
async def test_a_client_that_goes_in_the_middle_stops_the_engine(stream_format: Any) -> None:
    engine = Scripted()
    engine.otherwise(Say(sound(200)), Hang())
    async with serving(engines=[engine]) as served, client(served) as made:
        speech = made.audio.speech.with_streaming_response
        async with speech.create(**SPEECH, response_format="pcm", stream_format=stream_format) as answer:
            await anext(answer.iter_bytes())
        await empty(served)
        assert (engine.stopped, engine.active) == (1, 0)


async def test_a_client_that_waits_for_a_place_and_goes_leaves_the_queue() -> None:
    engine, begun = Scripted(), asyncio.Event()
    engine.otherwise(Mark(begun), Hang())
    async with serving(engines=[engine], max_sessions=1) as served, client(served) as made:
        asked = [asyncio.create_task(made.audio.speech.create(**SPEECH)) for _ in range(3)]
        await until(lambda: served.gateway.capacities.sessions.waiting == 2)
        for task in asked:
            task.cancel()
        await asyncio.gather(*asked, return_exceptions=True)
        await empty(served)


async def test_a_client_that_never_reads_is_sent_little_and_then_let_go() -> None:
    engine = Scripted()
    engine.otherwise(*[Say(sound(1000))] * 60)
    async with serving(engines=[engine], send_timeout=0.5) as served:
        _, writer = await asyncio.open_connection("127.0.0.1", served.port, limit=1024)
        writer.transport.pause_reading()
        body = json.dumps({**SPEECH, "response_format": "pcm"}).encode()
        head = f"POST /v1/audio/speech HTTP/1.1\r\nHost: x\r\nContent-Length: {len(body)}\r\n\r\n"
        writer.write(head.encode() + body)
        await until(lambda: bool(served.gateway.sessions.live))
        session = served.gateway.sessions.live[0]
        await empty(served)
        assert 0 < session.playback.sent < 30
        assert engine.active == 0
        writer.transport.abort()


async def test_instructions_go_to_an_engine_that_follows_some_and_bother_no_other() -> None:
    class Following(Scripted):
        option_names: ClassVar[frozenset[str]] = frozenset({"instructions"})

        def check(self, options: Mapping[str, Any]) -> Mapping[str, Any]:
            return options

    following, deaf = Following(), Scripted()
    for engine in (following, deaf):
        async with serving(engines=[engine]) as served:
            answer = await post(served, {**SPEECH, "instructions": "Whisper."})
            assert answer.status_code == 200
    assert [dict(segment.options) for segment in following.segments] == [{"instructions": "Whisper."}]
    assert [dict(segment.options) for segment in deaf.segments] == [{}]


async def test_instructions_that_an_engine_refuses_are_named() -> None:
    class Choosy(Scripted):
        option_names: ClassVar[frozenset[str]] = frozenset({"instructions"})

        def check(self, options: Mapping[str, Any]) -> Mapping[str, Any]:
            raise BadOption("instructions may have 10 characters")

    async with serving(engines=[Choosy()]) as served:
        answer = await post(served, {**SPEECH, "instructions": "Whisper, and then shout."})
        error = answer.json()["error"]
        assert (answer.status_code, error["code"], error["param"]) == (400, "bad_option", "instructions")
