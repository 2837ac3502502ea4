"""The engine between a scripted llama-server and a decoder without a model."""

from __future__ import annotations

import asyncio
import logging
import socket
from collections.abc import AsyncIterator, Callable
from contextlib import aclosing
from typing import Any

import pytest
import pytest_asyncio

from audio.snac import BackendUnavailable, DecodeFailed, PackageMissing, SnacError
from providers.base import (
    Accounted,
    EngineBusy,
    EngineFailed,
    EngineUnavailable,
    Limited,
    MissingDependency,
    PcmChunk,
    Provider,
    Segment,
    Tunable,
    UnknownVoice,
    Watched,
)
from providers.orpheus.engine import Orpheus
from providers.orpheus.prompt import VOICES
from providers.orpheus.settings import OrpheusSettings
from providers.orpheus.speech import AHEAD
from providers.orpheus.tokens import NoSpeech
from providers.registry import PROVIDERS
from tests.support.clock_ahead import clock_ahead
from tests.support.fake_llama import Abort, FakeLlama, Flood, Hang, Raw, Say, Status, Stop, Wait, event, frame, frames
from tests.support.fake_snac import FakeDecoder, sound
from tests.support.virtual_time import virtual_time

CODES = [tuple((token - 128_266) % 4096 for token in frame(number)) for number in range(1000)]


@pytest_asyncio.fixture
async def fake() -> AsyncIterator[FakeLlama]:
    async with FakeLlama() as fake:
        yield fake


def made(fake: FakeLlama, *, start_error: SnacError | None = None, **settings: Any) -> Orpheus:
    quick = {"retry_delay": 0.0, "probe_interval": 0.01, "longest_probe_interval": 0.01}
    patient = {"connect_timeout": 20.0, "first_token_timeout": 60.0, "token_timeout": 60.0}
    given = OrpheusSettings(_env_file=None, url=fake.url, **{**quick, **patient, **settings})
    return Orpheus(given, decoder=lambda _: FakeDecoder(start_error))  # type: ignore[arg-type, return-value]


@pytest_asyncio.fixture
async def engine(fake: FakeLlama) -> AsyncIterator[Orpheus]:
    """Started; at the end it has no slot taken, no stream open and no task."""
    before = asyncio.all_tasks()
    engine = made(fake)
    await engine.start()
    yield engine
    # Where there is a doubt about the model, the engine tries it out behind everybody's back, and takes a slot for it.
    await until(lambda: (engine.slots.taken, engine.slots.waiting) == (0, 0))
    assert not decoder(engine).open_streams
    await engine.close()
    left = {
        task
        for task in asyncio.all_tasks() - before
        if (task.get_coro().__qualname__ or "").startswith(("Attempt", "Health"))
    }
    assert not left


def decoder(engine: Orpheus) -> FakeDecoder:
    assert isinstance(engine.decoder, FakeDecoder)
    return engine.decoder


def segment(text: str = "Hello there.", voice: str = "tara", **options: Any) -> Segment:
    return Segment(text, VOICES[voice], options=options)


async def spoken(engine: Orpheus, said: Segment | None = None) -> bytes:
    return b"".join([chunk.pcm async for chunk in engine.synthesize(said or segment())])


async def heard_before(engine: Orpheus, error: type[Exception], said: Segment | None = None) -> bytes:
    """The sound that came before ``error`` did."""
    heard = b""
    with pytest.raises(error):  # noqa: PT012 - the sound is collected up to the error
        async for chunk in engine.synthesize(said or segment()):
            heard += chunk.pcm
    return heard


async def until(condition: Callable[[], bool]) -> None:
    """Let the loop turn until it is so."""
    async with asyncio.timeout(60):
        while not condition():
            await turn()


async def turn() -> None:
    await asyncio.sleep(0)


# ---- speaking


async def test_it_is_all_that_the_gateway_can_make_use_of(engine: Orpheus) -> None:
    for protocol in (Provider, Limited, Accounted, Tunable, Watched):
        assert isinstance(engine, protocol)
    assert [voice.id for voice in await engine.voices()] == list(VOICES)
    assert engine.capabilities.segments_at_once == 1


