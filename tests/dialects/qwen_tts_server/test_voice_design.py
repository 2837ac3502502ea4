"""Speech with a voice that is described."""

from __future__ import annotations

import asyncio
import base64
from typing import Any

import pytest

from providers.base import BadOption, EngineUnavailable, Voice
from tests.dialects.qwen_tts_server.speaking import PREFIX, MakingQwen, pcm_of_events
from tests.support.asking import b64, empty, pcm_of_wav, post, until, wav_of
from tests.support.engines import Hang, Making, Mark, Raise, Say, Scripted, Wait, sound
from tests.support.scene import after, scene
from tests.support.serving import serving
from tests.support.virtual_time import virtual_time

GENERATE = f"{PREFIX}/voice-design/generate"
STREAM = f"{PREFIX}/voice-design/generate-stream"
BATCH = f"{PREFIX}/voice-design/batch"
CALM = "A calm old man"
HELLO = {"text": "Hello.", "language": "English", "instruct": CALM}
MANY: dict[str, Any] = {"texts": ["Hello."], "instructs": [CALM]}
BODIES: dict[str, dict[str, Any]] = {GENERATE: HELLO, STREAM: HELLO, BATCH: MANY}


@virtual_time
async def test_the_wav_says_how_it_went_the_making_of_the_voice_with_it_and_is_quicker_again() -> None:
    engine = Making()
    engine.making = (after(1.0),)
    engine.on("Hello.", Say(sound(500, 1)))
    async with scene(engine) as made:
        answers = [await made.ask("POST", GENERATE, HELLO) for _ in range(2)]
    for (status, headers, pieces), took, rtf, known in zip(
        answers, ("1.000", "0.000"), ("2.000", "0.000"), ("miss", "hit"), strict=True
    ):
        assert (status, b"".join(pieces)) == (200, wav_of(sound(500, 1)))
        assert headers == {
            "content-type": "audio/wav",
            "content-length": "24044",
            "content-disposition": 'attachment; filename="voice_design.wav"',
            "x-sample-rate": "24000",
            "x-generation-time": took,
            "x-audio-duration": "0.500",
            "x-rtf": rtf,
            "x-cache-status": known,
        }
    assert engine.descriptions == [(CALM, "en")]
    assert {segment.voice.prompt for segment in engine.segments} == {(Making.MARK + CALM.encode()).ljust(1000, b".")}


@virtual_time
async def test_events_have_the_rate_of_the_voice_that_was_made() -> None:
    engine = Making(sample_rate=16_000)
    engine.making = (after(1.0),)
    engine.on("Hello.", Say(sound(100, 1, rate=16_000)))
    async with scene(engine) as made:
        _, headers, body = await made.told("POST", STREAM, HELLO)
    assert headers["x-sample-rate"] == "16000"
    said = '"sample_rate":16000,"format":"wav","provider":"making","speaker":"design","cache_status":"miss"'
    figures = '"sample_rate":16000,"generation_time":1.0,"audio_duration":0.1,"rtf":10.0,"cache_status":"miss"'
    assert body == (
        f"event: metadata\ndata: {{{said}}}\n\n"
        f"event: audio\ndata: {b64(wav_of(sound(100, 1, rate=16_000), 16_000))}\n\n"
        f"event: metadata\ndata: {{{figures}}}\n\n"
        "event: done\ndata: complete\n\n"
    )


@virtual_time
async def test_the_json_says_whether_the_voice_was_known() -> None:
    async with scene(Making()) as made:
        _, _, body = await made.told("POST", GENERATE, {**HELLO, "response_format": "base64"})
    file = b64(wav_of(sound(200)))
    assert body == (
        f'{{"audio":"{file}","sample_rate":24000,"format":"wav","generation_time":0.0,"audio_duration":0.2,"rtf":0.0,'
        '"cache_status":"miss"}'
    )


