import asyncio
from collections.abc import Sequence

import pytest

from gateway.clock import Clock
from gateway.errors import EngineError, TextTooLong, TimedOut
from gateway.pipeline.alignment import TimedWord
from gateway.pipeline.synthesis import Limits, Synthesis
from providers.base import EngineBusy, EngineFailed, Voice
from tests.support.engines import Deaf, Hang, Mark, Raise, Say, Scripted, Wait, sound
from tests.support.virtual_time import outcome, settle, virtual_time

VOICE = Voice("one", "One", "en-US", 24000)


def synthesis(engine: Scripted, limits: Limits | None = None) -> Synthesis:
    clock = Clock(now=asyncio.get_running_loop().time)
    return Synthesis(engine, VOICE, limits=limits or Limits(), clock=clock)


async def spoken(speech: Synthesis) -> list[bytes]:
    """Everything that a consumer who never waits gets."""
    pieces: list[bytes] = []
    async with asyncio.TaskGroup() as group:
        group.create_task(speech.run())
        while (pcm := await speech.get()) is not None:
            pieces.append(pcm)
    return pieces


@virtual_time
async def test_segments_sound_in_the_order_of_their_text() -> None:
    engine = Scripted()
    engine.on("First sentence here.", Say(sound(100, 1)), Say(sound(50, 2)))
    engine.on("Second sentence here.", Say(sound(100, 3)))
    speech = synthesis(engine)
    speech.text("First sentence here. Second sentence here.")
    speech.end()
    assert await spoken(speech) == [sound(100, 1), sound(50, 2), sound(100, 3)]
    assert engine.texts == ["First sentence here.", "Second sentence here."]
    assert speech.made == pytest.approx(0.25)


@virtual_time
async def test_the_next_segment_is_prefetched_once_the_one_before_it_sounds() -> None:
    engine = Scripted()
    begun, go_on = asyncio.Event(), asyncio.Event()
    engine.on("First sentence here.", Wait(begun), Say(sound(100)), Wait(go_on), Say(sound(100)))
    engine.on("Second sentence here.", Say(sound(100)), Wait(go_on), Say(sound(100)))
    speech = synthesis(engine)
    speech.text("First sentence here. Second sentence here. Third sentence here.")
    speech.end()
    async with asyncio.TaskGroup() as group:
        group.create_task(speech.run())
        await settle()
        assert engine.texts == ["First sentence here."]
        begun.set()
        await settle()
        # The first still has sound to make; the second is made beside it, and no third.
        assert engine.texts == ["First sentence here.", "Second sentence here."]
        go_on.set()
        while await speech.get() is not None:
            pass
    assert len(engine.texts) == 3


@virtual_time
async def test_the_engine_is_held_back_when_nobody_takes_its_sound() -> None:
    engine = Scripted()
    engine.otherwise(*[Say(sound(100))] * 1000)
    speech = synthesis(engine, Limits(ahead=1.0))
    speech.text("A very long story. ")
    speech.end()
    async with asyncio.TaskGroup() as group:
        running = group.create_task(speech.run())
        await settle()
        assert speech.depth <= 1.1
        assert engine.chunks <= 12
        await speech.get()
        await settle()
        assert engine.chunks <= 13
        running.cancel()
    assert engine.stopped == 1


@virtual_time
async def test_cancelling_stops_the_engine_and_leaves_nothing() -> None:
    engine = Scripted()
    engine.otherwise(Say(sound(100)), Hang())
    speech = synthesis(engine)
    speech.text("First sentence here. Second sentence here. Third")
    running = asyncio.create_task(speech.run())
    await settle()
    running.cancel()
    await asyncio.wait([running])
    assert running.cancelled()
    assert engine.active == 0
    assert speech.unspoken() == "Third"


@virtual_time
async def test_an_engine_that_cannot_be_cut_in_mid_chunk_is_waited_for() -> None:
    engine = Scripted()
    chunk_made = asyncio.Event()
    engine.otherwise(Deaf(chunk_made), Say(sound(100)))
    speech = synthesis(engine)
    speech.text("A sentence. ")
    speech.end()
    running = asyncio.create_task(speech.run())
    await settle()
    running.cancel()
    await settle()
    assert engine.active == 1
    chunk_made.set()
    await asyncio.wait([running])
    assert engine.active == 0


