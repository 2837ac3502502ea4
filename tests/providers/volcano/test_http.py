"""The services that answer a request."""

from __future__ import annotations

import asyncio
from contextlib import aclosing

import pytest

from providers.base import EngineBusy, EngineFailed, EngineUnavailable, PcmChunk, UnknownVoice
from providers.volcano.errors import Denied
from providers.volcano.http import pieces
from tests.providers.volcano.conftest import (
    ACCESS,
    KEY,
    SMALL,
    UNIDIRECTIONAL,
    Heard,
    Opened,
    Script,
    hear,
    say,
    within,
)
from tests.support.volcano import VolcanoService
from tests.support.volcano.plans import QUOTA, QUOTA_BY_STATUS, Plan, Refusal
from tests.support.volcano.speech import MS_PER_CHARACTER

HELLO, TRAIN = "Hello there, friend. ", "The train leaves at seven."


def seconds(*texts: str) -> float:
    return sum(len(text.strip()) for text in texts) * MS_PER_CHARACTER / 1000


# ---- version 3


@pytest.mark.parametrize("between", ["\n", "", "\r\n\r\n"], ids=ascii)
async def test_a_segment_is_a_request_and_objects_may_follow_each_other_anyhow(
    volcano: Opened, service: VolcanoService, between: str
) -> None:
    service.line_break = between
    async with volcano() as engine:
        heard = await say(engine, HELLO, TRAIN, voice=UNIDIRECTIONAL)
    assert [(record.endpoint, record.text, record.outcome) for record in service.records] == [
        ("unidirectional", HELLO, "finished"),
        ("unidirectional", TRAIN, "finished"),
    ]
    assert heard.seconds == pytest.approx(seconds(HELLO, TRAIN), abs=0.001)
    assert [word.text for word in heard.words][-1] == "seven."
    assert heard.words[-1].end == len(heard.pcm) // 2
    assert heard.spoken == [1, 2]


async def test_sound_comes_before_the_rest_of_it_is_made(volcano: Opened, service: VolcanoService) -> None:
    service.next(Plan(), Plan(hold=asyncio.Event()))
    async with volcano() as engine:
        script = Script(engine, UNIDIRECTIONAL).send(HELLO, TRAIN)
        async with aclosing(engine.converse(script)) as items:
            assert isinstance(await within(60, anext(items)), PcmChunk)


@pytest.mark.parametrize("refusal", [QUOTA, QUOTA_BY_STATUS, Refusal(55000000, "x"), Refusal(0, "x", "status", 502)])
async def test_what_may_pass_is_tried_again(volcano: Opened, service: VolcanoService, refusal: Refusal) -> None:
    service.next(Plan(refuse=refusal), Plan(refuse=refusal))
    async with volcano() as engine:
        assert (await say(engine, HELLO, voice=UNIDIRECTIONAL)).pcm
    assert service.outcomes == ["refused", "refused", "finished"]


@pytest.mark.parametrize("how", ["fail", "close", "abort", "junk"])
async def test_an_answer_that_ends_without_saying_so_is_none(
    volcano: Opened, service: VolcanoService, how: str
) -> None:
    service.next(Plan(chunks=0, then=how))
    heard = Heard()
    async with volcano() as engine:
        assert (await say(engine, HELLO, voice=UNIDIRECTIONAL)).pcm, "before its sound it is asked for again"
        service.next(Plan(chunks=2, then=how))
        with pytest.raises(EngineUnavailable):
            await hear(engine.converse(Script(engine, UNIDIRECTIONAL).send(HELLO, None)), heard)
    assert heard.pcm or how == "abort"
    assert service.outcomes == ["failed", "finished", "failed"]


async def test_success_without_sound_is_a_failure(volcano: Opened, service: VolcanoService) -> None:
    service.next(Plan(empty=True))
    async with volcano() as engine:
        with pytest.raises(EngineFailed, match="no sound"):
            await say(engine, HELLO, voice=UNIDIRECTIONAL)


async def test_who_is_refused_too_often_is_told_so(volcano: Opened, service: VolcanoService) -> None:
    service.next(*[Plan(refuse=QUOTA_BY_STATUS)] * 2)
    async with volcano(retries=1) as engine:
        with pytest.raises(EngineBusy):
            await say(engine, HELLO, voice=UNIDIRECTIONAL)


async def test_whoever_leaves_drops_the_request_and_has_no_place_any_more(
    volcano: Opened, service: VolcanoService
) -> None:
    async with volcano(concurrency=1) as engine:
        script = Script(engine, UNIDIRECTIONAL).send(HELLO * 300, None)
        async with aclosing(engine.converse(script)) as items:
            await anext(items)
        assert (await within(60, say(engine, TRAIN))).pcm
        await within(60, service.until(lambda: service.outcomes[0] == "dropped"))


async def test_a_service_that_says_nothing_is_given_up(volcano: Opened, service: VolcanoService) -> None:
    hold = asyncio.Event()
    service.next(Plan(hold=hold))
    async with volcano(answer_timeout=0.1, retries=0) as engine:
        with pytest.raises(EngineUnavailable, match=r"within 0\.1 seconds"):
            await say(engine, HELLO, voice=UNIDIRECTIONAL)
    hold.set()