@virtual_time
async def test_a_batch_makes_each_voice_once_before_it_speaks_and_one_that_fails_fails_its_texts_alone() -> None:
    class Picky(Making):
        async def design(self, description: str, language: str | None = None) -> Voice:
            assert not self.segments
            voice = await super().design(description, language)
            if description == "a teapot":
                raise BadOption("engine 'making' is no teapot")
            return voice

    engine = Picky()
    body = {
        "texts": ["One.", "Two.", "Three.", "Four.", "Five."],
        "instructs": [CALM, "a teapot", CALM, "a girl", "a teapot"],
        "languages": ["English", "Auto", "English", "German", "Auto"],
    }
    for number, text in enumerate(body["texts"], 1):
        engine.on(text, Say(sound(20, number)))
    async with scene(engine) as made:
        _, _, said = await made.told("POST", BATCH, body)

    def file(number: int) -> str:
        return f'"{b64(wav_of(sound(20, number)))}"'

    failed = '{"detail":"engine \'making\' is no teapot","code":"bad_option","retryable":false}'
    assert said == (
        f'{{"audios":[{file(1)},null,{file(3)},{file(4)},null],"errors":[null,{failed},null,null,{failed}],'
        '"sample_rate":24000,"format":"wav"}'
    )
    assert engine.descriptions == [(CALM, "en"), ("a teapot", None), ("a girl", "de")]
    prompts = {segment.text: segment.voice.prompt for segment in engine.segments}
    assert prompts["One."] == prompts["Three."] != prompts["Four."]


async def test_a_voice_that_is_being_made_is_waited_for_and_made_once() -> None:
    engine, hold = Making(), asyncio.Event()
    engine.making = (Wait(hold),)
    async with serving(engines=[engine]) as served:
        asked = [asyncio.create_task(post(served, GENERATE, HELLO)) for _ in range(20)]
        await until(lambda: engine.made == 1)
        hold.set()
        answers = await asyncio.gather(*asked)
    assert [answer.status_code for answer in answers] == [200] * 20
    assert sorted(answer.headers["x-cache-status"] for answer in answers) == ["hit"] * 19 + ["miss"]
    assert len(engine.descriptions) == 1


async def test_nobody_speaks_with_a_voice_that_another_has_described() -> None:
    engine = Making()
    async with serving(engines=[engine], api_keys=("one:first-key", "two:second-key")) as served:
        for key in ("first-key", "second-key", "first-key"):
            await post(served, GENERATE, HELLO, headers={"x-api-key": key})
    assert len(engine.descriptions) == 2


async def test_qwen_makes_it_where_several_could_and_another_where_it_is_away() -> None:
    first, qwen = Making(), MakingQwen()
    async with serving(engines=[first, qwen]) as served:
        assert pcm_of_events((await post(served, STREAM, HELLO)).text) == sound(200)
    assert (first.descriptions, qwen.descriptions) == ([], [(CALM, "en")])
    away = MakingQwen()
    away.start_error = EngineUnavailable("engine 'qwen' has no model")
    async with serving(engines=[first, away]) as served:
        assert (await post(served, GENERATE, HELLO)).status_code == 200
    assert first.descriptions == [(CALM, "en")]


async def test_another_makes_it_where_qwen_is_not_configured_to() -> None:
    qwen, other = MakingQwen(), Making()
    qwen.designs = False
    async with serving(engines=[qwen, other]) as served:
        for path, body in BODIES.items():
            assert (await post(served, path, body)).status_code == 200
    assert (qwen.descriptions, {language for _, language in other.descriptions}) == ([], {"en", None})


# ---- errors


@pytest.mark.parametrize("path", BODIES)
async def test_without_an_engine_that_designs_it_is_501(path: str) -> None:
    async with serving(engines=[Scripted()]) as served:
        answer = await post(served, path, BODIES[path])
    assert (answer.status_code, answer.json()) == (
        501,
        {
            "detail": "no engine of this gateway makes voices from descriptions",
            "code": "not_implemented",
            "retryable": False,
        },
    )


@pytest.mark.parametrize("path", BODIES)
async def test_an_engine_alone_that_is_not_configured_to_says_what_it_lacks(path: str) -> None:
    qwen = MakingQwen()
    qwen.designs, qwen.making = False, (Raise(BadOption("engine 'qwen' lacks a model")),)
    async with serving(engines=[Scripted(), qwen]) as served:
        answer = await post(served, path, BODIES[path])
    body = answer.json()
    assert (answer.status_code, body["errors"][0]["detail"] if path == BATCH else body["detail"]) == (
        200 if path == BATCH else 400,
        "engine 'qwen' lacks a model",
    )


@pytest.mark.parametrize("path", BODIES)
async def test_an_engine_that_would_design_and_is_away_says_why(path: str) -> None:
    away = MakingQwen()
    away.start_error = EngineUnavailable("engine 'qwen' has no model", retry_after=3.0)
    async with serving(engines=[away, Scripted()]) as served:
        answer = await post(served, path, BODIES[path])
    assert (answer.status_code, answer.json()["detail"]) == (502, "engine 'qwen' has no model")