@virtual_time
async def test_an_error_arrives_after_the_sound_that_was_made_before_it() -> None:
    engine = Scripted()
    engine.otherwise(Say(sound(100)), Raise(EngineFailed("the engine died")))
    speech = synthesis(engine)
    speech.text("A sentence. ")
    speech.end()
    running = asyncio.create_task(speech.run())
    assert await speech.get() == sound(100)
    with pytest.raises(EngineError, match="died"):
        await speech.get()
    await running


@virtual_time
async def test_no_segment_is_begun_after_one_has_failed() -> None:
    engine = Scripted()
    engine.on("First sentence here.", Raise(EngineFailed("no")))
    speech = synthesis(engine)
    speech.text("First sentence here. Second sentence here. Third sentence here.")
    speech.end()
    running = asyncio.create_task(speech.run())
    assert isinstance(await outcome(speech.get()), EngineError)
    await running
    assert engine.texts == ["First sentence here."]


@virtual_time
async def test_a_busy_engine_says_when_to_come_again() -> None:
    engine = Scripted()
    engine.otherwise(Raise(EngineBusy("no room", retry_after=3.0)))
    speech = synthesis(engine)
    speech.text("A sentence. ")
    speech.end()
    running = asyncio.create_task(speech.run())
    error = await outcome(speech.get())
    assert (error.code, error.retryable, error.retry_after) == ("overloaded", True, 3.0)
    await running


@virtual_time
async def test_an_exception_of_the_engines_own_is_the_engines_failure_and_says_nothing_internal() -> None:
    engine = Scripted()
    engine.otherwise(Raise(ZeroDivisionError("/secret/path")))
    speech = synthesis(engine)
    speech.text("A sentence. ")
    speech.end()
    running = asyncio.create_task(speech.run())
    error = await outcome(speech.get())
    assert error.code == "engine_failed"
    assert "secret" not in error.message
    assert isinstance(error.__cause__, ZeroDivisionError)
    await running


@pytest.mark.parametrize("lie", [b"", b"odd"])
def test_an_engine_that_answers_no_pcm_has_failed(lie: bytes) -> None:
    @virtual_time
    async def check() -> None:
        engine = Scripted()
        engine.otherwise(Say(lie))
        speech = synthesis(engine)
        speech.text("A sentence. ")
        speech.end()
        running = asyncio.create_task(speech.run())
        assert (await outcome(speech.get())).code == "engine_failed"
        await running

    check()


@virtual_time
async def test_a_cancellation_of_the_engines_own_is_the_engines_failure() -> None:
    engine = Scripted()
    engine.otherwise(Say(sound(100)), Raise(asyncio.CancelledError()))
    speech = synthesis(engine)
    speech.text("Hello there.", flush=True)
    running = asyncio.create_task(speech.run())
    assert await speech.get() is not None
    with pytest.raises(EngineError, match="failed"):
        async with asyncio.timeout(60):
            await speech.get()
    await running


@virtual_time
async def test_a_silent_engine_times_out() -> None:
    engine = Scripted()
    engine.otherwise(Say(sound(100)), Hang())
    speech = synthesis(engine, Limits(engine_timeout=7.0))
    speech.text("A sentence. ")
    speech.end()
    loop = asyncio.get_running_loop()
    began = loop.time()
    running = asyncio.create_task(speech.run())
    await speech.get()
    with pytest.raises(TimedOut):
        await speech.get()
    assert loop.time() - began == pytest.approx(7.0)
    await running
    assert engine.active == 0


@virtual_time
async def test_a_listener_who_is_slow_does_not_make_the_engine_time_out() -> None:
    engine = Scripted()
    engine.otherwise(*[Say(sound(1000))] * 5)
    speech = synthesis(engine, Limits(ahead=0.5, engine_timeout=1.0))
    speech.text("A sentence. ")
    speech.end()
    running = asyncio.create_task(speech.run())
    pieces = 0
    while await speech.get() is not None:
        pieces += 1
        await asyncio.sleep(20)
    assert pieces == 5
    await running


@virtual_time
async def test_a_caller_who_sends_no_text_times_out() -> None:
    speech = synthesis(Scripted(), Limits(text_timeout=60.0))
    running = asyncio.create_task(speech.run())
    with pytest.raises(TimedOut, match="no text"):
        await speech.get()
    await running


@virtual_time
async def test_text_beyond_the_limit_is_refused_whole_and_what_came_before_is_kept() -> None:
    engine = Scripted()
    speech = synthesis(engine, Limits(text=30))
    speech.text("This fits well enough. ")
    with pytest.raises(TextTooLong):
        speech.text("This does not. ")
    speech.end()
    await spoken(speech)
    assert engine.texts == ["This fits well enough."]