async def test_the_sound_is_that_of_all_frames_in_pieces_of_200_ms_at_most(fake: FakeLlama, engine: Orpheus) -> None:
    fake.next(Say(frames(5)), Stop())
    chunks = [chunk async for chunk in engine.synthesize(segment())]
    assert b"".join(chunk.pcm for chunk in chunks) == sound(*CODES[:5])
    assert all(isinstance(chunk, PcmChunk) and 0 < len(chunk.pcm) <= 9600 for chunk in chunks)


async def test_the_first_sound_is_there_before_the_last_token(fake: FakeLlama, engine: Orpheus) -> None:
    gate = asyncio.Event()
    fake.next(Say(frames(3)), Wait(gate), Say(frames(2, 3)), Stop())
    async with aclosing(engine.synthesize(segment())) as chunks:
        first = await anext(chunks)
        assert first.pcm == sound(CODES[0])
        gate.set()
        rest = b"".join([chunk.pcm async for chunk in chunks])
    assert first.pcm + rest == sound(*CODES[:5])


async def test_voice_text_and_settings_are_what_the_model_is_asked(fake: FakeLlama, engine: Orpheus) -> None:
    await spoken(engine, segment("Well <laugh> <|eot_id|>!", "leo", temperature=0.3, seed=7))
    asked = fake.requests[0]
    assert asked["prompt"][2] == "leo: Well <laugh> !"
    assert (asked["temperature"], asked["top_p"], asked["top_k"], asked["n_predict"]) == (0.3, 0.9, 40, 2048)
    assert asked["seed"] == decoder(engine).streams[-1].seed == 7


async def test_without_a_seed_each_segment_has_its_own(fake: FakeLlama, engine: Orpheus) -> None:
    await spoken(engine)
    await spoken(engine)
    first, second = (request["seed"] for request in fake.requests)
    assert first != second


async def test_a_text_with_nothing_to_say_is_asked_of_nobody(fake: FakeLlama, engine: Orpheus) -> None:
    assert await spoken(engine, segment("... 😀")) == b""
    assert fake.requests == []


async def test_a_voice_of_somebody_else_is_refused(engine: Orpheus) -> None:
    with pytest.raises(UnknownVoice, match="tara"):
        await anext(engine.synthesize(Segment("Hi.", VOICES["tara"].__class__("nobody", "", "en", 24000))))


async def test_a_slip_costs_its_frame_and_is_counted(fake: FakeLlama, engine: Orpheus) -> None:
    fake.next(Say(frames(2) + frame(2)[:4] + frames(2, 3)), Stop())
    assert await spoken(engine) == sound(*CODES[:2], *CODES[3:5])
    assert (engine.slips, engine.lost) == (1, 4)


async def test_a_stop_at_the_limit_is_logged(
    fake: FakeLlama, engine: Orpheus, caplog: pytest.LogCaptureFixture
) -> None:
    fake.next(Say(frames(3)), Stop("limit"))
    with caplog.at_level(logging.WARNING):
        assert await spoken(engine) == sound(*CODES[:3])
    assert "cut at its limit" in caplog.text


async def test_what_comes_behind_the_end_of_speech_is_not_waited_for(fake: FakeLlama, engine: Orpheus) -> None:
    fake.next(Say([*frames(3), 128_258]), Hang())
    assert await spoken(engine) == sound(*CODES[:3])


# ---- holding back, and letting go


async def test_a_listener_who_takes_nothing_stops_the_reading(fake: FakeLlama, engine: Orpheus) -> None:
    fake.next(*(Say(frames(50, first)) for first in range(0, 250, 50)), Stop())
    async with aclosing(engine.synthesize(segment())) as chunks:
        first = await anext(chunks)
        stream = decoder(engine).streams[-1]
        await until(lambda: len(stream.pushed) >= AHEAD + 1)
        for _ in range(200):
            await turn()
        assert len(stream.pushed) == AHEAD + 1
        rest = b"".join([chunk.pcm async for chunk in chunks])
    assert first.pcm + rest == sound(*CODES[:250])


