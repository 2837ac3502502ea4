"""ITU-T G.711, µ-law and A-law: a byte a sample, by a table over all 16-bit values.

G.711 is defined by its decision values, on 14 bits (µ-law) or 13 (A-law); a 16-bit sample is compared with them
without being rounded first. A sample right on a decision value goes where the ITU's G.191 and Sun's g711.c put it.
"""

from __future__ import annotations

from functools import cache

import numpy as np
from numpy.typing import NDArray

from audio.encoder import StreamEncoder

_Codes = NDArray[np.uint8]
_MULAW_BIAS = 33
_MULAW_MAX = 0x1FFF


def _all_samples() -> NDArray[np.int32]:
    """Every 16-bit value, in the order of its bits read as unsigned: the order of the tables."""
    return np.arange(1 << 16, dtype=np.uint16).view(np.int16).astype(np.int32)


def _log2(values: NDArray[np.int32]) -> NDArray[np.int32]:
    """The position of the highest bit that is set; the values are positive."""
    return np.frexp(values)[1].astype(np.int32) - 1


@cache
def mulaw_table() -> _Codes:
    wave = _all_samples()
    biased = np.minimum((np.abs(wave) >> 2) + _MULAW_BIAS, _MULAW_MAX)
    exponent = _log2(biased) - 5
    mantissa = (biased >> (exponent + 1)) & 0x0F
    sign = np.where(wave < 0, 0x80, 0)
    codes: _Codes = (~(sign | (exponent << 4) | mantissa) & 0xFF).astype(np.uint8)
    return codes


@cache
def alaw_table() -> _Codes:
    wave = _all_samples()
    magnitude = np.where(wave < 0, ~wave, wave) >> 3
    exponent = np.maximum(_log2(np.maximum(magnitude, 1)) - 4, 0)
    mantissa = (magnitude >> np.maximum(exponent, 1)) & 0x0F
    sign = np.where(wave < 0, 0, 0x80)
    # The even bits travel inverted.
    codes: _Codes = ((sign | (exponent << 4) | mantissa) ^ 0x55).astype(np.uint8)
    return codes


class _TableEncoder(StreamEncoder):
    def __init__(self, sample_rate: int, table: _Codes) -> None:
        super().__init__(sample_rate)
        self._table = table

    def _encode(self, pcm: bytes) -> bytes:
        codes: _Codes = self._table[np.frombuffer(pcm, dtype="<u2")]
        return codes.tobytes()


class MulawEncoder(_TableEncoder):
    def __init__(self, sample_rate: int) -> None:
        super().__init__(sample_rate, mulaw_table())


class AlawEncoder(_TableEncoder):
    def __init__(self, sample_rate: int) -> None:
        super().__init__(sample_rate, alaw_table())
