"""Raw PCM as 32-bit floats, little-endian, of full scale ±1.0."""

from __future__ import annotations

import numpy as np

from audio.encoder import StreamEncoder
from audio.pcm import samples

_SCALE = np.float32(1 / 32768)


class PcmF32leEncoder(StreamEncoder):
    def _encode(self, pcm: bytes) -> bytes:
        return (samples(pcm) * _SCALE).astype("<f4", copy=False).tobytes()
