"""Engines that take text while they speak: one utterance of theirs for a whole context."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Sequence
from contextlib import aclosing
from typing import ClassVar

import pytest

from gateway.clock import Clock
from gateway.errors import EngineError, TextTooLong, TimedOut
from gateway.pipeline.alignment import TimedWord
from gateway.pipeline.synthesis import Limits, Synthesis
from providers.base import Bidirectional, Capabilities, EngineFailed, PcmChunk, Segment, Spoken, Voice, Word
from tests.support.engines import Conversing, Hang, Mark, Raise, Say, Wait, sound
from tests.support.virtual_time import outcome, settle, virtual_time

VOICE = Voice("one", "One", "en-US", 24000)
TWO = "First sentence here. Second sentence here."


def synthesis(engine: Conversing, limits: Limits | None = None, told: list[tuple[TimedWord, bool]] | None = None):
    async def on_words(words: Sequence[TimedWord], estimated: bool) -> None:
        assert told is not None
        told.extend((word, estimated) for word in words)

    clock = Clock(now=asyncio.get_running_loop().time)
    hear = None if told is None else on_words
    return Synthesis(engine, VOICE, limits=limits or Limits(), clock=clock, on_words=hear)


async def spoken(speech: Synthesis) -> bytes:
    async with asyncio.TaskGroup() as group:
        group.create_task(speech.run())
        return b"".join([pcm async for pcm in takes(speech)])


async def takes(speech: Synthesis) -> AsyncGenerator[bytes, None]:
    while (pcm := await speech.get()) is not None:
        yield pcm


def test_it_is_told_from_an_engine_that_takes_segments() -> None:
    assert isinstance(Conversing(), Bidirectional)


@virtual_time
async def test_all_segments_are_one_utterance_with_their_text_as_it_was() -> None:
    engine = Conversing()
    engine.on("First sentence here.", Say(sound(100, 1)), Say(sound(50, 2)))
    engine.on("Second sentence here.", Say(sound(100, 3)))
    speech = synthesis(engine)
    speech.text(TWO)
    speech.end()
    assert await spoken(speech) == sound(100, 1) + sound(50, 2) + sound(100, 3)
    assert engine.conversations == 1
    assert "".join(engine.given) == TWO
    assert [segment.index for segment in engine.segments] == [0, 1]
    assert engine.open == engine.active == 0
    assert speech.made == pytest.approx(0.25)


@virtual_time
async def test_text_goes_up_while_sound_comes_down() -> None:
    engine = Conversing()
    go_on = asyncio.Event()
    engine.on("First sentence here.", Say(sound(100)), Wait(go_on), Say(sound(100)))
    speech = synthesis(engine)
    speech.text(TWO)
    running = asyncio.create_task(speech.run())
    assert await speech.get() is not None
    speech.text(" Third sentence here.")
    speech.end()
    await settle()
    assert "".join(engine.given) == TWO + " Third sentence here."
    go_on.set()
    while await speech.get() is not None:
        pass
    await running


@virtual_time
async def test_a_flush_reaches_the_engine_behind_the_text_that_it_was_for() -> None:
    engine = Conversing()
    speech = synthesis(engine)
    running = asyncio.create_task(speech.run())
    speech.text("Half a sen", flush=True)
    speech.text("tence.")
    await settle()
    assert engine.given == ["Half a sen", ""]
    speech.end()
    while await speech.get() is not None:
        pass
    await running
    assert engine.given == ["Half a sen", "", "tence."]


@virtual_time
async def test_what_cannot_be_spoken_is_not_given_and_is_in_the_transcript() -> None:
    engine = Conversing()
    speech = synthesis(engine)
    speech.text("... !!! \N{GRINNING FACE}")
    speech.end()
    assert await spoken(speech) == b""
    assert engine.given == []
    assert "".join(speech.transcript.split(0.0)) == "... !!! \N{GRINNING FACE}"


@virtual_time
async def test_the_engine_is_held_back_when_nobody_takes_its_sound() -> None:
    engine = Conversing()
    engine.otherwise(*[Say(sound(100))] * 1000)
    speech = synthesis(engine, Limits(ahead=1.0))
    speech.text("A very long story. ")
    speech.end()
    running = asyncio.create_task(speech.run())
    await settle()
    assert speech.depth <= 1.1
    assert engine.chunks <= 12
    running.cancel()
    await asyncio.wait([running])
    assert (engine.open, engine.stopped) == (0, 1)


@virtual_time
async def test_a_long_text_is_given_a_minute_of_speech_at_a_time() -> None:
    engine = Conversing()
    engine.otherwise(*[Say(sound(1000))] * 3)
    speech = synthesis(engine)
    text = "This sentence takes three seconds to speak. " * 200
    speech.text(text)
    speech.end()
    running = asyncio.create_task(speech.run())
    await settle()
    given = len("".join(engine.given))
    assert 500 < given < 1500
    pieces = 0
    while await speech.get() is not None:
        pieces += 1
        assert len("".join(engine.given)) - pieces * 15 < 1500
    assert pieces == 600
    assert "".join(engine.given) == text
    await running


@virtual_time
async def test_cancelling_leaves_nothing_and_all_text_is_accounted_for() -> None:
    engine = Conversing()
    engine.on("Second sentence here.", Say(sound(100)), Hang())
    speech = synthesis(engine)
    speech.text(f"{TWO} Third")
    running = asyncio.create_task(speech.run())
    await settle()
    running.cancel()
    await asyncio.wait([running])
    assert running.cancelled()
    assert (engine.open, engine.active) == (0, 0)
    heard, left = speech.transcript.split(0.2)
    assert heard == "First sentence here. "
    assert left + speech.unspoken() == "Second sentence here. Third"


@virtual_time
async def test_an_error_arrives_after_the_sound_that_was_made_before_it() -> None:
    engine = Conversing()
    engine.on("Second sentence here.", Raise(EngineFailed("the engine died")))
    speech = synthesis(engine)
    speech.text(TWO)
    speech.end()
    running = asyncio.create_task(speech.run())
    assert await speech.get() is not None
    assert await speech.get() is not None
    with pytest.raises(EngineError, match="died"):
        await speech.get()
    await running
    assert engine.open == 0


@pytest.mark.parametrize("lie", [b"", b"odd"])
def test_an_engine_that_answers_no_pcm_has_failed(lie: bytes) -> None:
    @virtual_time
    async def check() -> None:
        engine = Conversing()
        engine.otherwise(Say(lie))
        speech = synthesis(engine)
        speech.text("A sentence. ")
        speech.end()
        running = asyncio.create_task(speech.run())
        assert (await outcome(speech.get())).code == "engine_failed"
        await running

    check()


class Lazy(Conversing):
    """Ends before its text does."""

    async def converse(self, segments: AsyncIterator[Segment]) -> AsyncGenerator[PcmChunk | Spoken, None]:
        await anext(segments)
        yield PcmChunk(sound(100))


@virtual_time
async def test_an_engine_that_stops_before_the_text_has_failed() -> None:
    speech = synthesis(Lazy())
    speech.text(TWO)
    speech.end()
    running = asyncio.create_task(speech.run())
    assert await speech.get() == sound(100)
    with pytest.raises(EngineError, match="before the end"):
        await speech.get()
    await running


@virtual_time
async def test_an_engine_times_out_only_while_it_owes_sound() -> None:
    engine = Conversing()
    engine.on("Silence.", Hang())
    speech = synthesis(engine, Limits(engine_timeout=7.0))
    running = asyncio.create_task(speech.run())
    loop = asyncio.get_running_loop()
    await asyncio.sleep(20)
    speech.text("A sentence.", flush=True)
    assert await speech.get() is not None
    assert await speech.get() is not None
    taking = asyncio.create_task(speech.get())
    await asyncio.sleep(20)
    assert not taking.done()
    speech.text("Silence.", flush=True)
    began = loop.time()
    assert isinstance(await outcome(taking), TimedOut)
    assert loop.time() - began == pytest.approx(7.0)
    assert speech.engine_time == pytest.approx(7.0)
    await running
    assert engine.open == 0


class Lingering(Conversing):
    """Has spoken all that there is, and does not end."""

    async def converse(self, segments: AsyncIterator[Segment]) -> AsyncGenerator[PcmChunk | Spoken, None]:
        async with aclosing(super().converse(segments)) as items:
            async for item in items:
                yield item
        await asyncio.Event().wait()


@virtual_time
async def test_an_engine_times_out_that_does_not_end_behind_the_text() -> None:
    speech = synthesis(Lingering(), Limits(engine_timeout=7.0))
    running = asyncio.create_task(speech.run())
    speech.text("A sentence.", flush=True)
    assert await speech.get() is not None
    assert await speech.get() is not None
    taking = asyncio.create_task(speech.get())
    await asyncio.sleep(20)
    assert not taking.done()
    speech.end()
    assert isinstance(await outcome(taking), TimedOut)
    await running


class Absent(Conversing):
    """Takes and speaks so many segments, and then neither asks for text nor ends."""

    def __init__(self, segments: int) -> None:
        super().__init__()
        self._segments = segments

    async def converse(self, segments: AsyncIterator[Segment]) -> AsyncGenerator[PcmChunk | Spoken, None]:
        for number in range(self._segments):
            await anext(segments)
            yield PcmChunk(sound(100))
            yield Spoken(number + 1)
        await asyncio.Event().wait()


@pytest.mark.parametrize("ends", [False, True])
@pytest.mark.parametrize("takes", [0, 1])
def test_an_engine_times_out_that_neither_owes_sound_nor_asks_for_text(takes: int, ends: bool) -> None:
    @virtual_time
    async def check() -> None:
        speech = synthesis(Absent(takes), Limits(engine_timeout=7.0))
        running = asyncio.create_task(speech.run())
        await asyncio.sleep(5)
        if takes:
            speech.text("A sentence.", flush=True)
            assert await speech.get() is not None
        loop = asyncio.get_running_loop()
        began = loop.time()
        speech.text("Another sentence.", flush=True)
        if ends:
            speech.end()
        async with asyncio.timeout(60):
            assert isinstance(await outcome(speech.get()), TimedOut)
        assert loop.time() - began == pytest.approx(7.0 if takes else 2.0)
        assert speech.engine_time == pytest.approx(7.0)
        await running

    check()


class Peeking(Conversing):
    """Asks for text again and again, each time for a short while only."""

    async def converse(self, segments: AsyncIterator[Segment]) -> AsyncGenerator[PcmChunk | Spoken, None]:
        spoken = 0
        while True:
            try:
                async with asyncio.timeout(3):
                    segment = await anext(segments)
            except TimeoutError:
                await asyncio.sleep(1)
            except StopAsyncIteration:
                return
            else:
                if segment.text:
                    yield PcmChunk(sound(100))
                    spoken += 1
                    yield Spoken(spoken)


@virtual_time
async def test_an_engine_that_asks_for_text_now_and_then_waits_for_it_as_long_as_it_takes() -> None:
    speech = synthesis(Peeking(), Limits(engine_timeout=2.0))
    running = asyncio.create_task(speech.run())
    for _ in range(3):
        await asyncio.sleep(60)
        speech.text("A sentence.", flush=True)
        assert await speech.get() is not None
    speech.end()
    assert await speech.get() is None
    await running


@virtual_time
async def test_a_listener_who_is_slow_does_not_make_the_engine_time_out() -> None:
    engine = Conversing()
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
async def test_a_caller_who_sends_no_text_times_out_after_what_was_said() -> None:
    engine = Conversing()
    speech = synthesis(engine, Limits(text_timeout=60.0))
    speech.text("A sentence.", flush=True)
    running = asyncio.create_task(speech.run())
    assert await speech.get() is not None
    assert await speech.get() is not None
    with pytest.raises(TimedOut, match="no text"):
        await speech.get()
    await running
    assert engine.open == 0


@virtual_time
async def test_waiting_for_text_is_told_from_waiting_for_the_engine() -> None:
    engine = Conversing()
    made, end = asyncio.Event(), asyncio.Event()
    engine.otherwise(Wait(made), Say(sound(100)), Wait(end))
    speech = synthesis(engine)
    running = asyncio.create_task(speech.run())
    taking = asyncio.create_task(speech.get())
    await settle()
    assert speech.starved
    speech.text("A sentence.", flush=True)
    made.set()
    await taking
    taking = asyncio.create_task(speech.get())
    await settle()
    assert not speech.starved, "there may be more of the sentence"
    end.set()
    await settle()
    assert speech.starved, "there is none"
    speech.end()
    assert await taking is None
    await running


@virtual_time
async def test_text_without_sound_does_not_pile_up() -> None:
    engine = Conversing()
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
    while await speech.get() is not None:
        pass
    await running


# ---- words


class Timed(Conversing):
    capabilities: ClassVar[Capabilities] = Capabilities(streams=True, native_words=True)


@virtual_time
async def test_words_are_estimated_as_their_sound_is_made_and_put_right_where_a_segment_is_spoken() -> None:
    engine = Conversing()
    half, go_on = asyncio.Event(), asyncio.Event()
    engine.on("These are six words of it.", Say(sound(1000)), Mark(half), Wait(go_on), Say(sound(1000)))
    engine.on("And three more.", Say(sound(1000)))
    told: list[tuple[TimedWord, bool]] = []
    speech = synthesis(engine, Limits(ahead=9.0), told)
    speech.text("These are six words of it. And three more.")
    speech.end()
    running = asyncio.create_task(speech.run())
    await half.wait()
    await settle()
    assert 0 < len(told) < 6
    go_on.set()
    while await speech.get() is not None:
        pass
    await running
    words = [word for word, _ in told]
    assert all(estimated for _, estimated in told)
    assert [word.text for word in words] == ["These", "are", "six", "words", "of", "it.", "And", "three", "more."]
    assert words[5].end == words[6].start == pytest.approx(2.0)
    assert words[8].end == pytest.approx(3.0)


@virtual_time
async def test_an_engines_own_words_are_told_from_the_start_of_the_context_and_time_the_text() -> None:
    engine = Timed()
    first = (Word("First", 0, 6000), Word("sentence", 6000, 12000), Word("here", 12000, 18000))
    second = (Word("Second", 30000, 36000), Word("sentence", 36000, 42000), Word("here", 42000, 47000))
    engine.on("First sentence here.", Say(sound(1000), first))
    engine.on("Second sentence here.", Say(sound(500)), Say(sound(500), second))
    told: list[tuple[TimedWord, bool]] = []
    speech = synthesis(engine, Limits(ahead=9.0), told)
    speech.text(TWO)
    speech.end()
    await spoken(speech)
    assert [(word.text, word.start) for word, _ in told][3:] == [("Second", 1.25), ("sentence", 1.5), ("here", 1.75)]
    assert not any(estimated for _, estimated in told)
    assert speech.transcript.split(1.6) == ("First sentence here. Second ", "sentence here.")


@virtual_time
async def test_words_that_an_engine_does_not_give_are_estimated_once_the_segment_is_spoken() -> None:
    engine = Timed()
    go_on = asyncio.Event()
    engine.on("First sentence here.", Say(sound(1500)), Wait(go_on))
    told: list[tuple[TimedWord, bool]] = []
    speech = synthesis(engine, Limits(ahead=9.0), told)
    speech.text("First sentence here.")
    speech.end()
    running = asyncio.create_task(speech.run())
    await speech.get()
    await settle()
    assert told == []
    assert speech.transcript.split(1.5)[0], "but what was heard is known, about"
    go_on.set()
    assert await speech.get() is None
    await running
    assert [(word.text, estimated) for word, estimated in told] == [
        ("First", True),
        ("sentence", True),
        ("here.", True),
    ]
    assert told[-1][0].end == pytest.approx(1.5)


@virtual_time
async def test_an_engine_that_does_not_tell_what_is_spoken_gets_its_words_at_the_end() -> None:
    engine = Conversing(tells=False)
    told: list[tuple[TimedWord, bool]] = []
    speech = synthesis(engine, told=told)
    speech.text(TWO)
    speech.end()
    await spoken(speech)
    assert [word.text for word, _ in told] == TWO.split()
    assert told[-1][0].end == pytest.approx(0.4)
    assert speech.transcript.split(0.4) == (TWO, "")