# ---- version 1


async def test_a_small_models_voice_is_spoken_by_version_1(volcano: Opened, service: VolcanoService) -> None:
    async with volcano() as engine:
        heard = await say(engine, HELLO, TRAIN, voice=SMALL, speed=2.0, options={"volume": 0.5, "pitch": 12})
    assert [(record.endpoint, record.text, record.outcome) for record in service.records] == [
        ("v1", HELLO, "finished"),
        ("v1", TRAIN, "finished"),
    ]
    assert heard.seconds == pytest.approx(seconds(HELLO, TRAIN) / 2, abs=0.001)
    assert heard.words[-1].end == len(heard.pcm) // 2
    body = service.records[0].params
    assert body["app"] == {"appid": "app", "token": "access_token", "cluster": "volcano_tts"}
    assert (body["request"]["text"], body["request"]["operation"]) == (HELLO, "query")
    asked = {name: body["audio"][name] for name in ("voice_type", "encoding", "rate")}
    assert asked == {"voice_type": SMALL, "encoding": "pcm", "rate": 24000}
    ratios = [body["audio"][f"{name}_ratio"] for name in ("speed", "volume", "pitch")]
    assert ratios == [2.0, 0.5, 2.0]


async def test_the_next_segment_is_asked_for_while_the_one_before_it_is_taken(
    volcano: Opened, service: VolcanoService
) -> None:
    async with volcano() as engine:
        script = Script(engine, SMALL).send(HELLO, TRAIN)
        async with aclosing(engine.converse(script)) as items:
            await within(60, anext(items))
            await within(60, service.until(lambda: service.outcomes == ["finished", "finished"]))
            script.send("And more.", None)
            rest = await hear(items)
    assert [record.text for record in service.records] == [HELLO, TRAIN, "And more."]
    assert rest.spoken == [1, 2, 3]


async def test_what_goes_wrong_with_the_next_segment_is_told_after_the_one_before_it(
    volcano: Opened, service: VolcanoService
) -> None:
    service.next(Plan(), Plan(refuse=Refusal(3010, "text too long")))
    heard = Heard()
    async with volcano() as engine:
        with pytest.raises(EngineFailed):
            await hear(engine.converse(Script(engine, SMALL).send(HELLO, TRAIN, None)), heard)
    assert heard.seconds == pytest.approx(seconds(HELLO), abs=0.07)


async def test_a_text_of_more_bytes_than_it_takes_is_asked_for_in_pieces(
    volcano: Opened, service: VolcanoService
) -> None:
    text = "\N{GRINNING FACE}ab " * 250
    async with volcano() as engine:
        heard = await say(engine, text, voice=SMALL)
    assert len(service.records) == 2
    assert "".join(record.text for record in service.records) == text
    assert heard.spoken[-1] == 1


@pytest.mark.parametrize(
    ("refusal", "error"),
    [
        (Refusal(3003, "quota exceeded for types: concurrency"), None),
        (Refusal(3005, "backend busy"), None),
        (Refusal(3032, "waiting for audio"), None),
        (Refusal(3006, "service interrupted"), EngineFailed),
        (Refusal(3010, "text too long"), EngineFailed),
        (Refusal(3011, "illegal input text!"), EngineFailed),
        (Refusal(3050, "voice does not exist"), UnknownVoice),
        (Refusal(3001, "[resource_id=volc.tts.default] requested resource not granted", "status", 403), Denied),
    ],
    ids=lambda value: str(value.code) if isinstance(value, Refusal) else "",
)
async def test_its_codes_are_understood(
    volcano: Opened, service: VolcanoService, refusal: Refusal, error: type[Exception] | None
) -> None:
    service.next(Plan(refuse=refusal))
    async with volcano() as engine:
        if error is None:
            assert (await say(engine, HELLO, voice=SMALL)).pcm
        else:
            with pytest.raises(error):
                await say(engine, HELLO, voice=SMALL)
    assert len(service.records) == (2 if error is None else 1)


async def test_success_without_sound_is_a_failure_there_too(volcano: Opened, service: VolcanoService) -> None:
    service.next(Plan(empty=True))
    async with volcano() as engine:
        with pytest.raises(EngineFailed, match="no sound"):
            await say(engine, HELLO, voice=SMALL)


async def test_it_needs_an_application(volcano: Opened, service: VolcanoService) -> None:
    async with volcano(app_id="", access_key="") as engine:
        with pytest.raises(Denied, match="app id"):
            await say(engine, HELLO, voice=SMALL)
    async with volcano(api_key="", app_id="app", access_key=ACCESS) as engine:
        assert (await say(engine, HELLO, voice=SMALL)).pcm
    async with volcano(api_key=KEY, app_id="app", access_key="wrong") as engine:
        with pytest.raises(Denied):
            await say(engine, HELLO, voice=SMALL)


def test_pieces_are_cut_at_white_space_and_never_within_a_character() -> None:
    assert pieces("short", 10) == ["short"]
    assert pieces("", 10) == []
    assert pieces("one two three", 8) == ["one two ", "three"]
    assert pieces("你好你好", 7) == ["你好", "你好"]
    assert pieces("a" * 9, 4) == ["aaaa", "aaaa", "a"]
