"""Text in, PCM out: segments are given to the engine one after the other, the next one ahead of time.

Two segments at most are being made at a time, and the second only once the first has begun to sound, so that one
long text does not take an engine's places from other sessions' first words. What is made and not yet taken is
bounded in seconds; the engine is pulled chunk by chunk, so a listener who does not listen stops it.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping, Sequence
from contextlib import aclosing
from dataclasses import dataclass
from typing import Any

from gateway.clock import Clock
from gateway.errors import EngineError, ListenerGone, TextTooLong, TimedOut, VoxwireError, from_provider
from gateway.pipeline.alignment import TimedWord, Transcript
from gateway.pipeline.channel import Channel, Signal
from gateway.pipeline.deadline import Deadline
from gateway.pipeline.segmenter import Segmenter, speakable
from providers.base import SAMPLE_WIDTH, PcmChunk, Provider, ProviderError, Segment, Voice

_PIECE = 1000
"""Characters that are segmented at once: about 2 ms."""

OnWords = Callable[[Sequence[TimedWord], bool], Awaitable[None]]
_AT_A_TIME = 2


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
        self._on_words = on_words
        longest = min(limits.segment, provider.capabilities.max_characters)
        self._segmenter = Segmenter(first_characters=min(limits.first_segment, longest), max_characters=longest)
        self._arrivals: deque[tuple[str, bool]] = deque()
        self._texts: deque[str] = deque()
        self._waiting = 0
        self._silent = 0
        self._ended = False
        self._begun = 0
        self._speeches: list[_Speech] = []
        self._making = 0
        self._failed = False
        self._finished = False
        self._changed = Signal()
        self._arrived = Signal()
        self.transcript = Transcript()
        self.engine_time = 0.0
        """Seconds spent waiting for the engine."""
        self.made = 0.0
        """Seconds of sound that the engine has made."""
        self.first_pcm: float | None = None
        """When the first PCM came from the engine (clock seconds)."""
        self.starved = False
        """The PCM that was taken last had to be waited for because there was no text to speak."""

    # ---- text

    def text(self, text: str, *, flush: bool = False) -> None:
        """Add text. Raises ``TextTooLong`` when more would wait than the limit, and then takes nothing of it."""
        # What made no sound held nobody back: it counts for good, or text without sound would pile up for ever.
        if self._waiting + self._silent + len(text) > self._limits.text:
            raise TextTooLong(
                f"more than {self._limits.text} characters would wait to be spoken; "
                "send text as it is spoken, or in several contexts"
            )
        self._waiting += len(text)
        self._arrive(text, flush)
        self._changed.set()

    def _arrive(self, text: str, flush: bool) -> None:
        """Small pieces are joined, so that what waits is bounded in memory as it is in characters."""
        if self._arrivals:
            last, flushed = self._arrivals[-1]
            if flushed and not text:
                return
            if not flushed and len(last) < _PIECE:
                self._arrivals[-1] = (last + text, flush)
                return
        self._arrivals.append((text, flush))

    def end(self) -> None:
        """No more text will come."""
        self._ended = True
        self._changed.set()

    async def _segment(self) -> None:
        """Cut a piece of what has come into segments. All at once, a long text would stop every other session."""
        text, flush = self._arrivals.popleft()
        if len(text) > _PIECE:
            self._arrivals.appendleft((text[_PIECE:], flush))
            text, flush = text[:_PIECE], False
        self._texts.extend(self._segmenter.feed(text))
        if flush:
            self._texts.extend(self._segmenter.flush())
        if not self._texts:
            await asyncio.sleep(0)

    def unspoken(self) -> str:
        """Text that has come and that the engine was not given yet."""
        rest = "".join(self._segmenter.flush())
        return "".join(self._texts) + rest + "".join(text for text, _ in self._arrivals)

    # ---- the engine

    @property
    def depth(self) -> float:
        """Seconds of sound that are made and not yet taken."""
        return sum(speech.channel.depth for speech in self._speeches)

    async def run(self) -> None:
        """Speak until the text ends. Errors of the engine reach the consumer after the sound that came before."""
        async with asyncio.TaskGroup() as group:
            while await self._turn():
                # Nothing is awaited between the queue and the transcript: a cancel finds all text in one of them.
                text = self._texts.popleft()
                self._waiting -= len(text)
                speech = _Speech(self.transcript.add(text), text, self._limits.ahead / self._at_a_time)
                self._making += 1
                if not speakable(text):
                    await self._complete(speech)
                    await asyncio.sleep(0)
                    continue
                self._speeches.append(speech)
                self._arrived.set()
                group.create_task(self._make(speech))
            self._finished = True
            self._arrived.set()

    async def _turn(self) -> bool:
        """Wait until there is text to speak and room for its sound. False when nothing more is to be spoken."""
        while not self._failed:
            if not self._texts:
                if self._arrivals:
                    await self._segment()
                elif not self._ended:
                    await self._text_or_timeout()
                elif self._segmenter.pending:
                    self._texts.extend(self._segmenter.flush())
                else:
                    return False
            elif self._no_room():
                await self._changed.wait()
            else:
                return True
        return False

    async def _text_or_timeout(self) -> None:
        try:
            async with asyncio.timeout(self._limits.text_timeout):
                while not (self._arrivals or self._ended or self._failed):
                    await self._changed.wait()
        except TimeoutError:
            if self._arrivals or self._ended:
                return
            self._fail(TimedOut(f"no text came for {self._limits.text_timeout:g} seconds"))

    def _no_room(self) -> bool:
        if not self._speeches:
            return False
        if self._making >= self._at_a_time or (self._making and not self._speeches[-1].sounding):
            return True
        return self.depth >= self._limits.ahead

    async def _make(self, speech: _Speech) -> None:
        try:
            await self._pull(speech)
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
        text, index = speech.text.strip(), self._begun
        segment = Segment(text, self._voice, self._speed, self._language, index, self._batch, self._options)
        self._begun += 1
        rate = self._voice.sample_rate
        now = self._clock.now
        # An engine's iterator is closed here and nowhere else, also when this task is cancelled between chunks.
        async with (
            aclosing(self._provider.synthesize(segment)) as chunks,
            Deadline(self._limits.engine_timeout) as wait,
        ):
            while True:
                asked = now()
                chunk = await self._next_chunk(chunks, wait)
                came = now()
                self.engine_time += came - asked
                if chunk is None:
                    return
                if not chunk.pcm or len(chunk.pcm) % SAMPLE_WIDTH:
                    raise EngineError(f"engine {self._provider.id!r} answered something that is no PCM")
                if self.first_pcm is None:
                    self.first_pcm = came
                seconds = len(chunk.pcm) / (SAMPLE_WIDTH * rate)
                self.made += seconds
                if not speech.sounding:
                    speech.sounding = True
                    self._changed.set()
                native = [TimedWord(w.text, w.start / rate, w.end / rate) for w in chunk.words]
                await self._tell(self.transcript.made(speech.index, seconds, native))
                await speech.channel.put(chunk, seconds)

    async def _next_chunk(self, chunks: AsyncGenerator[PcmChunk, None], wait: Deadline) -> PcmChunk | None:
        wait.begin()
        try:
            return await anext(chunks, None)
        except asyncio.CancelledError:
            task = asyncio.current_task()
            if task is None or task.cancelling():
                raise
            # The engine's own: this task would end without a word, and its listener wait for ever.
            raise EngineError(f"engine {self._provider.id!r} failed") from None
        finally:
            wait.end()

    async def _complete(self, speech: _Speech) -> None:
        words = self.transcript.complete(speech.index)
        if not speech.sounding:
            self._silent += len(speech.text)
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
            await self._on_words(words, not self._provider.capabilities.native_words)

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
            chunk = await head.channel.get()
            if chunk is None:
                self._speeches.pop(0)
            if self._texts and not self._no_room():
                self._changed.set()
            if chunk is not None:
                return chunk.pcm
