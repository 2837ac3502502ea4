"""Opus through libopus: sound as packets of 20 ms. What they travel in is the business of the containers."""

from __future__ import annotations

import struct

from audio import packets
from audio.encoder import StreamEncoder
from audio.lavc import Codec
from audio.pcm import SAMPLE_WIDTH, count

CLOCK = 48_000
"""Hz. Decoders give this rate and containers count at it, whatever the rate of the sound."""
PACKETS_A_SECOND = 50
PACKET = CLOCK // PACKETS_A_SECOND
"""Samples of a packet, on the codec's clock."""
# "audio" codes speech at these bit rates with CELT alone; "voip" adds SILK, at more than twice the cost.
_OPTIONS = {"application": "audio", "compression_level": "5"}
# After some seconds of zeros libopus computes with denormal numbers, at ten times the cost. It filters a constant out.
_SILENCE = b"\x01\x00"


class OpusCodec:
    """The packets of one stream, and where its sound begins and ends in them."""

    def __init__(self, sample_rate: int, bit_rate: int) -> None:
        self._codec = Codec("libopus", sample_rate, _OPTIONS, bit_rate=bit_rate, silence=_SILENCE)
        self._rate = sample_rate
        self._samples = 0
        self.head = self._codec.extradata
        """The identification header of RFC 7845, 5.1."""
        self.pre_skip: int = struct.unpack_from("<H", self.head, 10)[0]
        """Samples on the codec's clock, by which the decoded sound is late: the encoder looks ahead."""
        self.position = 0
        """Of the end of the last packet, on the codec's clock."""

    @property
    def end(self) -> int:
        """Where the sound taken so far ends, on the codec's clock."""
        return self.pre_skip + self._samples * CLOCK // self._rate

    def encode(self, pcm: bytes) -> list[bytes]:
        self._samples += count(pcm)
        return self._encode(pcm)

    def finish(self) -> list[bytes]:
        """Silence pushes the last samples through the look-ahead; ``end`` says where a decoder has to stop."""
        missing = -(-(self.end - self.position) // PACKET)
        silence = missing * (self._rate // PACKETS_A_SECOND) - self._codec.pending
        return self._encode(bytes(silence * SAMPLE_WIDTH))

    def _encode(self, pcm: bytes) -> list[bytes]:
        made = self._codec.encode(pcm)
        self.position += len(made) * PACKET
        return made


class OpusPacketsEncoder(StreamEncoder):
    """Bare packets, each with its length in front: for a listener that has a decoder or a packet network."""

    def __init__(self, sample_rate: int, bit_rate: int) -> None:
        super().__init__(sample_rate)
        self._opus = OpusCodec(sample_rate, bit_rate)
        self._fed = False

    def _encode(self, pcm: bytes) -> bytes:
        self._fed = True
        return packets.join(self._opus.encode(pcm))

    def _finish(self) -> bytes:
        return packets.join(self._opus.finish()) if self._fed else b""
