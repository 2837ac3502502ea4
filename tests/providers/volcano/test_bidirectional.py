from __future__ import annotations

import asyncio
from contextlib import aclosing

import pytest

from providers.base import EngineBusy, EngineFailed, EngineUnavailable, PcmChunk, ProviderError, UnknownVoice
from providers.volcano import pool as pooling
from providers.volcano import speech as module
from providers.volcano.connection import Connection
from providers.volcano.frames import Event, Frame
from tests.providers.volcano.conftest import FIRST, SECOND, Heard, Opened, Script, hear, say, within
from tests.support.volcano import VolcanoService
from tests.support.volcano.plans import QUOTA, QUOTA_IN_A_FRAME, Plan, Refusal
from tests.support.volcano.speech import MS_PER_CHARACTER

HELLO, TRAIN = "Hello there, friend. ", "The train leaves at seven."
ENDS = ("fail", "frame", "close", "abort", "junk")


def seconds(*texts: str) -> float:
    return sum(len(text.strip()) for text in texts) * MS_PER_CHARACTER / 1000


# ---- sessions


async def test_a_conversation_is_one_session_with_its_text_as_it_was(volcano: Opened, service: VolcanoService) -> None:
    async with volcano() as engine:
        heard = await say(engine, HELLO, TRAIN, "And more")
    (record,) = service.records
    assert (record.texts, record.outcome) == ([HELLO, TRAIN, "And more"], "finished")
    assert heard.seconds == pytest.approx(seconds(HELLO, TRAIN, "And more"), abs=0.001)
    assert heard.spoken[-1] == 3


async def test_text_goes_up_while_sound_comes_down(volcano: Opened, service: VolcanoService) -> None:
    async with volcano() as engine:
        script = Script(engine).send(HELLO)
        async with aclosing(engine.converse(script)) as items:
            assert isinstance(await within(60, anext(items)), PcmChunk)
            assert [record.outcome for record in service.records] == ["live"]
            script.send(TRAIN, None)
            rest = await within(60, hear(items))
    assert [record.text for record in service.records] == [HELLO + TRAIN]
    assert rest.spoken == [1, 2]


async def test_a_flush_speaks_what_was_held_back_and_another_session_follows(
    volcano: Opened, service: VolcanoService
) -> None:
    async with volcano(finish_after=60) as engine:
        script = Script(engine).send("Half a sen", "")
        async with aclosing(engine.converse(script)) as items:
            heard = Heard()
            while not heard.spoken:
                heard.take(await within(60, anext(items)))
            assert heard.seconds == pytest.approx(seconds("Half a sen"), abs=0.001)
            script.send("tence.", None)
            await hear(items, heard)
    assert [record.text for record in service.records] == ["Half a sen", "tence."]
    assert {record.connection for record in service.records} == {1}
    assert heard.spoken[-1] == 2


async def test_a_pause_of_the_writer_ends_a_session_and_the_next_words_are_timed_behind_it(
    volcano: Opened, service: VolcanoService
) -> None:
    async with volcano(finish_after=0.05) as engine:
        script = Script(engine).send("One two")
        async with aclosing(engine.converse(script)) as items:
            heard = Heard()
            while not heard.spoken:
                heard.take(await within(60, anext(items)))
            script.send("three", None)
            await hear(items, heard)
    assert [record.text for record in service.records] == ["One two", "three"]
    assert [word.text for word in heard.words] == ["One", "two", "three"]
    assert heard.words[2].start == round(seconds("One two") * 24000)
    assert heard.words[2].end == len(heard.pcm) // 2


async def test_what_nobody_can_speak_is_asked_of_nobody(volcano: Opened, service: VolcanoService) -> None:
    async with volcano() as engine:
        heard = await say(engine, "...", "", "\N{GRINNING FACE}")
    assert (heard.pcm, service.records) == (b"", [])


async def test_a_request_says_how_to_speak(volcano: Opened, service: VolcanoService) -> None:
    options = {"volume": 1.5, "pitch": 2, "emotion": "happy", "emotion_scale": 3.0, "instruction": "Softly."}
    async with volcano(timestamps=False, model="seed-tts-2.0-standard", sample_rate=16000) as engine:
        await say(engine, HELLO, speed=2.0, options=options)
    assert service.records[0].params == {
        "speaker": SECOND,
        "model": "seed-tts-2.0-standard",
        "audio_params": {
            "format": "pcm",
            "sample_rate": 16000,
            "speech_rate": 100,
            "loudness_rate": 50,
            "emotion": "happy",
            "emotion_scale": 3.0,
        },
        "additions": '{"post_process":{"pitch":2},"context_texts":["Softly."]}',
    }


