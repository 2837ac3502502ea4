"""Raw PCM: the samples as they are."""

from __future__ import annotations

from audio.encoder import StreamEncoder


class Pcm16Encoder(StreamEncoder):
    def _encode(self, pcm: bytes) -> bytes:
        return pcm
