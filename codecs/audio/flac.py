"""FLAC through libavcodec: lossless, with a header that knows neither the length nor the checksum of the sound."""

from __future__ import annotations

from audio.encoder import StreamEncoder
from audio.lavc import Codec

_STREAM_INFO = 0x80
"""The first metadata block, and the last."""


class FlacEncoder(StreamEncoder):
    def __init__(self, sample_rate: int) -> None:
        super().__init__(sample_rate)
        self._codec = Codec("flac", sample_rate, {})
        info = self._codec.extradata
        self._header = b"fLaC" + bytes([_STREAM_INFO]) + len(info).to_bytes(3, "big") + info
        self._fed = False

    def _encode(self, pcm: bytes) -> bytes:
        self._fed = True
        return self._take_header() + b"".join(self._codec.encode(pcm))

    def _finish(self) -> bytes:
        return self._take_header() + (b"".join(self._codec.flush()) if self._fed else b"")

    def _take_header(self) -> bytes:
        head, self._header = self._header, b""
        return head
