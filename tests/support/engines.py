"""An engine that does what a test tells it to: no model, no threads, no sleeps.

    engine = Scripted()
    hold = asyncio.Event()
    engine.on("Hello.", Say(sound(100)), Wait(hold), Say(sound(50)))
    engine.on("Bad.", Say(sound(20)), Raise(EngineFailed("it broke")))

A text without a script is two chunks of 100 ms. Through configuration it is
``tests.support.engines:Scripted``, and ``providers.get("scripted")`` is then the instance.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Sequence
from contextlib import aclosing
from dataclasses import dataclass, replace
from typing import ClassVar

from providers.base import (
    SAMPLE_WIDTH,
    BadClip,
    Capabilities,
    Clip,
    EngineUnavailable,
    PcmChunk,
    Segment,
    Spoken,
    UnknownVoice,
    Voice,
    Word,
)

RATE = 24000


def sound(ms: float, level: int = 1000, rate: int = RATE) -> bytes:
    """``ms`` of constant PCM; ``level`` (-32768 to 32767) tells one piece from another."""
    return level.to_bytes(SAMPLE_WIDTH, "little", signed=True) * round(rate * ms / 1000)


@dataclass(frozen=True, slots=True)
class Say:
    """Yield one chunk. An empty or odd ``pcm`` is passed on as it is: that engine lies."""

    pcm: bytes
    words: tuple[Word, ...] = ()


@dataclass(frozen=True, slots=True)
class Wait:
    """Go on when the test sets ``event``; a cancel ends the wait."""

    event: asyncio.Event


@dataclass(frozen=True, slots=True)
class Mark:
    """Tell the test that the engine has come here. A step runs when the chunk after it is pulled."""

    event: asyncio.Event


@dataclass(frozen=True, slots=True)
class Raise:
    """Raise ``error``: as the first step, the segment has made no sound."""

    error: BaseException


@dataclass(frozen=True, slots=True)
class Hang:
    """Never go on, until cancelled."""


@dataclass(frozen=True, slots=True)
class Deaf:
    """Go on when the test sets ``event``, and not sooner if cancelled: an engine in the middle of a chunk."""

    event: asyncio.Event


Step = Say | Wait | Mark | Raise | Hang | Deaf


class Scripted:
    """A provider that plays scripts, and counts.

    Two voices by default, ``one`` and ``two``. ``start_error`` and ``start_gate`` may be set before
    ``start``: it waits for the gate, then raises the error.
    """

    id: ClassVar[str] = "scripted"
    capabilities: ClassVar[Capabilities] = Capabilities(streams=True, speed=True, deterministic=True)

    def __init__(self, *, voices: Sequence[str] = ("one", "two"), sample_rate: int = RATE) -> None:
        self._voices = tuple(Voice(name, name.capitalize(), "en-US", sample_rate) for name in voices)
        self._scripts: dict[str, tuple[Step, ...]] = {}
        self._otherwise: tuple[Step, ...] = (Say(sound(100, rate=sample_rate)),) * 2
        self._idle = asyncio.Event()
        self._idle.set()
        self.start_error: BaseException | None = None
        self.start_gate: asyncio.Event | None = None
        self.segments: list[Segment] = []
        """The segments whose first chunk was asked for, in that order."""
        self.starts = 0
        """Calls of ``start``."""
        self.closes = 0
        """Calls of ``close``."""
        self.chunks = 0
        """Chunks taken, over all segments."""
        self.active = 0
        """Segments begun and not yet over."""
        self.finished = 0
        """Segments that came to the end of their script."""
        self.stopped = 0
        """Segments cancelled in a pull, or closed between two."""
        self.failed = 0
        """Segments ended by a ``Raise``."""

    @property
    def texts(self) -> list[str]:
        return [segment.text for segment in self.segments]

    def on(self, text: str, *steps: Step) -> None:
        """What to do with the segment of exactly this text."""
        self._scripts[text] = steps

    def otherwise(self, *steps: Step) -> None:
        """What to do with every text that has no script. No steps: no sound."""
        self._otherwise = steps

    async def idle(self) -> None:
        """Wait until no segment is active."""
        await self._idle.wait()

    async def start(self) -> None:
        self.starts += 1
        if self.start_gate is not None:
            await self.start_gate.wait()
        if self.start_error is not None:
            raise self.start_error

    async def close(self) -> None:
        self.closes += 1

    async def voices(self) -> Sequence[Voice]:
        return self._voices

    async def synthesize(self, segment: Segment) -> AsyncGenerator[PcmChunk, None]:
        self._check(segment.voice)
        self._begin(segment)
        try:
            for step in self._scripts.get(segment.text, self._otherwise):
                if isinstance(step, Say):
                    self.chunks += 1
                    yield PcmChunk(step.pcm, step.words)
                else:
                    await _do(step)
            self.finished += 1
        except (asyncio.CancelledError, GeneratorExit):
            self.stopped += 1
            raise
        except BaseException:
            self.failed += 1
            raise
        finally:
            self._end()

    def _check(self, voice: Voice) -> None:
        if all(voice.id != known.id for known in self._voices):
            raise UnknownVoice(f"engine {self.id!r} has no such voice")

    def _begin(self, segment: Segment) -> None:
        self.segments.append(segment)
        self.active += 1
        self._idle.clear()

    def _end(self) -> None:
        self.active -= 1
        if not self.active:
            self._idle.set()


async def _do(step: Wait | Mark | Raise | Hang | Deaf) -> None:
    match step:
        case Wait(event):
            await event.wait()
        case Mark(event):
            event.set()
        case Raise(error):
            raise error
        case Hang():
            await asyncio.Event().wait()
        case Deaf(event):
            await _deafly(event)


async def _deafly(event: asyncio.Event) -> None:
    try:
        await event.wait()
    except asyncio.CancelledError:
        await event.wait()
        raise


class Conversing(Scripted):
    """Makes one utterance of all segments of a context: it takes them as they come, and plays the script of each in
    turn (by its text without the white space around it). ``tells`` says when it tells that a segment is spoken: at its
    end, or only with the last one, as an engine does that cannot know.

    ``tests.support.engines:Conversing`` in configuration.
    """

    id: ClassVar[str] = "conversing"

    def __init__(
        self, *, voices: Sequence[str] = ("one", "two"), sample_rate: int = RATE, tells: bool = True, ahead: int = 1000
    ) -> None:
        super().__init__(voices=voices, sample_rate=sample_rate)
        self._tells = tells
        self._ahead = ahead
        self.given: list[str] = []
        """Every text that it took, as it took it; "" is a flush."""
        self.conversations = 0
        self.open = 0
        """Conversations begun and not yet over."""

    async def converse(self, segments: AsyncIterator[Segment]) -> AsyncGenerator[PcmChunk | Spoken, None]:
        self.conversations += 1
        self.open += 1
        taken: asyncio.Queue[Segment | None] = asyncio.Queue(self._ahead)
        taking = asyncio.create_task(self._take(segments, taken))
        spoken = 0
        try:
            while (segment := await taken.get()) is not None:
                async with aclosing(self.synthesize(segment)) as chunks:
                    async for chunk in chunks:
                        yield chunk
                spoken += 1
                if self._tells:
                    yield Spoken(spoken)
        finally:
            self.open -= 1
            taking.cancel()
            await asyncio.wait([taking])

    async def _take(self, segments: AsyncIterator[Segment], taken: asyncio.Queue[Segment | None]) -> None:
        async for segment in segments:
            self.given.append(segment.text)
            if segment.text:
                await taken.put(replace(segment, text=segment.text.strip()))
        await taken.put(None)


class Making(Scripted):
    """Makes voices from clips and descriptions, and speaks with those whose prompt it has made. What it does while it
    makes one is a script too: ``making``.

    ``tests.support.engines:Making`` in configuration.
    """

    id: ClassVar[str] = "making"
    MARK: ClassVar[bytes] = b"made by a test\n"

    def __init__(self, *, voices: Sequence[str] = ("one", "two"), sample_rate: int = RATE, prompt: int = 1000) -> None:
        super().__init__(voices=voices, sample_rate=sample_rate)
        self._rate = sample_rate
        self.making: tuple[Wait | Mark | Raise | Hang | Deaf, ...] = ()
        self.prompt = prompt
        """Bytes of one."""
        self.clips: list[Clip] = []
        self.descriptions: list[tuple[str, str | None]] = []
        self.made = 0
        """Voices that are being made."""
        self.most = 0
        """Of those, at a time."""
        self.clones = self.designs = True

    async def clone(self, clip: Clip) -> Voice:
        self.clips.append(clip)
        return await self._make(f"clip {len(clip.pcm)}")

    async def design(self, description: str, language: str | None = None) -> Voice:
        self.descriptions.append((description, language))
        return await self._make(description)

    async def _make(self, what: str) -> Voice:
        self.made += 1
        self.most = max(self.most, self.made)
        try:
            for step in self.making:
                await _do(step)
        finally:
            self.made -= 1
        prompt = (self.MARK + what.encode()).ljust(self.prompt, b".")
        return Voice("its own", "Its own", "en-GB", self._rate, gender="female", prompt=prompt)

    def _check(self, voice: Voice) -> None:
        if voice.prompt is None:
            super()._check(voice)
        elif not voice.prompt.startswith(self.MARK):
            raise BadClip(f"engine {self.id!r} has not made this voice")


class Places(Making):
    """One that speaks ``places`` utterances at a time. ``tests.support.engines:Places`` in configuration."""

    id: ClassVar[str] = "places"
    places = 1


class Broken(Scripted):
    """Cannot start. ``tests.support.engines:Broken`` in configuration."""

    id: ClassVar[str] = "broken"

    def __init__(self, *, voices: Sequence[str] = ("broken-one",), sample_rate: int = RATE) -> None:
        super().__init__(voices=voices, sample_rate=sample_rate)
        self.start_error = EngineUnavailable("engine 'broken' has no model")
