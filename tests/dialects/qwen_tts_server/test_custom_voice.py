"""Speech with a speaker: answers to the byte, whose voice it is, and when things go wrong."""

from __future__ import annotations

import asyncio
import base64
import io
import json
import random
import wave
from collections.abc import AsyncGenerator
from typing import Any

import httpx
import pytest

from providers.base import EngineFailed, EngineUnavailable, PcmChunk, Segment, Voice
from tests.dialects.qwen_tts_server.speaking import PREFIX, Qwen, events, pcm_of_events
from tests.support.asking import b64, client, empty, pcm_of_wav, post, spoken_natively, until, wav_of
from tests.support.engines import Broken, Hang, Making, Mark, Raise, Say, Scripted, Wait, sound
from tests.support.scene import after, scene
from tests.support.serving import serving
from tests.support.virtual_time import virtual_time

HELLO = {"text": "Hello.", "language": "English", "speaker": "Ryan"}
GENERATE = f"{PREFIX}/custom-voice/generate"
STREAM = f"{PREFIX}/custom-voice/generate-stream"
BATCH = f"{PREFIX}/custom-voice/batch"
BODIES: dict[str, dict[str, Any]] = {GENERATE: HELLO, STREAM: HELLO, BATCH: {"texts": ["Hello."]}}
TEXT = "Is it one? It is two! And then, after a while, there came a third one, which was by far the longest."


# ---- what is answered, to the byte


@virtual_time
async def test_the_wav_comes_with_how_it_went_in_the_headers() -> None:
    engine = Qwen()
    engine.on("Hello.", after(0.1582), Say(sound(100, 1)), after(0.25), Say(sound(400, 2)))
    async with scene(engine) as made:
        status, headers, pieces = await made.ask("POST", GENERATE, HELLO)
    assert (status, b"".join(pieces)) == (200, wav_of(sound(100, 1) + sound(400, 2)))
    assert headers == {
        "content-type": "audio/wav",
        "content-length": "24044",
        "content-disposition": 'attachment; filename="custom_voice.wav"',
        "x-sample-rate": "24000",
        "x-generation-time": "0.250",
        "x-audio-duration": "0.500",
        "x-rtf": "0.500",
    }


@virtual_time
async def test_the_json_is_a_wav_in_base64_and_its_figures() -> None:
    engine = Qwen(sample_rate=22_050)
    engine.on("Hello.", after(0.25), Say(sound(500, 1, rate=22_050)))
    async with scene(engine) as made:
        status, headers, body = await made.told("POST", GENERATE, {**HELLO, "response_format": "base64"})
    file = b64(wav_of(sound(500, 1, rate=22_050), 22_050))
    expected = (
        f'{{"audio":"{file}","sample_rate":22050,"format":"wav","generation_time":0.25,"audio_duration":0.5,"rtf":0.5}}'
    )
    assert (status, body) == (200, expected)
    assert headers == {"content-type": "application/json", "content-length": str(len(expected))}


@virtual_time
async def test_events_are_wavs_at_the_voices_own_rate() -> None:
    engine = Qwen(sample_rate=22_050)
    engine.on("Hello.", after(0.25), Say(sound(100, 1, rate=22_050)), Say(b"\3\0"))
    async with scene(engine) as made:
        status, headers, body = await made.told("POST", STREAM, HELLO)
    assert (status, headers) == (
        200,
        {
            "content-type": "text/event-stream; charset=utf-8",
            "cache-control": "no-cache",
            "x-accel-buffering": "no",
            "x-sample-rate": "22050",
        },
    )
    one, two = b64(wav_of(sound(100, 1, rate=22_050), 22_050)), b64(wav_of(b"\3\0", 22_050))
    assert body == (
        'event: metadata\ndata: {"sample_rate":22050,"format":"wav","provider":"qwen","speaker":"ryan"}\n\n'
        f"event: audio\ndata: {one}\n\n"
        f"event: audio\ndata: {two}\n\n"
        'event: metadata\ndata: {"sample_rate":22050,"generation_time":0.25,"audio_duration":0.1,"rtf":2.499}\n\n'
        "event: done\ndata: complete\n\n"
    )