# ---- word times


@pytest.mark.parametrize("relative", [False, True], ids=["of the session", "of the sentence"])
@pytest.mark.parametrize("voice", [FIRST, SECOND])
async def test_words_are_timed_from_the_first_sample(
    volcano: Opened, service: VolcanoService, voice: str, relative: bool
) -> None:
    service.relative_words = relative
    async with volcano() as engine:
        heard = await say(engine, "One two. ", "你好。", voice=voice)
    assert [word.text for word in heard.words] == ["One", "two.", "你", "好", "。"]
    starts = [word.start / 24000 for word in heard.words]
    assert starts == sorted(starts)
    assert starts[2] == pytest.approx(seconds("One two."), abs=0.07)
    assert heard.words[-1].end / 24000 == pytest.approx(heard.seconds, abs=0.07)
    assert heard.spoken == [1, 2]


async def test_a_segment_on_its_own_has_all_of_its_words_too(volcano: Opened, service: VolcanoService) -> None:
    async with volcano() as engine:
        script = Script(engine).send("One two")
        chunks = [chunk async for chunk in engine.synthesize(await anext(script))]
    assert [word.text for chunk in chunks for word in chunk.words] == ["One", "two"]
    assert sum(len(chunk.pcm) for chunk in chunks) / 48000 == pytest.approx(seconds("One two"), abs=0.001)


async def test_sound_that_is_cut_within_samples_is_put_together(volcano: Opened, service: VolcanoService) -> None:
    async with volcano() as engine:
        whole = await say(engine, HELLO)
        service.odd = True
        assert (await say(engine, HELLO)).pcm == whole.pcm


# ---- connections


async def test_sessions_follow_each_other_on_one_connection(volcano: Opened, service: VolcanoService) -> None:
    async with volcano() as engine:
        await engine.start()
        for _ in range(4):
            await say(engine, HELLO)
        assert service.connections == 1
    assert service.goodbyes == 1
    assert len({record.id for record in service.records}) == 4


async def test_what_comes_late_of_the_session_before_is_no_part_of_the_next(
    volcano: Opened, service: VolcanoService
) -> None:
    service.next(*(Plan(echo=True) for _ in range(4)))
    async with volcano() as engine:
        for _ in range(3):
            assert (await say(engine, HELLO)).seconds == pytest.approx(seconds(HELLO), abs=0.001)
        script = Script(engine).send(HELLO)
        async with aclosing(engine.converse(script)) as items:
            await within(60, anext(items))
        await engine.settled()
        assert (await say(engine, HELLO)).seconds == pytest.approx(seconds(HELLO), abs=0.001)
    assert [record.connection for record in service.records] == [1] * 5
    assert service.outcomes == ["finished"] * 3 + ["canceled", "finished"]


async def test_a_connection_that_nobody_uses_is_finished(volcano: Opened, service: VolcanoService) -> None:
    async with volcano(idle=0.05) as engine:
        await say(engine, HELLO)
        await within(60, service.until(lambda: service.goodbyes == 1 and service.open == 0))
        await say(engine, HELLO)
    assert service.connections == 2


async def test_one_that_the_service_has_closed_is_replaced_unheard(volcano: Opened, service: VolcanoService) -> None:
    async with volcano(retries=0) as engine:
        script = Script(engine).send(HELLO)
        async with aclosing(engine.converse(script)) as items:
            heard = Heard()
            heard.take(await anext(items))
            # From here on, that no connection is closed before its session has begun.
            service.pace.idle = 0.05
            script.send(None)
            await hear(items, heard)
        await within(60, service.until(lambda: service.open == 0))
        service.pace.idle = 60.0
        assert (await say(engine, HELLO)).pcm
    assert service.outcomes == ["finished", "finished"]


async def test_there_are_never_more_connections_than_places(volcano: Opened, service: VolcanoService) -> None:
    async with volcano(concurrency=2) as engine:
        for voice in (FIRST, SECOND, FIRST, SECOND):
            await say(engine, HELLO, voice=voice)
        assert service.connections == 2
        texts = [f"Number {n} says hello." for n in range(8)]
        heard = await asyncio.gather(*(say(engine, text, voice=(FIRST, SECOND)[n % 2]) for n, text in enumerate(texts)))
    assert [round(item.seconds, 3) for item in heard] == [round(seconds(text), 3) for text in texts]
    assert service.most_open == 2