@virtual_time
async def test_text_without_sound_does_not_pile_up() -> None:
    engine = Scripted()
    engine.on("Silence")
    speech = synthesis(engine, Limits(text=100))
    running = asyncio.create_task(speech.run())
    for _ in range(3):
        speech.text("... " * 5, flush=True)
        await settle()
    speech.text("Silence", flush=True)
    await settle()
    speech.text("Sound", flush=True)
    await settle()
    with pytest.raises(TextTooLong):
        speech.text("." * 34)
    speech.text("." * 33)
    speech.end()
    assert await speech.get() is not None
    while await speech.get() is not None:
        pass
    await running


@virtual_time
async def test_a_long_text_is_segmented_in_turns_with_everything_else() -> None:
    engine = Scripted()
    speech = synthesis(engine)
    running = asyncio.create_task(speech.run())
    await settle()
    text = "..." * 20_000
    speech.text(text)
    for _ in range(10):
        await asyncio.sleep(0)
    assert len("".join(speech.transcript.split(0.0))) < len(text) / 4
    assert "".join(speech.transcript.split(0.0)) + speech.unspoken() == text
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)


@virtual_time
async def test_a_flush_counts_from_where_it_came_and_many_empty_ones_cost_nothing() -> None:
    engine = Scripted()
    speech = synthesis(engine)
    for piece in ("One ", "two", "", " three"):
        speech.text(piece, flush=piece == "two")
        for _ in range(100):
            speech.text("", flush=piece == "two")
    speech.end()
    await spoken(speech)
    assert engine.texts == ["One two", "three"]


@virtual_time
async def test_a_caller_who_sends_half_a_sentence_now_and_then_does_not_time_out() -> None:
    speech = synthesis(Scripted(), Limits(text_timeout=60.0))
    running = asyncio.create_task(speech.run())
    for _ in range(4):
        await asyncio.sleep(40)
        speech.text("and ")
    speech.end()
    assert await speech.get() is not None
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)


@virtual_time
async def test_what_cannot_be_spoken_is_not_given_to_the_engine() -> None:
    engine = Scripted()
    speech = synthesis(engine)
    speech.text("... !!! \N{GRINNING FACE}")
    speech.end()
    assert await spoken(speech) == []
    assert engine.texts == []
    assert "".join(speech.transcript.split(0.0)) == "... !!! \N{GRINNING FACE}"


@virtual_time
async def test_flush_speaks_half_a_sentence() -> None:
    engine = Scripted()
    speech = synthesis(engine)
    running = asyncio.create_task(speech.run())
    speech.text("Half a sen", flush=True)
    await settle()
    assert engine.texts == ["Half a sen"]
    speech.end()
    while await speech.get() is not None:
        pass
    await running


@virtual_time
async def test_waiting_for_text_is_told_from_waiting_for_the_engine() -> None:
    engine = Scripted()
    made = asyncio.Event()
    engine.otherwise(Wait(made), Say(sound(100)))
    speech = synthesis(engine)
    running = asyncio.create_task(speech.run())
    speech.text("A sentence.", flush=True)
    await settle()
    taking = asyncio.create_task(speech.get())
    await settle()
    assert not speech.starved
    made.set()
    await taking
    ending = asyncio.create_task(speech.get())
    await settle()
    assert speech.starved
    speech.end()
    assert await ending is None
    await running


@virtual_time
async def test_words_are_told_as_their_sound_is_made() -> None:
    told: list[TimedWord] = []

    async def on_words(words: Sequence[TimedWord], estimated: bool) -> None:
        assert estimated
        told.extend(words)

    engine = Scripted()
    half, done = asyncio.Event(), asyncio.Event()
    engine.otherwise(Say(sound(1000)), Mark(half), Wait(done), Say(sound(1000)))
    clock = Clock(now=asyncio.get_running_loop().time)
    speech = Synthesis(engine, VOICE, limits=Limits(), clock=clock, on_words=on_words)
    speech.text("These are six words of it. ")
    speech.end()
    running = asyncio.create_task(speech.run())
    await half.wait()
    assert 0 < len(told) < 6
    done.set()
    while await speech.get() is not None:
        pass
    await running
    assert [word.text for word in told] == ["These", "are", "six", "words", "of", "it."]
    assert told[-1].end == pytest.approx(2.0)