@virtual_time
async def test_a_batch_keeps_its_order_and_a_failure_fails_alone() -> None:
    engine = Qwen()
    engine.on("One.", after(3), Say(sound(20, 1)))
    engine.on("Two.", Raise(EngineFailed("it broke")))
    engine.on("Three.", Say(sound(20, 3)))
    body = {
        "texts": ["One.", "Two.", "Three.", "Four.", "Five."],
        "languages": ["English", "Auto", "English", "Klingonese", "English"],
        "speakers": ["Ryan", "Vivian", "uncle_fu", "Ryan", "Nobody"],
    }
    async with scene(engine) as made:
        status, headers, said = await made.told("POST", BATCH, body)
    assert (status, headers) == (200, {"content-type": "application/json"})
    unknown = "there is no such voice; there are: vivian, ryan, uncle_fu"
    languages = "Auto, Chinese, English, Japanese, Korean, German, French, Russian, Portuguese, Spanish, Italian"
    assert said == (
        f'{{"audios":["{b64(wav_of(sound(20, 1)))}",null,"{b64(wav_of(sound(20, 3)))}",null,null],"errors":[null,'
        '{"detail":"it broke","code":"engine_failed","retryable":false},null,'
        f'{{"detail":"there is no such language; there are: {languages}, or a tag","code":"bad_request",'
        '"retryable":false},'
        f'{{"detail":"{unknown}","code":"unknown_voice","retryable":false}}],"sample_rate":24000,"format":"wav"}}'
    )
    assert [segment.voice.id for segment in engine.segments] == ["ryan", "vivian", "uncle_fu"]
    assert all(segment.batch for segment in engine.segments)


@virtual_time
async def test_speakers_and_languages() -> None:
    class Known(Qwen):
        async def voices(self) -> tuple[Voice, ...]:
            return (
                Voice("uncle_fu", "Uncle Fu", "mul", 24_000, "male", "seasoned"),
                Voice("design", "Design", "mul", 24_000),
            )

    async with scene(Scripted(voices=("one",)), Known()) as made:
        assert await made.told("GET", f"{PREFIX}/custom-voice/speakers") == (
            200,
            {"content-type": "application/json", "content-length": "242"},
            '{"speakers":['
            '{"name":"Uncle_Fu","description":"seasoned","native_language":"Multilingual","provider":"qwen",'
            '"sample_rate":24000},'
            '{"name":"Design","description":"Design","native_language":"Multilingual","provider":"qwen",'
            '"sample_rate":24000}]}',
        )
        _, _, body = await made.told("GET", f"{PREFIX}/custom-voice/languages")
        assert body == (
            '{"languages":["Auto","Chinese","English","Japanese","Korean","German","French","Russian",'
            '"Portuguese","Spanish","Italian"]}'
        )
        status, _, _ = await made.ask("POST", GENERATE, {**HELLO, "speaker": "uncle_FU"})
        assert status == 200


@virtual_time
async def test_without_qwen_the_speakers_are_everybodys() -> None:
    class Dutch(Making):
        async def voices(self) -> tuple[Voice, ...]:
            return (Voice("anna", "Anna Smit", "nl-NL", 16_000), Voice("jo", "Jo", "de_DE", 16_000))

    async with scene(Scripted(voices=("one",)), Dutch()) as made:
        _, _, body = await made.told("GET", f"{PREFIX}/custom-voice/speakers")
        said = [(one["name"], one["native_language"], one["provider"]) for one in json.loads(body)["speakers"]]
        assert said == [("One", "English", "scripted"), ("anna", "nl-NL", "making"), ("Jo", "German", "making")]
        _, _, body = await made.told("GET", f"{PREFIX}/custom-voice/languages")
        assert body == '{"languages":["Auto","English","German","nl-NL"]}'


# ---- one sound, whichever way