async def test_no_more_is_asked_than_the_server_has_slots(fake: FakeLlama, engine: Orpheus) -> None:
    assert engine.places == 4
    gate = asyncio.Event()
    fake.otherwise(Wait(gate), Say(frames(3)), Stop())
    speaking = [asyncio.create_task(spoken(engine)) for _ in range(9)]
    await fake.until_active(4)
    await until(lambda: engine.slots.waiting == 5)
    gate.set()
    assert await asyncio.gather(*speaking) == [sound(*CODES[:3])] * 9
    assert fake.most_active == 4


async def test_a_slot_is_given_back_when_the_tokens_end_and_not_when_the_sound_does(
    fake: FakeLlama, engine: Orpheus
) -> None:
    fake.next(Say(frames(20)), Stop())
    async with aclosing(engine.synthesize(segment())) as chunks:
        await anext(chunks)
        await until(lambda: engine.slots.taken == 0)


async def test_the_operator_may_keep_slots_for_others(fake: FakeLlama) -> None:
    engine = made(fake, places=3)
    await engine.start()
    assert engine.places == 3
    await engine.close()


async def test_leaving_between_chunks_closes_the_connection(fake: FakeLlama, engine: Orpheus) -> None:
    fake.next(Say(frames(3)), Hang())
    async with aclosing(engine.synthesize(segment())) as chunks:
        await anext(chunks)
        assert fake.active == 1
    assert engine.slots.taken == 0
    async with asyncio.timeout(60):
        await fake.until_active(0)


async def test_it_may_be_left_by_another_task(fake: FakeLlama, engine: Orpheus) -> None:
    fake.next(Say(frames(3)), Hang())
    chunks = engine.synthesize(segment())
    await asyncio.create_task(anext(chunks))  # type: ignore[arg-type]
    await asyncio.create_task(chunks.aclose())  # type: ignore[arg-type]
    assert engine.slots.taken == 0


async def test_a_pull_that_is_cancelled_closes_the_connection(fake: FakeLlama, engine: Orpheus) -> None:
    fake.next(Hang())
    speaking = asyncio.create_task(spoken(engine))
    await fake.until_active(1)
    speaking.cancel()
    await asyncio.wait((speaking,))
    assert engine.slots.taken == 0
    async with asyncio.timeout(60):
        await fake.until_active(0)


async def test_one_who_waits_for_a_slot_can_be_cancelled(fake: FakeLlama, engine: Orpheus) -> None:
    gate = asyncio.Event()
    fake.otherwise(Wait(gate), Say(frames(3)), Stop())
    speaking = [asyncio.create_task(spoken(engine)) for _ in range(5)]
    await until(lambda: engine.slots.waiting == 1)
    speaking[-1].cancel()
    await asyncio.wait((speaking[-1],))
    gate.set()
    await asyncio.gather(*speaking[:-1])
    assert len(fake.requests) == 4


async def test_many_who_leave_in_the_same_moment_leave_nothing(fake: FakeLlama, engine: Orpheus) -> None:
    fake.otherwise(Say(frames(3)), Hang())
    speaking = [asyncio.create_task(spoken(engine)) for _ in range(64)]
    await fake.until_active(4)
    await until(lambda: engine.slots.waiting == 60)
    for task in speaking:
        task.cancel()
        task.cancel()
    await asyncio.wait(speaking)
    assert all(task.cancelled() for task in speaking)
    assert (engine.slots.taken, engine.slots.waiting) == (0, 0)
    async with asyncio.timeout(60):
        await fake.until_active(0)
    assert len(fake.requests) == 4
    fake.otherwise(Say(frames(3)), Stop())
    assert await asyncio.gather(*(spoken(engine) for _ in range(8))) == [sound(*CODES[:3])] * 8


@pytest.mark.parametrize("turns", range(12))
async def test_one_may_leave_at_any_moment_of_the_beginning(fake: FakeLlama, engine: Orpheus, turns: int) -> None:
    fake.next(Status(500))
    speaking = asyncio.create_task(spoken(engine))
    for _ in range(turns * 3):
        await turn()
    speaking.cancel()
    await asyncio.wait((speaking,))
    assert engine.slots.taken == 0
    async with asyncio.timeout(60):
        await fake.until_active(0)


