"""WAV: a header of 44 bytes, then raw PCM."""

from __future__ import annotations

import struct

from audio.encoder import StreamEncoder
from audio.pcm import SAMPLE_WIDTH

_HEADER_BYTES = 44
_UNKNOWN = 0xFFFFFFFF
_PCM = 1
_MONO = 1


def header(sample_rate: int, samples: int | None = None) -> bytes:
    """The header of a mono 16-bit file of ``samples`` samples.

    ``None``: the length is not known yet. Both sizes are then the largest there are, which ffmpeg and
    browsers read as "until the data ends". Raises ``ValueError`` for more than the 4 GiB that WAV can hold.
    """
    size = _UNKNOWN if samples is None else samples * SAMPLE_WIDTH
    riff_size = _UNKNOWN if samples is None else size + _HEADER_BYTES - 8
    if riff_size > _UNKNOWN:
        raise ValueError(f"{samples} samples are more than a WAV file can hold")
    byte_rate = sample_rate * SAMPLE_WIDTH
    form = (_PCM, _MONO, sample_rate, byte_rate, SAMPLE_WIDTH, SAMPLE_WIDTH * 8)
    return struct.pack("<4sI4s4sIHHIIHH4sI", b"RIFF", riff_size, b"WAVE", b"fmt ", 16, *form, b"data", size)


class WavEncoder(StreamEncoder):
    def __init__(self, sample_rate: int) -> None:
        super().__init__(sample_rate)
        self._header = header(sample_rate)

    def _encode(self, pcm: bytes) -> bytes:
        return self._take_header() + pcm

    def _finish(self) -> bytes:
        return self._take_header()

    def _take_header(self) -> bytes:
        head, self._header = self._header, b""
        return head
