"""How long an engine takes to speak: what several parts of the bench ask of an engine in this process."""

from __future__ import annotations

import time
from collections.abc import Sequence
from contextlib import aclosing
from dataclasses import dataclass
from operator import attrgetter
from statistics import median

from providers.base import SAMPLE_WIDTH, Provider, Segment


@dataclass(frozen=True)
class Take:
    """One utterance, in seconds."""

    first: float
    whole: float
    sound: float
    pieces: int = 0

    @property
    def factor(self) -> float:
        """The real-time factor."""
        return self.whole / self.sound

    @property
    def each(self) -> float:
        """Seconds for each piece after the first."""
        return (self.whole - self.first) / max(1, self.pieces - 1)


async def spoken(engine: Provider, segment: Segment) -> Take:
    began, first, size, pieces = time.perf_counter(), 0.0, 0, 0
    async with aclosing(engine.synthesize(segment)) as chunks:
        async for chunk in chunks:
            first = first or time.perf_counter() - began
            size += len(chunk.pcm)
            pieces += 1
    whole = time.perf_counter() - began
    return Take(first, whole, size / SAMPLE_WIDTH / segment.voice.sample_rate, pieces)


def part(ours: Sequence[Take], their: Sequence[Take], what: str) -> float:
    """``what`` of ours as a part of theirs: the median of what each round says."""
    return median(own / other for own, other in _pairs(ours, their, what))


def more(ours: Sequence[Take], their: Sequence[Take], what: str) -> float:
    """``what`` of ours beyond theirs, in seconds: the median of what each round says."""
    return median(own - other for own, other in _pairs(ours, their, what))


def _pairs(ours: Sequence[Take], their: Sequence[Take], what: str) -> list[tuple[float, float]]:
    found = attrgetter(what)
    return [(found(own), found(other)) for own, other in zip(ours, their, strict=True)]
