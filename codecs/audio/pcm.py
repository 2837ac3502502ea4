"""Signed 16-bit little-endian mono PCM: the one shape of sound between the parts of the gateway."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

SAMPLE_WIDTH = 2
"""Bytes a sample."""
AUDIBLE = 104
"""The amplitude from which a sample counts as heard: -50 dB of full scale."""

Samples = NDArray[np.int16]


def samples(pcm: bytes) -> Samples:
    """``pcm`` as an array, not copied. Raises ``ValueError`` where it ends inside a sample."""
    return np.frombuffer(pcm, dtype="<i2", count=count(pcm))


def count(pcm: bytes) -> int:
    """The number of samples. Raises ``ValueError`` where ``pcm`` ends inside one."""
    whole, odd = divmod(len(pcm), SAMPLE_WIDTH)
    if odd:
        raise ValueError(f"{len(pcm)} bytes are not a whole number of 16-bit samples")
    return whole


def duration(pcm: bytes, sample_rate: int) -> float:
    """Seconds of sound."""
    return count(pcm) / sample_rate


def from_float(wave: NDArray[np.floating]) -> bytes:
    """Floats of full scale ±1.0, rounded to the nearest sample; what is louder is clipped, a NaN is silence."""
    scaled = np.rint(np.nan_to_num(np.asarray(wave, np.float32), posinf=1.0, neginf=-1.0) * np.float32(32768))
    clipped: Samples = np.clip(scaled, -32768, 32767).astype("<i2")
    return clipped.tobytes()


def first_audible(pcm: bytes, threshold: int = AUDIBLE) -> int | None:
    """The index of the first sample whose amplitude reaches ``threshold``; ``None`` where all is quieter."""
    wave = samples(pcm)
    heard = (wave >= threshold) | (wave <= -threshold)
    first = int(heard.argmax()) if heard.size else 0
    return first if heard.size and heard[first] else None