@virtual_time
async def test_one_may_leave_between_two_attempts() -> None:
    async with FakeLlama() as fake:
        engine = made(fake, retry_delay=60.0)
        await engine.start()
        fake.next(Status(500))
        speaking = asyncio.create_task(spoken(engine))
        await asyncio.sleep(1)
        assert (len(fake.requests), engine.slots.taken) == (1, 0)
        speaking.cancel()
        await asyncio.wait((speaking,))
        await asyncio.sleep(100)
        assert len(fake.requests) == 1
        await engine.close()


async def test_fewer_slots_than_speak_now_end_nobody_and_admit_nobody(fake: FakeLlama) -> None:
    engine = made(fake, check_interval=0.01)
    await engine.start()
    gate = asyncio.Event()
    fake.otherwise(Say(frames(3)), Wait(gate), Stop())
    speaking = [asyncio.create_task(spoken(engine)) for _ in range(7)]
    await until(lambda: engine.slots.waiting == 3)
    fake.props = Status(200, b'{"total_slots":1}')
    await until(lambda: engine.places == 1)
    assert (engine.slots.taken, engine.slots.waiting) == (4, 3)
    await fake.until_active(4)
    fake.most_active = 0
    fake.otherwise(Say(frames(3)), Stop())
    gate.set()
    assert await asyncio.gather(*speaking) == [sound(*CODES[:3])] * 7
    assert len(fake.requests) == 7
    await engine.close()


async def test_gateways_that_share_a_server_keep_to_the_places_they_were_given(fake: FakeLlama) -> None:
    engines = [made(fake, places=2) for _ in range(2)]
    for engine in engines:
        await engine.start()
    await asyncio.gather(*(spoken(engine) for engine in engines * 6))
    assert fake.most_active <= 4
    for engine in engines:
        await engine.close()


# ---- when the model, or the server, loses itself


@pytest.mark.parametrize(
    ("steps", "count"),
    [
        ((Say(frames(3) + frame(3)[:4]), Stop()), 3),
        ((Say([*frames(3), 128_258, *frames(5)]), Stop()), 3),
        ((Say(frames(3)), Stop(), Say(frames(5))), 3),
        ((Say([*frames(2), 128_257, *frames(1, 2)]), Stop("eos")), 3),
        ((Say([]), Raw(event(tokens=frames(3))), Stop()), 3),
    ],
    ids=["half a frame", "tokens behind the end", "events behind the end", "another start", "all at once"],
)
async def test_what_is_no_whole_frame_before_the_end_is_not_heard(
    fake: FakeLlama, engine: Orpheus, steps: tuple[Any, ...], count: int
) -> None:
    fake.next(*steps)
    assert await spoken(engine) == sound(*CODES[:count])


