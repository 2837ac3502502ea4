"""Sounds with a known course, and ways to cut them."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
from numpy.typing import NDArray

from audio.stream import AudioStream

AMPLITUDE = 12_000


def chirp(
    sample_rate: int, samples: int, low: float = 200.0, high: float = 3000.0, seconds: float = 2.0
) -> NDArray[np.int16]:
    """A tone that climbs from ``low`` to ``high`` Hz in ``seconds``: the same sound at every rate."""
    t = np.arange(samples) / sample_rate
    phase = 2 * np.pi * (low * t + (high - low) / (2 * seconds) * t**2)
    return np.rint(AMPLITUDE * np.sin(phase)).astype("<i2")


def tone(frequency: float, sample_rate: int, seconds: float = 1.0) -> NDArray[np.int16]:
    t = np.arange(round(sample_rate * seconds)) / sample_rate
    return np.rint(AMPLITUDE * np.sin(2 * np.pi * frequency * t)).astype("<i2")


def noise(samples: int, seed: int = 0) -> NDArray[np.int16]:
    return (np.random.default_rng(seed).standard_normal(samples) * 3000).astype("<i2")


def pieces(pcm: bytes, lengths: Iterable[int]) -> list[bytes]:
    """``pcm`` cut after ``lengths`` samples each; the rest is the last piece."""
    cut, at = [], 0
    for length in lengths:
        cut.append(pcm[at : at + 2 * length])
        at += 2 * length
    return [*cut, pcm[at:]]


def feed(stream: AudioStream, parts: Iterable[bytes]) -> bytes:
    """The whole encoded stream."""
    return b"".join([*(stream.encode(part) for part in parts), stream.finish()])


def rms(wave: NDArray[np.int16] | NDArray[np.float64]) -> float:
    return float(np.sqrt(np.mean(np.square(wave.astype(np.float64)))))
