"""Text in, PCM out: segments are given to the engine one after the other, the next one ahead of time.

Two segments at most are being made at a time, and the second only once the first has begun to sound, so that one
long text does not take an engine's places from other sessions' first words. What is made and not yet taken is
bounded in seconds; the engine is pulled chunk by chunk, so a listener who does not listen stops it.

A bidirectional engine is given the segments as they are cut and makes one utterance of them, in one stream.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping, Sequence
from contextlib import aclosing
from dataclasses import dataclass
from itertools import groupby
from operator import attrgetter
from typing import Any, TypeVar

from gateway.clock import Clock
from gateway.errors import EngineError, ListenerGone, TimedOut, VoxwireError, from_provider
from gateway.pipeline.alignment import TimedWord, Transcript
from gateway.pipeline.channel import Channel, Signal
from gateway.pipeline.conversation import Conversation, Segments
from gateway.pipeline.deadline import Deadline
from gateway.pipeline.intake import Intake
from gateway.pipeline.segmenter import speakable
from providers.base import SAMPLE_WIDTH, Bidirectional, PcmChunk, Provider, ProviderError, Segment, Spoken, Voice

OnWords = Callable[[Sequence[TimedWord], bool], Awaitable[None]]
_AT_A_TIME = 2
T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Limits:
    """Bounds of one context. Seconds and characters."""

    ahead: float = 1.0
    """Sound that may be made and not yet taken."""
    engine_timeout: float = 30.0
    """How long an engine may take for its next chunk."""
    text_timeout: float = 300.0
    """How long a caller may take for its next text."""
    text: int = 100_000
    """Characters that may wait to be spoken."""
    first_segment: int = 80
    segment: int = 300


class _Speech:
    """One segment on its way: being made at one end, taken at the other."""

    __slots__ = ("channel", "index", "sounding", "text")

    def __init__(self, index: int, text: str, ahead: float) -> None:
        self.index = index
        self.text = text
        self.channel: Channel[PcmChunk] = Channel(ahead)
        self.sounding = False


class Synthesis:
    """The engine's side of one context. ``text`` and ``end`` feed it, ``run`` drives it, ``get`` takes the PCM."""

    def __init__(
        self,
        provider: Provider,
        voice: Voice,
        *,
        limits: Limits,
        clock: Clock,
        speed: float = 1.0,
        language: str | None = None,
        options: Mapping[str, Any] | None = None,
        batch: bool = False,
        on_words: OnWords | None = None,
    ) -> None:
        self._provider = provider
        self._voice = voice
        self._speed = speed
        self._language = language
        self._options = options or {}
        self._batch = batch
        self._at_a_time = min(_AT_A_TIME, provider.capabilities.segments_at_once)
        self._limits = limits
        self._clock = clock
        self._rate = voice.sample_rate
        self._on_words = on_words
        longest = min(limits.segment, provider.capabilities.max_characters)
        self._begun = 0
        self._speeches: list[_Speech] = []
        self._making = 0
        self._failed = False
        self._finished = False
        self._given = False
        self._changed = Signal()
        self._arrived = Signal()
        self.transcript = Transcript(native=provider.capabilities.native_words)
        self._bidirectional = provider if isinstance(provider, Bidirectional) else None
        self._conversation: Conversation | None = None
        if self._bidirectional is not None:
            self._conversation = Conversation(self.transcript, voice.sample_rate, clock.now)
        flushes = self._conversation is not None
        self._intake = Intake(limits.text, limits.first_segment, longest, flushes=flushes)
        self.engine_time = 0.0
        """Seconds spent waiting for the engine."""
        self.made = 0.0
        """Seconds of sound that the engine has made."""
        self.first_pcm: float | None = None
        """When the first PCM came from the engine (clock seconds)."""
        self.starved = False
        """The PCM that was taken last had to be waited for because there was no text to speak."""

    def speak_with(self, voice: Voice) -> None:
        """The voice with what the engine needs to speak with it, for what is spoken from now on."""
        self._voice = voice

    # ---- text

    def text(self, text: str, *, flush: bool = False) -> None:
        """Add text. Raises ``TextTooLong`` when more would wait than the limit, and then takes nothing of it."""
        self._intake.add(text, flush=flush)
        self._changed.set()

    def end(self) -> None:
        """No more text will come."""
        self._intake.ended = True
        self._changed.set()

    def unspoken(self) -> str:
        """Text that has come and that the engine was not given yet."""
        return self._intake.unspoken()

    # ---- the engine

    @property
    def depth(self) -> float:
        """Seconds of sound that are made and not yet taken."""
        return sum(speech.channel.depth for speech in self._speeches)

    async def run(self) -> None:
        """Speak until the text ends. Errors of the engine reach the consumer after the sound that came before."""
        if self._conversation is not None:
            await self._converse(self._conversation)
            return
        async with asyncio.TaskGroup() as group:
            while await self._turn():
                # Nothing is awaited between the queue and the transcript: a cancel finds all text in one of them.
                text = self._intake.take()
                speech = _Speech(self.transcript.add(text), text, self._limits.ahead / self._at_a_time)
                self._making += 1
                if not speakable(text):
                    await self._complete(speech)
                    await asyncio.sleep(0)
                    continue
                self._speeches.append(speech)
                self._arrived.set()
                group.create_task(self._make(speech, self._pull))
            self._finished = True
            self._arrived.set()

    async def _converse(self, conversation: Conversation) -> None:
        speech = _Speech(conversation.span, "", self._limits.ahead)
        self._making += 1
        self._speeches.append(speech)
        self._arrived.set()
        await self._make(speech, self._listen)
        self._finished = True
        self._arrived.set()

    async def _turn(self) -> bool:
        """Wait until there is text to speak and room for its sound. False when nothing more is to be spoken."""
        intake = self._intake
        while not self._failed:
            if not intake.ready:
                if intake.arrived:
                    await intake.cut()
                elif not intake.ended:
                    await self._text_or_timeout()
                elif not intake.cut_last():
                    return False
            elif self._no_room():
                await self._changed.wait()
            else:
                return True
        return False

    async def _text_or_timeout(self) -> None:
        intake = self._intake
        try:
            async with asyncio.timeout(self._limits.text_timeout):
                while not (intake.arrived or intake.ended or self._failed):
                    await self._changed.wait()
        except TimeoutError:
            if intake.arrived or intake.ended:
                return
            self._fail(TimedOut(f"no text came for {self._limits.text_timeout:g} seconds"))

    def _no_room(self) -> bool:
        if self._conversation is not None:
            return self._conversation.has_enough
        if not self._speeches:
            return False
        if self._making >= self._at_a_time or (self._making and not self._speeches[-1].sounding):
            return True
        return self.depth >= self._limits.ahead

    async def _make(self, speech: _Speech, pull: Callable[[_Speech], Awaitable[None]]) -> None:
        try:
            await pull(speech)
            await self._complete(speech)
        except TimeoutError:
            limit = self._limits.engine_timeout
            self._fail(TimedOut(f"engine {self._provider.id!r} made no sound for {limit:g} seconds"), speech)
        except ProviderError as error:
            self._fail(from_provider(error), speech)
        except VoxwireError as error:
            self._fail(error, speech)
        except ListenerGone:
            # Raised where words were told: the caller's doing, not the engine's.
            raise
        except Exception as error:  # noqa: BLE001 - whatever an engine raises is the engine's failure
            failure = EngineError(f"engine {self._provider.id!r} failed")
            failure.__cause__ = error
            self._fail(failure, speech)

    async def _pull(self, speech: _Speech) -> None:
        segment = self._next_segment(speech.text.strip())
        now = self._clock.now
        # An engine's iterator is closed here and nowhere else, also when this task is cancelled between chunks.
        async with (
            aclosing(self._provider.synthesize(segment)) as chunks,
            Deadline(self._limits.engine_timeout) as wait,
        ):
            while True:
                asked = now()
                wait.begin()
                try:
                    chunk = await self._next(chunks)
                finally:
                    wait.end()
                self.engine_time += now() - asked
                if chunk is None:
                    return
                words = [TimedWord(w.text, w.start / self._rate, w.end / self._rate) for w in chunk.words]
                await self._sounded(speech, chunk, words)

    def _next_segment(self, text: str) -> Segment:
        index = self._begun
        self._begun += 1
        return Segment(text, self._voice, self._speed, self._language, index, self._batch, self._options)

    async def _sounded(self, speech: _Speech, chunk: PcmChunk, words: Sequence[TimedWord]) -> None:
        """Take what the engine has made: it waits here while nobody takes it further."""
        if not chunk.pcm or len(chunk.pcm) % SAMPLE_WIDTH:
            raise EngineError(f"engine {self._provider.id!r} answered something that is no PCM")
        if self.first_pcm is None:
            self.first_pcm = self._clock.now()
        seconds = len(chunk.pcm) / (SAMPLE_WIDTH * self._rate)
        self.made += seconds
        if not speech.sounding:
            speech.sounding = True
            self._changed.set()
        await self._tell(self.transcript.made(speech.index, seconds, words))
        await speech.channel.put(chunk, seconds)

    async def _next(self, items: AsyncGenerator[T, None]) -> T | None:
        try:
            return await anext(items, None)
        except asyncio.CancelledError:
            task = asyncio.current_task()
            if task is None or task.cancelling():
                raise
            # The engine's own: this task would end without a word, and its listener wait for ever.
            raise EngineError(f"engine {self._provider.id!r} failed") from None

    async def _complete(self, speech: _Speech) -> None:
        words = self.transcript.complete(speech.index)
        if not speech.sounding:
            self._intake.silent(len(speech.text))
        self._making -= 1
        speech.channel.close()
        self._changed.set()
        await self._tell(words)

    def _fail(self, error: VoxwireError, speech: _Speech | None = None) -> None:
        self._failed = True
        if speech is None:
            speech = _Speech(-1, "", 0.0)
            self._speeches.append(speech)
        else:
            self._making -= 1
        speech.channel.close(error)
        self._arrived.set()
        self._changed.set()

    async def _tell(self, words: Sequence[TimedWord]) -> None:
        if words and self._on_words is not None:
            for estimated, group in groupby(words, attrgetter("estimated")):
                await self._on_words(tuple(group), estimated)

    # ---- a bidirectional engine

    async def _listen(self, speech: _Speech) -> None:
        """Give the engine the text as it asks for it, and take its sound."""
        conversation, engine = self._conversation, self._bidirectional
        assert conversation is not None
        assert engine is not None
        made = 0.0
        async with (
            aclosing(engine.converse(Segments(self._give))) as items,
            Deadline(self._limits.engine_timeout) as wait,
        ):
            while True:
                conversation.begin(wait)
                try:
                    item = await self._next(items)
                finally:
                    self.engine_time += conversation.end()
                if item is None:
                    break
                if isinstance(item, PcmChunk):
                    await self._sounded(speech, item, conversation.words(item.words))
                    self._more_text()
                else:
                    await self._spoken(item, silent=self.made == made)
                    made = self.made
        if not self._given:
            raise EngineError(f"engine {self._provider.id!r} stopped before the end of the text")

    async def _give(self) -> Segment | None:
        """The next segment, when there is one and the engine has not enough. Cancelling it loses nothing."""
        assert self._conversation is not None
        self._conversation.ask()
        try:
            return await self._next_text(self._conversation)
        finally:
            self._conversation.answer()

    async def _next_text(self, conversation: Conversation) -> Segment | None:
        while await self._turn():
            text = self._intake.take()
            if not text:
                return self._next_segment("")
            if speakable(text):
                conversation.give(text)
                return self._next_segment(text)
            conversation.skip(text)
            self._intake.silent(len(text))
            await asyncio.sleep(0)
        self._given = True
        conversation.finish()
        return None

    async def _spoken(self, done: Spoken, *, silent: bool) -> None:
        assert self._conversation is not None
        words, characters = self._conversation.spoken(done)
        if silent:
            self._intake.silent(characters)
        if self._conversation.listening and not self._conversation.owes:
            self.starved = True
        self._more_text()
        await self._tell(words)

    def _more_text(self) -> None:
        """Wake the engine's wait for text, if it may have some now."""
        if self._intake.ready and not self._no_room():
            self._changed.set()

    # ---- the consumer

    async def get(self) -> bytes | None:
        """The next PCM (s16le mono at the voice's rate), or ``None`` when all was spoken. Raises what failed."""
        self.starved = False
        while True:
            while not self._speeches:
                if self._finished:
                    return None
                self.starved = True
                await self._arrived.wait()
            head = self._speeches[0]
            chunk = await (head.channel.get() if self._conversation is None else self._hear(self._conversation, head))
            if chunk is None:
                self._speeches.pop(0)
            self._more_text()
            if chunk is not None:
                return chunk.pcm

    async def _hear(self, conversation: Conversation, head: _Speech) -> PcmChunk | None:
        """While an engine owes nothing, it is the text that is waited for."""
        self.starved = not (head.channel.depth or head.channel.closed or conversation.owes)
        conversation.listening = True
        try:
            return await head.channel.get()
        finally:
            conversation.listening = False
