"""WebM with Opus, as a live stream: no length, no index, a cluster for each piece of sound, nothing to seek back to."""

from __future__ import annotations

import struct
from collections.abc import Sequence

from audio.encoder import StreamEncoder
from audio.opus import CLOCK, PACKETS_A_SECOND, OpusCodec

_PACKET_MS = 1000 // PACKETS_A_SECOND
_CLUSTER = 5 * PACKETS_A_SECOND
"""Packets in a cluster at most: a block's time within it has 15 bits of milliseconds."""
_UNKNOWN_SIZE = b"\x01" + b"\xff" * 7
_TRACK = b"\x81"
_KEYFRAME = 0x80
_SEEK_PRE_ROLL = 80_000_000
"""Nanoseconds that a decoder needs before a place to which it jumps (RFC 7845, 4.6)."""


def _size(length: int) -> bytes:
    """As short as it goes; all bits set is not a length but "unknown"."""
    width = next(width for width in range(1, 9) if length < (1 << 7 * width) - 1)
    return (length | 1 << 7 * width).to_bytes(width, "big")


def _element(identifier: int, payload: bytes) -> bytes:
    return identifier.to_bytes((identifier.bit_length() + 7) // 8, "big") + _size(len(payload)) + payload


def _number(identifier: int, value: int) -> bytes:
    return _element(identifier, value.to_bytes(max(1, (value.bit_length() + 7) // 8), "big"))


def _text(identifier: int, value: str) -> bytes:
    return _element(identifier, value.encode())


def _head(opus_head: bytes, pre_skip: int) -> bytes:
    """All that comes before the first cluster."""
    ebml = _number(0x4286, 1) + _number(0x42F7, 1) + _number(0x42F2, 4) + _number(0x42F3, 8)
    ebml += _text(0x4282, "webm") + _number(0x4287, 4) + _number(0x4285, 2)
    info = _number(0x2AD7B1, 1_000_000) + _text(0x4D80, "Voxwire") + _text(0x5741, "Voxwire")
    sound = _element(0xB5, struct.pack(">d", CLOCK)) + _number(0x9F, 1)
    track = _number(0xD7, 1) + _number(0x73C5, 1) + _number(0x83, 2) + _number(0x9C, 0)
    track += _text(0x86, "A_OPUS") + _element(0x63A2, opus_head) + _element(0xE1, sound)
    track += _number(0x56AA, _nanoseconds(pre_skip)) + _number(0x56BB, _SEEK_PRE_ROLL)
    segment = b"\x18\x53\x80\x67" + _UNKNOWN_SIZE
    return (
        _element(0x1A45DFA3, ebml) + segment + _element(0x1549A966, info) + _element(0x1654AE6B, _element(0xAE, track))
    )


def _nanoseconds(samples: int) -> int:
    return round(samples * 1_000_000_000 / CLOCK)


def _cluster(blocks: Sequence[bytes], start: int) -> bytes:
    """``start`` in milliseconds."""
    return _element(0x1F43B675, _number(0xE7, start) + b"".join(blocks))


def _block(packet: bytes, time: int) -> bytes:
    return _element(0xA3, _TRACK + struct.pack(">hB", time, _KEYFRAME) + packet)


def _last_block(packet: bytes, time: int, excess: int) -> bytes:
    """A block whose last ``excess`` samples are not to be played."""
    padding = _nanoseconds(excess)
    discard = _element(0x75A2, padding.to_bytes(padding.bit_length() // 8 + 1, "big", signed=True))
    return _element(0xA0, _element(0xA1, _TRACK + struct.pack(">hB", time, 0) + packet) + discard)


class WebmEncoder(StreamEncoder):
    """What a browser's MediaSource takes, piece by piece, as ``audio/webm; codecs=opus``."""

    def __init__(self, sample_rate: int, bit_rate: int) -> None:
        super().__init__(sample_rate)
        self._opus = OpusCodec(sample_rate, bit_rate)
        self._packets = 0
        self._begun = False

    def _encode(self, pcm: bytes) -> bytes:
        return self._begin() + self._clusters(self._opus.encode(pcm))

    def _finish(self) -> bytes:
        made = self._opus.finish()
        return self._begin() + self._clusters(made, excess=self._opus.position - self._opus.end)

    def _begin(self) -> bytes:
        if self._begun:
            return b""
        self._begun = True
        return _head(self._opus.head, self._opus.pre_skip)

    def _clusters(self, packets: list[bytes], excess: int = 0) -> bytes:
        """``excess`` above 0: ``packets`` are the stream's last, and reach so far beyond its sound."""
        clusters: list[bytes] = []
        for first in range(0, len(packets), _CLUSTER):
            group = packets[first : first + _CLUSTER]
            blocks = [_block(packet, index * _PACKET_MS) for index, packet in enumerate(group)]
            if excess and first + len(group) == len(packets):
                blocks[-1] = _last_block(group[-1], (len(group) - 1) * _PACKET_MS, excess)
            clusters.append(_cluster(blocks, self._packets * _PACKET_MS))
            self._packets += len(group)
        return b"".join(clusters)