async def test_the_account_never_speaks_more_at_once_than_it_may(volcano: Opened, service: VolcanoService) -> None:
    (account,) = service.accounts.all()
    account.quota = 4
    async with volcano(concurrency=4) as engine:
        texts = [f"Number {n} says hello. And more of it." for n in range(40)]
        heard = await asyncio.gather(*(say(engine, text) for text in texts))
    assert [round(item.seconds, 2) for item in heard] == [round(seconds(text) - 0.06, 2) for text in texts]
    assert (account.peak, account.refused) == (4, 0)


# ---- leaving


async def test_whoever_leaves_cancels_the_session_and_the_connection_is_used_again(
    volcano: Opened, service: VolcanoService
) -> None:
    async with volcano() as engine:
        async with aclosing(engine.converse(Script(engine).send(HELLO, TRAIN))) as items:
            await anext(items)
        await within(60, service.until(lambda: service.outcomes == ["canceled"]))
        await engine.settled()
        await say(engine, HELLO)
    assert {record.connection for record in service.records} == {1}


async def test_whoever_leaves_as_the_session_ends_leaves_his_place_too(
    volcano: Opened, service: VolcanoService, monkeypatch: pytest.MonkeyPatch
) -> None:
    receive = Connection.receive

    async def cancelled_at_the_end(connection: Connection) -> Frame:
        frame = await receive(connection)
        if frame.event == Event.SESSION_FINISHED:
            asyncio.get_running_loop().call_soon(speaking.cancel)
        return frame

    async with volcano(concurrency=1) as engine:
        with monkeypatch.context() as patch:
            patch.setattr(Connection, "receive", cancelled_at_the_end)
            speaking = asyncio.create_task(say(engine, HELLO))
            with pytest.raises(asyncio.CancelledError):
                await within(60, speaking)
        assert (await within(60, say(engine, HELLO))).seconds
    assert [record.connection for record in service.records] == [1, 1]


async def test_leaving_waits_for_nobody_and_the_place_is_free_when_the_service_says_so(
    volcano: Opened, service: VolcanoService
) -> None:
    hold = asyncio.Event()
    service.next(Plan(hold=hold))
    (account,) = service.accounts.all()
    account.quota = 1
    async with volcano(concurrency=1, retries=0) as engine:
        items = engine.converse(Script(engine).send(HELLO))
        pulling = asyncio.create_task(anext(items))
        await service.until(lambda: bool(service.records) and bool(service.records[0].texts))
        pulling.cancel()
        await asyncio.wait([pulling])
        assert pulling.cancelled()
        assert service.outcomes == ["live"], "the service was not waited for"
        # Refused, if it came before the place is free.
        assert (await within(60, say(engine, TRAIN))).pcm
    assert service.outcomes == ["canceled", "finished"]
    assert account.refused == 0


async def test_a_service_that_frees_a_place_late_is_asked_again(
    volcano: Opened, service: VolcanoService, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "_FIRST_WAIT", 0.02)
    service.pace.release = released = asyncio.Event()
    (account,) = service.accounts.all()
    account.quota = 1
    async with volcano(concurrency=1, retries=10) as engine:
        async with aclosing(engine.converse(Script(engine).send(HELLO, TRAIN))) as items:
            await anext(items)
        saying = asyncio.create_task(say(engine, TRAIN))
        await within(60, service.until(lambda: account.refused >= 1))
        released.set()
        assert (await saying).pcm
    assert service.connections == 1


async def test_a_session_that_cannot_be_cancelled_costs_its_connection(
    volcano: Opened, service: VolcanoService, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pooling, "_CANCEL", 0.05)
    service.next(Plan(mute=True))
    async with volcano() as engine:
        items = engine.converse(Script(engine).send(HELLO))
        pulling = asyncio.create_task(anext(items))
        await service.until(lambda: len(service.records) == 1)
        pulling.cancel()
        await asyncio.wait([pulling])
        assert (await say(engine, TRAIN)).pcm
    assert {record.connection for record in service.records} == {1, 2}


async def test_a_listener_who_takes_nothing_stops_the_service(volcano: Opened, service: VolcanoService) -> None:
    # Ten minutes are 28 MB, more than lies in any buffer on the way.
    text = "Hello there, friend. " * 500
    async with volcano() as engine, aclosing(engine.converse(Script(engine).send(text, None))) as items:
        await anext(items)
        await say(engine, TRAIN)
        assert service.records[0].outcome == "live"
        assert service.records[0].sent < 3000


# ---- what goes wrong