async def test_a_frame_that_comes_for_ever_ends_at_the_limit_of_tokens(fake: FakeLlama, engine: Orpheus) -> None:
    gate = asyncio.Event()
    again = b"".join(event(tokens=[token]) for token in frame(5))
    fake.next(Say(frame(5) * 3), Wait(gate), Flood(again))
    heard = b""
    with pytest.raises(EngineFailed):  # noqa: PT012 - the sound is collected up to the error
        async for chunk in engine.synthesize(segment(max_tokens=70)):
            heard += chunk.pcm
            gate.set()
    assert heard == sound(*[CODES[5]] * ((70 + 16) // 7))
    assert len(fake.requests) == 1
    assert engine.slots.taken == 0


# ---- when llama-server fails


@pytest.mark.parametrize(
    "steps",
    [
        (Status(503),),
        (Status(500),),
        (Status(200, b"<html>", "text/html"),),
        (Raw(b"data: {oops\n\n"),),
        (Abort(),),
        (Say(frames(2)), Abort()),
        (Stop(),),
        (Say([128_258]), Stop()),
        (Say([17] * 100), Stop()),
    ],
    ids=["503", "500", "html", "broken", "aborted", "aborted before sound", "nothing", "only the end", "no speech"],
)
async def test_what_fails_before_the_first_sound_is_tried_again(
    fake: FakeLlama, engine: Orpheus, steps: tuple[Any, ...]
) -> None:
    fake.next(*steps)
    assert await spoken(engine) == sound(*CODES[:3])
    assert len(fake.requests) == 2


async def test_not_for_ever(fake: FakeLlama, engine: Orpheus) -> None:
    fake.otherwise(Status(500))
    with pytest.raises(EngineUnavailable, match="HTTP 500"):
        await spoken(engine)
    assert len(fake.requests) == 3


@pytest.mark.parametrize("steps", [(Status(400),), (Hang(),)], ids=["refused", "stalled"])
async def test_what_another_try_would_not_mend_is_not_tried_again(
    fake: FakeLlama, steps: tuple[Any, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    put_ahead = clock_ahead(monkeypatch)
    engine = made(fake)
    await engine.start()
    fake.next(*steps)
    speaking = asyncio.create_task(spoken(engine))
    await until(lambda: len(fake.requests) == 1)
    if Hang() in steps:
        put_ahead(engine.settings.first_token_timeout)
    with pytest.raises((EngineFailed, EngineUnavailable)):
        await speaking
    assert len(fake.requests) == 1
    await engine.close()


@pytest.mark.parametrize(
    ("step", "error"),
    [
        (Abort(), EngineUnavailable),
        (Raw(b"<html>\n"), EngineFailed),
        (Raw(b'data: {"error":{}}\n\n'), EngineUnavailable),
        (Flood(event(tokens=[17])), EngineFailed),
    ],
    ids=["aborted", "html", "error", "no speech without end"],
)
async def test_a_failure_in_the_middle_comes_behind_the_sound_before_it_and_is_final(
    fake: FakeLlama, engine: Orpheus, step: Any, error: type[Exception]
) -> None:
    gate = asyncio.Event()
    fake.next(Say(frames(5)), Wait(gate), step)
    heard = b""
    with pytest.raises(error):  # noqa: PT012 - the sound is collected up to the error
        async for chunk in engine.synthesize(segment()):
            heard += chunk.pcm
            gate.set()
    assert heard == sound(*CODES[:5])
    assert len(fake.requests) == 1


@virtual_time
async def test_a_stall_in_the_middle_is_an_error_after_its_time() -> None:
    now = asyncio.get_running_loop().time
    async with FakeLlama() as fake:
        engine = made(fake, token_timeout=5.0)
        await engine.start()
        fake.next(Say(frames(5)), Hang())
        began = now()
        assert await heard_before(engine, EngineUnavailable) == sound(*CODES[:5])
        assert round(now() - began, 1) == 5.0
        await engine.close()


async def test_after_failures_in_a_row_nothing_is_asked_until_a_probe_succeeds(fake: FakeLlama) -> None:
    engine = made(fake, attempts=1, failures=2)
    await engine.start()
    fake.next(Status(500))
    fake.next(Status(500))
    for _ in range(2):
        with pytest.raises(EngineUnavailable, match="HTTP 500"):
            await spoken(engine)
    fake.health = Status(503)
    assert engine.trouble is not None
    with pytest.raises(EngineUnavailable) as refused:
        await spoken(engine)
    assert refused.value.retry_after is not None
    assert len(fake.requests) == 2
    fake.health = Status(200)
    await engine.health.well.wait()
    assert engine.trouble is None
    assert await spoken(engine)
    await engine.close()


@pytest.mark.parametrize(
    "steps", [(Status(400),), (Stop(),), (Say([17] * 100), Stop())], ids=["400", "silent", "noise"]
)
async def test_what_a_callers_text_may_bring_about_does_not_close_the_engine_to_others(
    fake: FakeLlama, steps: tuple[Any, ...]
) -> None:
    engine = made(fake, attempts=1, failures=1)
    await engine.start()
    fake.next(*steps)
    with pytest.raises(EngineFailed):
        await spoken(engine)
    assert engine.trouble is None
    await engine.close()


async def test_a_server_that_comes_back_with_other_slots_is_used_as_it_is(fake: FakeLlama) -> None:
    engine = made(fake)
    await engine.start()
    fake.next(Say(frames(5)), Hang())
    async with aclosing(engine.synthesize(segment())) as chunks:
        await anext(chunks)
        await fake.stop()
        with pytest.raises(EngineUnavailable, match="broke off"):
            async for _ in chunks:
                pass
    with pytest.raises(EngineUnavailable, match="does not answer"):
        await spoken(engine)
    assert engine.trouble is not None
    fake.props = Status(200, b'{"total_slots":7}')
    await fake.start()
    await engine.health.well.wait()
    assert engine.places == 7
    assert await spoken(engine) == sound(*CODES[:3])
    await engine.close()


async def test_a_server_that_was_replaced_while_nobody_spoke_is_noticed(fake: FakeLlama) -> None:
    engine = made(fake, check_interval=0.01)
    await engine.start()
    fake.props = Status(200, b'{"total_slots":2}')
    await until(lambda: engine.places == 2)
    await engine.close()


async def test_a_server_that_has_another_model_now_is_noticed_by_the_first_who_is_not_served(fake: FakeLlama) -> None:
    engine = made(fake, attempts=1, failures=1)
    await engine.start()
    fake.trial = (Say([17, 18, 19]), Stop("limit"))
    fake.next(Say([17] * 100), Stop())
    with pytest.raises(NoSpeech):
        await spoken(engine)
    await until(lambda: engine.trouble is not None)
    assert "does not speak as Orpheus does" in str(engine.trouble)
    fake.trial = (Say(frame()), Stop("limit"))
    await engine.health.well.wait()
    assert await spoken(engine)
    await engine.close()


async def test_a_server_that_has_another_model_now_is_noticed_while_nobody_speaks(fake: FakeLlama) -> None:
    engine = made(fake, check_interval=0.01, failures=1)
    fake.props = Status(200, b'{"total_slots":4,"model_path":"orpheus.gguf"}')
    await engine.start()
    probes = fake.probes
    fake.trial = (Status(400),)
    fake.props = Status(200, b'{"total_slots":4,"model_path":"another.gguf"}')
    await until(lambda: engine.trouble is not None)
    assert "does not speak as Orpheus does" in str(engine.trouble)
    assert fake.probes > probes
    await engine.close()


async def test_a_model_in_doubt_is_not_tried_while_all_slots_are_at_work(fake: FakeLlama) -> None:
    engine = made(fake, places=1, check_interval=0.01)
    fake.props = Status(200, b'{"total_slots":1,"model_path":"orpheus.gguf"}')
    await engine.start()
    fake.next(Say(frames(3)), Hang())
    async with aclosing(engine.synthesize(segment())) as chunks:
        await anext(chunks)
        fake.props = Status(200, b'{"total_slots":1,"model_path":"another.gguf"}')
        asked = fake.glances
        await until(lambda: fake.glances > asked + 3)
        assert fake.probes == 1
    await until(lambda: fake.probes == 2)
    assert engine.trouble is None
    await engine.close()


async def test_utterances_that_were_left_are_successes_all_the_same(fake: FakeLlama) -> None:
    engine = made(fake, attempts=1, failures=2)
    await engine.start()
    for _ in range(3):
        fake.next(Status(500))
        fake.next(Say(frames(3)), Hang())
        with pytest.raises(EngineUnavailable, match="HTTP 500"):
            await spoken(engine)
        async with aclosing(engine.synthesize(segment())) as chunks:
            await anext(chunks)
    assert engine.trouble is None
    await engine.close()


async def test_a_server_that_goes_while_nobody_speaks_is_noticed_and_found_again(fake: FakeLlama) -> None:
    engine = made(fake, check_interval=0.01)
    await engine.start()
    await fake.stop()
    await until(lambda: engine.trouble is not None)
    assert str(engine.trouble) == "llama-server does not answer"
    await fake.start()
    await engine.health.well.wait()
    await engine.close()


# ---- start and end


async def test_it_starts_without_its_server_and_finds_it_when_it_is_there() -> None:
    fake = FakeLlama()
    await fake.start()
    await fake.stop()
    engine = made(fake)
    await engine.start()
    assert str(engine.trouble) == "llama-server does not answer"
    assert engine.places == 1
    assert engine.detail == "SNAC: a fake"
    async with fake:
        await engine.health.well.wait()
        assert engine.trouble is None
        assert engine.detail == "4 places; SNAC: a fake"
        assert await spoken(engine)
        await engine.close()


async def test_it_waits_for_a_server_that_is_loading(fake: FakeLlama) -> None:
    fake.health = Status(503, b'{"error":{"message":"Loading model"}}')
    engine = made(fake)
    await engine.start()
    assert str(engine.trouble) == "llama-server is loading its model"
    fake.health = Status(200)
    await engine.health.well.wait()
    await engine.close()


@pytest.mark.parametrize(
    "trial",
    [(Say([17, 18, 19]), Stop("limit")), (Say([200_000] * 9 + frame()[:6]), Stop("limit")), (Stop(),), (Status(400),)],
    ids=["small vocabulary", "large vocabulary", "silent", "tokens unknown"],
)
async def test_a_server_with_another_model_is_trouble(fake: FakeLlama, trial: tuple[Any, ...]) -> None:
    fake.trial = trial
    engine = made(fake)
    await engine.start()
    assert "does not speak as Orpheus does" in str(engine.trouble)
    await engine.close()


async def test_a_slot_too_small_for_a_long_sentence_is_logged(
    fake: FakeLlama, caplog: pytest.LogCaptureFixture
) -> None:
    fake.props = Status(200, b'{"total_slots":4,"default_generation_settings":{"n_ctx":1024}}')
    engine = made(fake)
    await engine.start()
    assert "a slot of llama-server holds 1024 tokens" in caplog.text
    await engine.close()


async def test_a_missing_package_gives_the_line_that_installs_it(fake: FakeLlama) -> None:
    error = PackageMissing("torch", "loading SNAC", "pip install torch")
    engine = made(fake, start_error=error)
    with pytest.raises(MissingDependency) as missing:
        await engine.start()
    assert missing.value.fix == PROVIDERS["orpheus"].install
    await engine.close()


async def test_a_decoder_that_cannot_start_is_no_passing_trouble(fake: FakeLlama) -> None:
    engine = made(fake, start_error=BackendUnavailable("there is no CUDA device"))
    with pytest.raises(EngineUnavailable, match="no CUDA device"):
        await engine.start()
    await engine.close()


async def test_a_decoder_that_fails_ends_the_segment_alone(fake: FakeLlama, engine: Orpheus) -> None:
    fake.next(Say(frames(3)), Hang())
    async with aclosing(engine.synthesize(segment())) as chunks:
        await anext(chunks)
        decoder(engine).streams[-1].fail(DecodeFailed("the backend failed"))
        with pytest.raises(EngineFailed, match="cannot decode"):
            async for _ in chunks:
                pass
    assert engine.trouble is None
    assert await spoken(engine)


async def test_a_decoder_that_fails_everybody_is_trouble_until_it_decodes_again(fake: FakeLlama) -> None:
    engine = made(fake)
    await engine.start()
    assert await spoken(engine)
    decoder(engine).broken = True
    with pytest.raises(EngineFailed, match="cannot decode"):
        await spoken(engine)
    await until(lambda: engine.trouble is not None)
    assert str(engine.trouble) == "SNAC's decoder fails"
    asked = len(fake.requests)
    with pytest.raises(EngineUnavailable, match="decoder fails"):
        await spoken(engine)
    assert len(fake.requests) == asked
    decoder(engine).broken = False
    await until(lambda: engine.trouble is None)
    assert await spoken(engine) == sound(*CODES[:3])
    await engine.close()


async def test_a_full_decoder_is_no_failure(engine: Orpheus) -> None:
    decoder(engine).max_streams = 0
    with pytest.raises(EngineBusy) as refused:
        await spoken(engine)
    assert refused.value.retry_after is not None


async def test_a_decoder_that_fails_to_take_a_frame_ends_the_reading(fake: FakeLlama, engine: Orpheus) -> None:
    error = DecodeFailed("the backend failed")

    def refuse(_: object) -> None:
        stream.fail(error)
        raise error

    gate = asyncio.Event()
    fake.next(Wait(gate), Say(frames(9)), Hang())
    speaking = asyncio.create_task(spoken(engine))
    await fake.until_active(1)
    stream = decoder(engine).streams[-1]
    stream.push = refuse  # type: ignore[method-assign]
    gate.set()
    with pytest.raises(EngineFailed):
        await speaking


async def test_it_may_be_closed_while_some_speak_and_others_wait(fake: FakeLlama) -> None:
    engine = made(fake)
    await engine.start()
    fake.otherwise(Say(frames(3)), Hang())
    speaking = [asyncio.create_task(spoken(engine)) for _ in range(6)]
    await until(lambda: engine.slots.waiting == 2)
    await engine.close()
    await engine.close()
    for outcome in await asyncio.gather(*speaking, return_exceptions=True):
        assert isinstance(outcome, EngineUnavailable)
        assert str(outcome) == "engine 'orpheus' is not started, or is closed"
    with pytest.raises(EngineUnavailable, match="is closed"):
        await spoken(engine)


async def test_a_start_that_was_cancelled_leaves_nothing_open(fake: FakeLlama) -> None:
    engine = made(fake)
    starting = asyncio.create_task(engine.start())
    await asyncio.sleep(0)
    starting.cancel()
    await asyncio.wait((starting,))
    first = decoder(engine)
    await engine.start()
    second = decoder(engine)
    assert await spoken(engine) == sound(*CODES[:3])
    await engine.close()
    assert first is not second
    assert (first.closed, second.closed) == (True, True)


async def test_one_that_is_closed_while_it_starts_does_not_start(fake: FakeLlama) -> None:
    gate = asyncio.Event()
    fake.trial = (Wait(gate), Say(frame()), Stop("limit"))
    engine = made(fake)
    starting = asyncio.create_task(engine.start())
    await until(lambda: fake.probes == 1)
    await engine.close()
    gate.set()
    with pytest.raises(EngineUnavailable, match="closed while it started"):
        await starting
    assert engine.detail is None


async def test_one_that_is_closed_while_its_decoder_starts_leaves_no_task(fake: FakeLlama) -> None:
    before = asyncio.all_tasks()
    engine = made(fake)
    starting = asyncio.create_task(engine.start())
    await asyncio.sleep(0)
    await engine.close()
    with pytest.raises(EngineUnavailable):
        await starting
    assert not {task for task in asyncio.all_tasks() - before if "watch" in task.get_name()}


async def test_one_that_is_closed_between_two_questions_of_its_start_leaves_no_connection(fake: FakeLlama) -> None:
    gate = asyncio.Event()
    fake.health = Wait(gate)
    engine = made(fake)
    starting = asyncio.create_task(engine.start())
    await until(lambda: fake.glances == 1)
    await engine.close()
    with pytest.raises(EngineUnavailable, match="closed while it started"):
        await starting
    assert engine.llama.closed


async def test_it_can_be_closed_and_started_again_and_again(fake: FakeLlama) -> None:
    engine = made(fake)
    for _ in range(3):
        await engine.start()
        assert await spoken(engine) == sound(*CODES[:3])
        await engine.close()


async def test_its_places_are_those_of_the_server_wherever_it_is_used() -> None:
    given = OrpheusSettings(_env_file=None, url="http://key:word@gpu.example:8090/")
    assert Orpheus(given).account == "llama-server gpu.example:8090"
    here, named = OrpheusSettings(_env_file=None), OrpheusSettings(_env_file=None, server="the large one")
    assert Orpheus(here).account == f"llama-server {socket.gethostname()} 127.0.0.1:8090"
    assert Orpheus(named).account == "llama-server the large one"


async def test_it_speaks_only_once_it_is_started(fake: FakeLlama) -> None:
    engine = made(fake)
    with pytest.raises(EngineUnavailable, match="not started"):
        await spoken(engine)
    await engine.close()