async def test_every_route_has_the_sound_of_the_native_protocol() -> None:
    asked = {"text": TEXT, "language": "English", "speaker": "Ryan"}
    async with serving(engines=["hibari"]) as served:
        filed = await post(served, GENERATE, asked)
        packed = (await post(served, GENERATE, {**asked, "response_format": "base64"})).json()
        streamed = await post(served, STREAM, asked)
        many = (await post(served, BATCH, {"texts": [TEXT, TEXT]})).json()
        expected = await spoken_natively(served, TEXT)
    assert len(expected) > 24_000
    assert pcm_of_wav(filed.content, 24_000) == expected
    assert pcm_of_wav(base64.b64decode(packed["audio"]), packed["sample_rate"]) == expected
    assert pcm_of_events(streamed.text, 24_000) == expected
    assert [pcm_of_wav(base64.b64decode(audio), many["sample_rate"]) for audio in many["audios"]] == [expected] * 2
    assert packed["audio_duration"] == round(len(expected) / 48_000, 3)


@pytest.mark.parametrize("rate", [8000, 16_000, 22_050, 44_100])
async def test_the_rate_is_the_voices_own(rate: int) -> None:
    async with serving(engines=[Qwen(sample_rate=rate)]) as served:
        filed, streamed = await post(served, GENERATE, HELLO), await post(served, STREAM, HELLO)
        many = (await post(served, BATCH, BODIES[BATCH])).json()
    assert {filed.headers["x-sample-rate"], streamed.headers["x-sample-rate"], str(many["sample_rate"])} == {str(rate)}
    expected = sound(200, rate=rate)
    assert pcm_of_wav(filed.content, rate) == pcm_of_events(streamed.text, rate) == expected
    assert pcm_of_wav(base64.b64decode(many["audios"][0]), rate) == expected


async def test_a_batch_with_voices_of_several_rates_has_the_rate_of_the_first_that_can_speak() -> None:
    engines = [Qwen(sample_rate=16_000), Scripted(sample_rate=24_000)]
    async with serving(engines=engines) as served:
        body = {"texts": ["A.", "B.", "C."], "speakers": ["nobody", "ryan", "one"]}
        said = (await post(served, BATCH, body)).json()
        files = [base64.b64decode(audio) for audio in said["audios"][1:]]
        assert said["sample_rate"] == 16_000
        for file in files:
            with wave.open(io.BytesIO(file)) as read:
                assert (read.getframerate(), read.getnframes()) == (16_000, 3200)
        none = (await post(served, BATCH, {"texts": ["A."], "speakers": ["nobody"]})).json()
        assert (none["sample_rate"], none["audios"]) == (24_000, [None])


async def test_result_i_is_of_text_i_whatever_is_finished_first() -> None:
    class Numbered(Qwen):
        """Says a text's number as the level of its sound, after as many turns of the loop as a seed gives."""

        async def synthesize(self, segment: Segment) -> AsyncGenerator[PcmChunk, None]:
            number = int(segment.text.removeprefix("Task ").removesuffix("."))
            for _ in range(turns[number]):
                await asyncio.sleep(0)
            if number in failing:
                raise EngineFailed("it broke")
            yield PcmChunk(sound(20, number))

    count = 150
    turns = random.Random(3).choices(range(200), k=count)
    failing = set(random.Random(1).sample(range(count), 8))
    async with serving(engines=[Numbered()]) as served:
        said = (await post(served, BATCH, {"texts": [f"Task {number}." for number in range(count)]})).json()
        await empty(served)
    for number, (audio, error) in enumerate(zip(said["audios"], said["errors"], strict=True)):
        if number in failing:
            assert (audio, error["code"]) == (None, "engine_failed")
        else:
            assert (pcm_of_wav(base64.b64decode(audio)), error) == (sound(20, number), None)


