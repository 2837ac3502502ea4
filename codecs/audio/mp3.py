"""MP3 through LAME: bare frames at a constant bit rate, no Xing frame and no ID3 tag."""

from __future__ import annotations

import lameenc

from audio.encoder import StreamEncoder

_QUALITY = 7
"""LAME's scale from 0 (best) to 9; 5 costs half of what 2 does."""


class Mp3Encoder(StreamEncoder):
    def __init__(self, sample_rate: int, bit_rate: int) -> None:
        super().__init__(sample_rate)
        lame = lameenc.Encoder()
        lame.silence()
        lame.set_channels(1)
        lame.set_in_sample_rate(sample_rate)
        # Without it LAME picks an output rate to its own taste.
        lame.set_out_sample_rate(sample_rate)
        lame.set_bit_rate(bit_rate // 1000)
        lame.set_quality(_QUALITY)
        self._lame = lame
        self._fed = False

    def _encode(self, pcm: bytes) -> bytes:
        self._fed = True
        return bytes(self._lame.encode(pcm))

    def _finish(self) -> bytes:
        # lameenc refuses to flush what was never begun.
        return bytes(self._lame.flush()) if self._fed else b""