@pytest.mark.parametrize("refusal", [QUOTA, QUOTA_IN_A_FRAME, Refusal(55000000, "x", "frame"), Refusal(55000001, "x")])
async def test_what_may_pass_is_tried_again(volcano: Opened, service: VolcanoService, refusal: Refusal) -> None:
    service.next(Plan(refuse=refusal), Plan(refuse=refusal))
    async with volcano() as engine:
        assert (await say(engine, HELLO, TRAIN)).seconds == pytest.approx(seconds(HELLO, TRAIN) + 0.06, abs=0.07)
    assert service.outcomes == ["refused", "refused", "finished"]


async def test_a_failure_of_the_service_is_one_try_also_on_a_connection_that_was_used(
    volcano: Opened, service: VolcanoService
) -> None:
    async with volcano(retries=0) as engine:
        for form in ("event", "frame"):
            await say(engine, HELLO)
            service.next(Plan(refuse=Refusal(55000000, "connect downstream service timeout", form)))
            with pytest.raises(EngineUnavailable):
                await say(engine, HELLO)
    assert service.outcomes == ["finished", "refused"] * 2


async def test_who_is_refused_too_often_is_told_so(volcano: Opened, service: VolcanoService) -> None:
    service.next(*[Plan(refuse=QUOTA)] * 3)
    async with volcano(retries=2) as engine:
        with pytest.raises(EngineBusy) as raised:
            await say(engine, HELLO)
    assert raised.value.retry_after == 1.0
    assert service.outcomes == ["refused"] * 3


@pytest.mark.parametrize(
    ("refusal", "error"),
    [
        (Refusal(45000001, "[Invalid argument] InvalidModel"), EngineFailed),
        (Refusal(45000292, "quota exceeded for types: text_words_lifetime"), ProviderError),
        (Refusal(45000001, "[Invalid argument] speaker not found", "frame"), UnknownVoice),
        (Refusal(55000000, "resource ID is mismatched with speaker related resource"), UnknownVoice),
    ],
)
async def test_what_will_not_pass_is_not(
    volcano: Opened, service: VolcanoService, refusal: Refusal, error: type[ProviderError]
) -> None:
    service.next(Plan(refuse=refusal))
    async with volcano() as engine:
        with pytest.raises(error):
            await say(engine, HELLO)
    assert service.outcomes == ["refused"]


@pytest.mark.parametrize("how", ENDS)
async def test_a_session_that_ends_before_its_first_sound_is_begun_again_with_the_same_text(
    volcano: Opened, service: VolcanoService, how: str
) -> None:
    service.next(Plan(chunks=0, then=how))
    async with volcano() as engine:
        assert (await say(engine, HELLO, TRAIN)).pcm
    assert service.outcomes == ["failed", "finished"]
    assert service.records[1].text == HELLO + TRAIN


@pytest.mark.parametrize("how", ENDS)
async def test_one_that_ends_in_its_sound_is_not_and_a_close_is_no_success(
    volcano: Opened, service: VolcanoService, how: str
) -> None:
    service.next(Plan(chunks=2, then=how))
    heard = Heard()
    async with volcano() as engine:
        with pytest.raises(EngineUnavailable):
            await hear(engine.converse(Script(engine).send(HELLO, TRAIN, None)), heard)
        assert heard.pcm or how == "abort"
        assert service.outcomes == ["failed"]
        assert (await say(engine, HELLO)).pcm, "and the engine goes on"


async def test_success_without_sound_is_a_failure(volcano: Opened, service: VolcanoService) -> None:
    service.next(Plan(empty=True))
    async with volcano() as engine:
        with pytest.raises(EngineFailed, match="no sound"):
            await say(engine, HELLO)
    assert service.outcomes == ["finished"]


async def test_a_session_that_the_service_ends_before_its_text_is_a_failure(
    volcano: Opened, service: VolcanoService
) -> None:
    service.next(Plan(chunks=1, then="finish"))
    async with volcano() as engine:
        with pytest.raises(EngineUnavailable):
            await hear(engine.converse(Script(engine).send(HELLO)))


async def test_a_service_that_says_nothing_is_given_up(volcano: Opened, service: VolcanoService) -> None:
    service.next(Plan(mute=True))
    async with volcano(answer_timeout=0.1, retries=0) as engine:
        with pytest.raises(EngineUnavailable, match=r"within 0\.1 seconds"):
            await say(engine, HELLO)


async def test_an_error_of_the_text_itself_is_what_is_raised(volcano: Opened, service: VolcanoService) -> None:
    class Torn(Script):
        async def __anext__(self):
            if self._texts.empty():
                raise RuntimeError("the text is torn")
            return await super().__anext__()

    async with volcano() as engine:
        with pytest.raises(RuntimeError, match="torn"):
            await within(60, hear(engine.converse(Torn(engine).send(HELLO))))