async def test_an_event_comes_while_the_rest_is_still_being_made() -> None:
    engine, hold = Qwen(), asyncio.Event()
    engine.on("Hello.", Say(sound(100, 1)), Wait(hold), Say(sound(100, 2)))
    async with (
        serving(engines=[engine]) as served,
        client(served) as made,
        made.stream("POST", STREAM, json=HELLO) as answer,
    ):
        pieces, first = answer.aiter_text(), ""
        while first.count("\n\n") < 2:
            first += await anext(pieces)
        assert pcm_of_events(first) == sound(100, 1)
        hold.set()
        rest = "".join([piece async for piece in pieces])
        assert pcm_of_events(rest) == sound(100, 2)
        assert events(rest)[-1] == ("done", "complete")


# ---- whose voice, and how


@pytest.mark.parametrize(
    ("speaker", "engine", "voice"),
    [
        (None, "qwen", "vivian"),
        ("Ryan", "qwen", "ryan"),
        ("Sohee", "qwen", "vivian"),
        ("ono_anna", "qwen", "vivian"),
        ("two", "scripted", "two"),
        ("Eric", "scripted", "Eric"),
    ],
)
@pytest.mark.parametrize("path", [GENERATE, STREAM, BATCH])
async def test_qwen_is_asked_first(path: str, speaker: str | None, engine: str, voice: str) -> None:
    engines = {"scripted": Scripted(voices=("one", "two", "Eric", "ryan")), "qwen": Qwen()}
    asked: dict[str, Any] = {"text": "Hello."} if path != BATCH else {"texts": ["Hello."]}
    if speaker is not None:
        asked |= {"speaker": speaker, "speakers": [speaker]}
    async with serving(engines=list(engines.values())) as served:
        assert (await post(served, path, asked)).status_code == 200
    assert {name: [segment.voice.id for segment in one.segments] for name, one in engines.items()} == {
        "scripted": [], "qwen": [], engine: [voice],
    }  # fmt: skip


async def test_where_qwen_is_away_the_default_voice_speaks_and_its_own_say_why() -> None:
    away, other = Qwen(), Scripted()
    away.start_error = EngineUnavailable("engine 'qwen' has no model")
    async with serving(engines=[other, away]) as served:
        assert (await post(served, GENERATE, {**HELLO, "speaker": "Sohee"})).status_code == 200
        refused = await post(served, GENERATE, {**HELLO, "speaker": "vivian"})
        assert (refused.status_code, refused.json()["detail"]) == (502, "engine 'qwen' has no model")
    assert [segment.voice.id for segment in other.segments] == ["one"]


@pytest.mark.parametrize(
    ("asked", "language"),
    [("Auto", None), ("", None), ("English", "en"), ("chinese", "zh"), ("pt-BR", "pt-BR"), ("zh_CN", "zh-CN")],
)
async def test_a_language_is_a_name_or_a_tag(asked: str, language: str | None) -> None:
    engine = Qwen()
    async with serving(engines=[engine]) as served:
        assert (await post(served, GENERATE, {**HELLO, "language": asked})).status_code == 200
    assert [segment.language for segment in engine.segments] == [language]


@pytest.mark.parametrize("path", [GENERATE, STREAM])
async def test_an_engine_gets_the_instruction_where_it_follows_some(path: str) -> None:
    engine, other = Qwen(), Scripted()
    async with serving(engines=[engine, other]) as served:
        for asked in ({"instruct": "Very happy"}, {"instruct": ""}, {"instruct": None}, {"speaker": "one"}):
            assert (await post(served, path, {**HELLO, "instruct": "Calm", **asked})).status_code == 200
        refused = await post(served, path, {**HELLO, "instruct": "as no one can"})
    assert [dict(segment.options) for segment in engine.segments] == [{"instruct": "Very happy"}, {}, {}]
    assert [dict(segment.options) for segment in other.segments] == [{}]
    assert (refused.status_code, refused.json()["code"]) == (400, "bad_option")


