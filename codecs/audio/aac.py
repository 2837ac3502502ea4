"""AAC-LC in ADTS through libavcodec: every frame has its own header, and the stream no other."""

from __future__ import annotations

from audio.encoder import StreamEncoder
from audio.lavc import Codec
from audio.pcm import SAMPLE_WIDTH

FRAME = 1024
"""Samples. The encoder is one frame behind, and so is what a decoder gives: ADTS cannot declare it."""
_RATES = (96000, 88200, 64000, 48000, 44100, 32000, 24000, 22050, 16000, 12000, 11025, 8000, 7350)
"""In the order of their index in a header."""
_HEADER_BYTES = 7
# libavcodec's default searches quantisers twice, at almost twice the cost.
_OPTIONS = {"aac_coder": "fast"}


class AacEncoder(StreamEncoder):
    def __init__(self, sample_rate: int, bit_rate: int) -> None:
        super().__init__(sample_rate)
        self._codec = Codec("aac", sample_rate, _OPTIONS, bit_rate=bit_rate, float_samples=True)
        self._index = _RATES.index(sample_rate)
        self._fed = False

    def _encode(self, pcm: bytes) -> bytes:
        self._fed = True
        return self._adts(self._codec.encode(pcm))

    def _finish(self) -> bytes:
        if not self._fed:
            return b""
        # A shorter last frame would be filled in by libavcodec, and not the same way in all its versions.
        silence = bytes(-self._codec.pending % FRAME * SAMPLE_WIDTH)
        return self._adts(self._codec.encode(silence) + self._codec.flush())

    def _adts(self, packets: list[bytes]) -> bytes:
        return b"".join([self._header(len(packet)) + packet for packet in packets])

    def _header(self, payload: int) -> bytes:
        """ISO 14496-3, 1.A.2.2: sync word, MPEG-4 without a checksum, low complexity, one channel, the length."""
        fields: tuple[tuple[int, int], ...] = (
            *((0xFFF1, 16), (1, 2), (self._index, 4), (0, 1), (1, 3), (0, 4)),
            *((payload + _HEADER_BYTES, 13), (0x7FF, 11), (0, 2)),
        )
        bits = 0
        for value, width in fields:
            bits = bits << width | value
        return bits.to_bytes(_HEADER_BYTES, "big")
