"""One utterance's codes in, its PCM out."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Sequence
from types import TracebackType
from typing import Protocol, Self

import numpy as np
from numpy.typing import NDArray

from audio.snac.course import Course
from audio.snac.errors import DecoderClosed, SnacError, StreamEnded, StreamOverrun
from audio.snac.frames import Frame, Frames
from audio.snac.layout import FRAME_SAMPLES, SAMPLE_RATE
from audio.snac.noise import stage_keys

MAX_WAITING = 8192
"""Frames that may wait to be decoded and taken: eleven minutes of sound, 112 KiB."""
_READY = 2
"""Decoded pieces that nobody took, at which a stream's decoding pauses."""


class Host(Protocol):
    """What a stream needs of its decoder."""

    def enter(self, stream: Stream) -> None: ...
    def leave(self, stream: Stream) -> None: ...
    def look(self, stream: Stream) -> None:
        """Something changed: see whether it has a window to decode."""
        ...

    def now(self) -> float: ...


class Stream:
    """Made by ``Decoder.open`` and used as an async context manager. Leaving it drops whatever is still to be done.

    Belongs to the event loop of its decoder; one task takes from it at a time.
    """

    def __init__(self, host: Host, course: Course, seed: int) -> None:
        self.keys: Sequence[int] = stage_keys(seed)
        self.course = course
        self.frames = Frames()
        self.in_flight = False
        """A window of it is being decoded."""
        self.timer: asyncio.TimerHandle | None = None
        self._host = host
        self._entered = False
        self._ready: deque[NDArray[np.float32]] = deque()
        self._taken = 0
        self._error: SnacError | None = None
        self._changed = asyncio.Event()

    @property
    def waiting(self) -> float:
        """Seconds of sound that were pushed and not yet taken. A caller that sees it grow should stop pushing."""
        return (self.course.received * FRAME_SAMPLES - self._taken) / SAMPLE_RATE

    @property
    def paused(self) -> bool:
        """Nobody takes what is ready, so nothing more is decoded for now."""
        return len(self._ready) >= _READY

    async def __aenter__(self) -> Self:
        """Raises ``DecoderBusy`` or ``DecoderClosed``."""
        self._host.enter(self)
        self._entered = True
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._host.leave(self)
        self.fail(DecoderClosed("this stream was left"))
        self._ready.clear()

    def push(self, frame: Frame) -> None:
        """Take the next frame. Never blocks.

        Raises ``BadFrame``, ``StreamEnded`` after ``finish``, ``StreamOverrun`` beyond ``MAX_WAITING`` frames that
        nobody took, or what the stream has failed with.
        """
        self._check_open()
        if self.course.finished:
            raise StreamEnded("a frame was pushed behind the end of its stream")
        if self.course.received - self._taken // FRAME_SAMPLES >= MAX_WAITING:
            raise StreamOverrun(f"more than {MAX_WAITING} frames wait to be taken")
        self.frames.append(frame)
        self.course.push(self._host.now())
        self._host.look(self)

    def finish(self) -> None:
        """No more frames will come: what is left may go out. Callable twice."""
        self._check_open()
        if not self.course.finished:
            self.course.finish()
            self._changed.set()
            self._host.look(self)

    async def get(self) -> bytes | None:
        """The next piece of PCM, s16le mono at 24 kHz, never empty; ``None`` at the end. Cancelling loses nothing.

        Raises, once what was decoded before is taken, what the stream has failed with: ``DecodeFailed`` or
        ``DecoderClosed``.
        """
        samples = await self.samples()
        return None if samples is None else to_pcm(samples)

    async def samples(self) -> NDArray[np.float32] | None:
        """The same piece as the decoder made it: float samples in -1 to 1. Instead of ``get``, not beside it."""
        while not self._ready:
            if self._error is not None:
                raise self._error
            if self.course.done:
                return None
            self._changed.clear()
            await self._changed.wait()
        piece = self._ready.popleft()
        self._taken += len(piece)
        self._host.look(self)
        return piece

    # ---- the decoder's side

    def deliver(self, samples: NDArray[np.float32]) -> None:
        self._ready.append(samples)
        self._changed.set()

    def fail(self, error: SnacError) -> None:
        """The first failure stands."""
        if self._error is None:
            self._error = error
            self._changed.set()

    @property
    def failed(self) -> bool:
        return self._error is not None

    def _check_open(self) -> None:
        if self._error is not None:
            raise self._error
        if not self._entered:
            raise DecoderClosed("a stream is used inside 'async with'")


def to_pcm(samples: NDArray[np.float32]) -> bytes:
    """Float samples in -1 to 1 as s16le."""
    pcm: bytes = np.rint(samples * np.float32(32767)).astype("<i2").tobytes()
    return pcm