async def test_a_batch_has_an_instruction_for_each_text() -> None:
    engine = Qwen()
    async with serving(engines=[engine]) as served:
        await post(served, BATCH, {"texts": ["A.", "B."], "instructs": ["Calm", None], "speed": 1.5})
    found = [(segment.text, dict(segment.options).get("instruct"), segment.speed) for segment in engine.segments]
    assert sorted(found) == [("A.", "Calm", 1.5), ("B.", None, 1.5)]


async def test_an_empty_list_of_instructions_is_none() -> None:
    async with serving(engines=[Qwen()]) as served:
        answer = await post(served, BATCH, {"texts": ["A.", "B."], "instructs": []})
    assert (answer.status_code, answer.json()["errors"]) == (200, [None, None])


# ---- errors


@pytest.mark.parametrize("path", [GENERATE, STREAM])
@pytest.mark.parametrize(
    ("body", "kind", "field"),
    [
        ({}, "missing", "text"),
        ({"text": ""}, "string_too_short", "text"),
        ({"text": 7}, "string_type", "text"),
        ({**HELLO, "language": None}, "string_type", "language"),
        ({**HELLO, "language": "x" * 257}, "string_too_long", "language"),
        ({**HELLO, "speaker": 7}, "string_type", "speaker"),
        ({**HELLO, "speaker": "x" * 257}, "string_too_long", "speaker"),
        ({**HELLO, "instruct": "x" * 1001}, "string_too_long", "instruct"),
        ({**HELLO, "speed": 0.49}, "greater_than_equal", "speed"),
        ({**HELLO, "speed": 2.01}, "less_than_equal", "speed"),
        ({**HELLO, "response_format": "mp3"}, "literal_error", "response_format"),
    ],
)
async def test_a_wrong_field_is_422_and_named(path: str, body: Any, kind: str, field: str) -> None:
    async with serving(engines=[Qwen()]) as served:
        answer = await post(served, path, body)
        detail = answer.json()["detail"]
        assert (answer.status_code, [(one["type"], one["loc"]) for one in detail]) == (422, [(kind, ["body", field])])
        assert "input" not in detail[0]
        await empty(served)


@pytest.mark.parametrize(
    ("body", "kind", "place"),
    [
        ({}, "missing", ["texts"]),
        ({"texts": []}, "too_short", ["texts"]),
        ({"texts": ["a"] * 1001}, "too_long", ["texts"]),
        ({"texts": ["a", ""]}, "string_too_short", ["texts", 1]),
        ({"texts": ["a" * 10_001]}, "string_too_long", ["texts", 0]),
        ({"texts": ["a"], "speakers": "Ryan"}, "list_type", ["speakers"]),
        ({"texts": ["a"], "speed": 3}, "less_than_equal", ["speed"]),
        ({"texts": ["a"], "response_format": "mp3"}, "literal_error", ["response_format"]),
    ],
)
async def test_a_wrong_field_of_a_batch_is_422_and_named(body: Any, kind: str, place: list[Any]) -> None:
    async with serving(engines=[Qwen()]) as served:
        answer = await post(served, BATCH, body)
    assert answer.status_code == 422
    assert [(one["type"], one["loc"]) for one in answer.json()["detail"]] == [(kind, ["body", *place])]


@pytest.mark.parametrize("field", ["languages", "speakers", "instructs"])
async def test_the_lists_of_a_batch_are_of_equal_length(field: str) -> None:
    async with serving(engines=[Qwen()]) as served:
        answer = await post(served, BATCH, {"texts": ["a", "b"], field: ["Auto"]})
    assert (answer.status_code, answer.json()["detail"]) == (400, f"{field} must have the same length as texts")


@pytest.mark.parametrize("format_", ["zip", "wav", "base64"])
async def test_a_batch_is_answered_in_json_whatever_was_asked(format_: str) -> None:
    async with serving(engines=[Qwen()]) as served:
        answer = await post(served, BATCH, {"texts": ["Hello."], "response_format": format_})
    assert list(answer.json()) == ["audios", "errors", "sample_rate", "format"]