@pytest.mark.parametrize("path", [GENERATE, STREAM])
@pytest.mark.parametrize(
    ("change", "kind"),
    [
        ({"instruct": None}, "string_type"),
        ({"instruct": ""}, "string_too_short"),
        ({"instruct": "x" * 1001}, "string_too_long"),
    ],
)
async def test_a_voice_is_described_in_1_to_1000_characters(path: str, change: Any, kind: str) -> None:
    async with serving(engines=[Making()]) as served:
        answer = await post(served, path, {**HELLO, **change})
    assert (answer.status_code, answer.json()["detail"][0]["type"]) == (422, kind)
    assert answer.json()["detail"][0]["loc"] == ["body", "instruct"]


@pytest.mark.parametrize(
    ("body", "status", "said"),
    [
        ({"texts": ["a"]}, 422, "missing"),
        ({"texts": ["a", "b"], "instructs": ["c"]}, 400, "instructs must have the same length as texts"),
        ({"texts": ["a", "b"], "instructs": ["c", ""]}, 422, "string_too_short"),
        ({"texts": ["a"] * 33, "instructs": [str(i) for i in range(33)]}, 400, "a batch may describe 32 voices"),
    ],
)
async def test_what_a_batch_may_not_describe(body: Any, status: int, said: str) -> None:
    async with serving(engines=[Making()]) as served:
        answer = await post(served, BATCH, body)
    detail = answer.json()["detail"]
    assert (answer.status_code, detail if status == 400 else detail[0]["type"]) == (status, said)


@pytest.mark.parametrize("path", [GENERATE, STREAM])
async def test_a_voice_that_cannot_be_made_is_a_status(path: str) -> None:
    engine = Making()
    engine.making = (Raise(BadOption("engine 'making' has no taste for this")),)
    async with serving(engines=[engine]) as served:
        answer = await post(served, path, HELLO)
        assert (answer.status_code, answer.json()["code"]) == (400, "bad_option")
        assert served.gateway.metrics.errors.labels("qwen_tts_server", "bad_option")._value.get() == 1
        await empty(served)


@pytest.mark.parametrize("path", BODIES)
async def test_a_key_is_asked_for_and_requests_are_counted(path: str) -> None:
    async with serving(engines=[Making()], api_keys=("right",), rate_limit_requests=1) as served:
        assert (await post(served, path, BODIES[path])).status_code == 401
        answers = [await post(served, path, BODIES[path], headers={"x-api-key": "right"}) for _ in range(2)]
    assert [answer.status_code for answer in answers] == [200, 429]


@pytest.mark.parametrize("path", [GENERATE, STREAM])
async def test_a_full_gateway_says_when_to_come_back(path: str) -> None:
    engine, begun = Making(), asyncio.Event()
    async with serving(engines=[engine], max_sessions=1, max_waiting=0) as served:
        await post(served, path, HELLO)
        engine.on("First.", Mark(begun), Hang())
        first = asyncio.create_task(post(served, path, {**HELLO, "text": "First."}))
        await begun.wait()
        refused = await post(served, path, HELLO)
        assert (refused.status_code, refused.json()["code"]) == (503, "overloaded")
        assert refused.headers["retry-after"] == "1"
        first.cancel()
        await asyncio.gather(first, return_exceptions=True)
        await empty(served)


@pytest.mark.parametrize("path", BODIES)
async def test_who_goes_while_the_voice_is_being_made_ends_that(path: str) -> None:
    engine, begun = Making(), asyncio.Event()
    engine.making = (Mark(begun), Hang())
    async with serving(engines=[engine]) as served:
        asked = asyncio.create_task(post(served, path, BODIES[path]))
        await begun.wait()
        asked.cancel()
        await asyncio.gather(asked, return_exceptions=True)
        await until(lambda: engine.made == 0)
        await empty(served)
        assert engine.segments == []
        engine.making = ()
        answer = await post(served, GENERATE, HELLO)
        assert pcm_of_wav(answer.content) == sound(200)


async def test_the_longest_text_of_a_batch_has_10000_characters() -> None:
    async with serving(engines=[Making()]) as served:
        said = (await post(served, BATCH, {"texts": ["Well. " * 1666], "instructs": [CALM]})).json()
    assert said["errors"] == [None]
    assert len(base64.b64decode(said["audios"][0])) > 44
