"""An engine that hums: a sine tone as long as the text would take to say.

It needs nothing and costs almost nothing: tests compare against it, and benchmarks that drive it measure the
gateway and not an engine.
"""

from __future__ import annotations

import asyncio
import math
from collections.abc import AsyncGenerator, Sequence
from typing import ClassVar

import numpy as np

from providers.base import (
    SAMPLE_WIDTH,
    Capabilities,
    EngineUnavailable,
    PcmChunk,
    Segment,
    UnknownVoice,
    Voice,
)

_PITCHES = {"en-US-mock-1": 400, "en-US-mock-2": 800}
_MS_PER_CHARACTER = 60
_SHORTEST_MS = 100
_FADE_MS = 5
_LEVEL = 0.3 * 32767


class _Wave:
    """One pitch as a table of which any stretch of a tone is a slice, and the faded ends that all tones
    share.

    That they do is why a cycle is a whole number of samples and a tone a whole number of cycles.
    """

    def __init__(self, pitch: int, rate: int, longest_slice: int) -> None:
        self.period = round(rate / pitch)
        self.fade = rate * _FADE_MS // 1000
        cycles = math.ceil(max(longest_slice, self.fade) / self.period) + 1
        tone = np.sin(2 * np.pi * np.arange(cycles * self.period) / self.period) * _LEVEL
        rise = np.arange(self.fade) / self.fade
        self._table = tone.astype("<i2").tobytes()
        self._head = (tone[: self.fade] * rise).astype("<i2").tobytes()
        self._tail = (tone[-self.fade :] * rise[::-1]).astype("<i2").tobytes()

    def slice(self, start: int, stop: int, total: int) -> bytes:
        """Samples ``start`` to ``stop`` of a tone of ``total`` samples."""
        offset = start % self.period * SAMPLE_WIDTH
        pcm = self._table[offset : offset + (stop - start) * SAMPLE_WIDTH]
        if start == 0:
            pcm = self._head + pcm[len(self._head) :]
        fading = total - self.fade
        if stop > fading:
            kept = max(0, fading - start)
            tail = self._tail[(start + kept - fading) * SAMPLE_WIDTH : (stop - fading) * SAMPLE_WIDTH]
            pcm = pcm[: kept * SAMPLE_WIDTH] + tail
        return pcm


class Tone:
    """60 ms of sound a character. ``sample_rate`` in Hz, 8000 to 48000; ``chunk_ms`` 10 to 1000."""

    id: ClassVar[str] = "mock_tone"
    capabilities: ClassVar[Capabilities] = Capabilities(streams=True, speed=True, deterministic=True)

    def __init__(self, *, sample_rate: int = 24000, chunk_ms: int = 100) -> None:
        if not 8000 <= sample_rate <= 48000:
            raise ValueError("sample_rate must be 8000 to 48000 Hz")
        if not 10 <= chunk_ms <= 1000:
            raise ValueError("chunk_ms must be 10 to 1000")
        self._rate = sample_rate
        self._chunk = sample_rate * chunk_ms // 1000
        self._waves = {voice: _Wave(pitch, sample_rate, self._chunk) for voice, pitch in _PITCHES.items()}
        self._voices = tuple(
            Voice(voice, f"Tone, {pitch} Hz", "en-US", sample_rate, description="A sine tone, for tests.")
            for voice, pitch in _PITCHES.items()
        )
        self._closed = False

    async def start(self) -> None:
        self._closed = False

    async def close(self) -> None:
        self._closed = True

    async def voices(self) -> Sequence[Voice]:
        return self._voices

    async def synthesize(self, segment: Segment) -> AsyncGenerator[PcmChunk, None]:
        wave = self._waves.get(segment.voice.id)
        if wave is None:
            raise UnknownVoice(f"engine {self.id!r} has no such voice; it has: {', '.join(_PITCHES)}")
        total = self._length(segment, wave.period)
        for start in range(0, total, self._chunk):
            # A pull that never suspends would let a consumer that never waits keep the loop, and no cancel
            # would reach it: each chunk gives way once, which is all the waiting there is.
            await asyncio.sleep(0)
            if self._closed:
                raise EngineUnavailable(f"engine {self.id!r} is closed")
            yield PcmChunk(wave.slice(start, min(start + self._chunk, total), total))

    def _length(self, segment: Segment, period: int) -> int:
        """Samples, in whole cycles; 0 where the text has nothing to say, as with an engine that speaks."""
        if not any(map(str.isalnum, segment.text)):
            return 0
        ms = max(_SHORTEST_MS, len(segment.text) * _MS_PER_CHARACTER / segment.speed)
        return math.ceil(ms * self._rate / 1000 / period) * period