@pytest.mark.parametrize("path", [GENERATE, STREAM])
@pytest.mark.parametrize(
    ("body", "code"),
    [
        ({**HELLO, "speaker": "nobody"}, "unknown_voice"),
        ({**HELLO, "language": "Klingonese"}, "bad_request"),
        ({**HELLO, "text": " ?! "}, "nothing_to_speak"),
        ({**HELLO, "text": "Hello there."}, "text_too_long"),
    ],
)
async def test_what_cannot_be_served_is_a_detail(path: str, body: Any, code: str) -> None:
    async with serving(engines=[Qwen()], max_text_characters=10) as served:
        answer = await post(served, path, body)
        said = answer.json()
        assert (answer.status_code, said["code"], said["retryable"]) == (400, code, False)
        assert isinstance(said["detail"], str)
        await empty(served)


@pytest.mark.parametrize("path", BODIES)
async def test_a_body_that_is_no_json_is_refused(path: str) -> None:
    async with serving(engines=[Qwen()]) as served:
        answer = await post(served, path, content=b"text=Hello")
        assert (answer.status_code, answer.json()["code"]) == (400, "bad_message")


@pytest.mark.parametrize("path", [GENERATE, STREAM])
@pytest.mark.parametrize(
    ("error", "status", "code"),
    [
        (EngineFailed("it broke"), 502, "engine_failed"),
        (EngineUnavailable("it is away", retry_after=2.2), 502, "engine_unavailable"),
        (ValueError("a secret"), 502, "engine_failed"),
    ],
)
async def test_an_engine_that_fails_before_its_first_sound_is_a_status(
    path: str, error: Exception, status: int, code: str
) -> None:
    engine = Qwen()
    engine.otherwise(Raise(error))
    async with serving(engines=[engine]) as served:
        answer = await post(served, path, HELLO)
        assert (answer.status_code, answer.json()["code"]) == (status, code)
        assert "secret" not in answer.text
        assert served.gateway.metrics.errors.labels("qwen_tts_server", code)._value.get() == 1
        await empty(served)


async def test_an_engine_that_fails_later_is_a_status_for_a_file_and_an_event_before_a_stream_breaks() -> None:
    engine = Qwen()
    engine.otherwise(Say(sound(100)), Raise(EngineFailed("it broke; wörtlich")))
    async with serving(engines=[engine]) as served, client(served) as made:
        answer = await post(served, GENERATE, HELLO)
        assert (answer.status_code, answer.json()["detail"]) == (502, "it broke; wörtlich")
        assert served.gateway.recordings.size == 0
        pieces: list[bytes] = []

        async def read() -> None:
            async with made.stream("POST", STREAM, json=HELLO) as stream:
                async for piece in stream.aiter_raw():
                    pieces.append(piece)  # noqa: PERF401 - kept when the transfer breaks

        with pytest.raises(httpx.RemoteProtocolError):
            await read()
        body = b"".join(pieces)
        assert body.isascii()
        name, data = events(body.decode())[-1]
        assert (name, json.loads(data)) == (
            "error",
            {"detail": "it broke; wörtlich", "code": "engine_failed", "retryable": False},
        )
        await empty(served)


@pytest.mark.parametrize("path", [*BODIES, f"{PREFIX}/custom-voice/speakers", f"{PREFIX}/custom-voice/languages"])
async def test_a_key_is_asked_for_where_there_are_keys(path: str) -> None:
    async with serving(engines=[Qwen()], api_keys=("right",)) as served, client(served) as made:
        method = "POST" if path in BODIES else "GET"
        refused = await made.request(method, path, json=BODIES.get(path))
        assert (refused.status_code, refused.json()["code"]) == (401, "unauthorized")
        for headers in ({"x-api-key": "right"}, {"authorization": "Bearer right"}):
            assert (await made.request(method, path, json=BODIES.get(path), headers=headers)).status_code == 200


async def test_one_address_may_ask_so_often() -> None:
    async with serving(engines=[Qwen()], rate_limit_requests=3) as served:
        answers = [await post(served, path, body) for path, body in (*BODIES.items(), (GENERATE, HELLO))]
        assert [answer.status_code for answer in answers] == [200, 200, 200, 429]
        assert int(answers[3].headers["retry-after"]) > 0


@pytest.mark.parametrize("path", [GENERATE, STREAM])
async def test_a_full_gateway_says_when_to_come_back(path: str) -> None:
    engine, begun = Qwen(), asyncio.Event()
    engine.on("First.", Mark(begun), Hang())
    async with serving(engines=[engine], max_sessions=1, max_waiting=0) as served:
        first = asyncio.create_task(post(served, path, {"text": "First."}))
        await begun.wait()
        refused = await post(served, path, HELLO)
        assert (refused.status_code, refused.json()["code"]) == (503, "overloaded")
        assert refused.headers["retry-after"] == "1"
        first.cancel()
        await asyncio.gather(first, return_exceptions=True)
        await empty(served)


async def test_no_engine_at_all_is_an_error() -> None:
    async with serving(engines=[Broken()]) as served, client(served) as made:
        assert (await post(served, GENERATE, HELLO)).status_code == 502
        assert (await made.get(f"{PREFIX}/custom-voice/speakers")).json() == {"speakers": []}
        assert (await made.get(f"{PREFIX}/custom-voice/languages")).json() == {"languages": ["Auto"]}


# ---- clients that go, and what is counted


@pytest.mark.parametrize("path", BODIES)
async def test_a_client_that_goes_stops_the_engine(path: str) -> None:
    engine, begun = Qwen(), asyncio.Event()
    engine.otherwise(Say(sound(500)), Mark(begun), Hang())
    async with serving(engines=[engine]) as served:
        asked = asyncio.create_task(post(served, path, BODIES[path]))
        await begun.wait()
        asked.cancel()
        await asyncio.gather(asked, return_exceptions=True)
        await empty(served)
        assert (engine.stopped, engine.active) == (1, 0)
        await until(lambda: served.gateway.recordings.size == 0)


async def test_a_client_that_goes_in_the_middle_stops_the_engine() -> None:
    engine = Qwen()
    engine.otherwise(Say(sound(200)), Hang())
    async with serving(engines=[engine]) as served, client(served) as made:
        async with made.stream("POST", STREAM, json=HELLO) as answer:
            await anext(answer.aiter_bytes())
        await empty(served)
        assert (engine.stopped, engine.active) == (1, 0)


async def test_what_is_spoken_is_counted_by_engine_and_api() -> None:
    async with serving(engines=[Qwen()]) as served:
        for path, body in BODIES.items():
            await post(served, path, body)
        counted = served.gateway.metrics.sessions.labels("qwen", "pcm16", "qwen_tts_server", "ended")
        assert counted._value.get() == 3
        await post(served, BATCH, {"texts": ["..."]})
        assert served.gateway.metrics.errors.labels("qwen_tts_server", "nothing_to_speak")._value.get() == 1


async def test_a_listener_that_takes_nothing_of_a_batch_is_given_up_and_no_failure_of_the_gateway() -> None:
    engine = Qwen()
    engine.otherwise(Say(sound(60_000)))
    async with serving(engines=[engine], send_timeout=0.1) as served:
        body = json.dumps({"texts": ["Hello."] * 4}).encode()
        reader, writer = await asyncio.open_connection("127.0.0.1", served.port, limit=1024)
        writer.write(b"POST %b HTTP/1.1\r\nhost: test\r\n" % BATCH.encode())
        writer.write(b"content-type: application/json\r\ncontent-length: %d\r\n\r\n%b" % (len(body), body))
        await reader.readuntil(b'{"audios":[')
        writer.transport.pause_reading()
        await until(lambda: not served.server.server_state.tasks)
        writer.transport.abort()
        counted = [sample for metric in served.gateway.metrics.errors.collect() for sample in metric.samples]
    assert [sample for sample in counted if sample.labels.get("code") == "internal"] == []
