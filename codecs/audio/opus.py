"""Ogg Opus (RFC 7845) through libopus: packets of 20 ms, the pre-skip and the exact end written into the stream."""

from __future__ import annotations

import os
import random
import struct
from collections.abc import Iterator
from contextlib import contextmanager

import av
from av.audio.codeccontext import AudioCodecContext

from audio.encoder import StreamEncoder
from audio.ogg import MAX_SEGMENTS, Flags, PageWriter, segments
from audio.pcm import SAMPLE_WIDTH

BIT_RATE = 32_000
_GRANULE_RATE = 48_000
"""Positions in Ogg Opus count samples at 48 kHz, whatever the rate of the sound."""
_PACKETS_A_SECOND = 50
_PACKET_GRANULE = _GRANULE_RATE // _PACKETS_A_SECOND
# "audio" codes speech at this bit rate with CELT alone; "voip" adds SILK, at more than twice the cost.
_OPTIONS = {"application": "audio", "compression_level": "5"}
_VENDOR = b"libopus"


class OpusEncoder(StreamEncoder):
    """``serial`` names the stream among others in one file; a random one is taken without it."""

    def __init__(self, sample_rate: int, serial: int | None = None) -> None:
        super().__init__(sample_rate)
        self._codec = _open(sample_rate)
        self._head = self._codec.extradata or b""
        # RFC 7845, 5.1: what a decoder drops at the start, because the encoder looks ahead.
        self._pre_skip: int = struct.unpack_from("<H", self._head, 10)[0]
        self._ogg = PageWriter(random.getrandbits(32) if serial is None else serial)
        self._packet_bytes = sample_rate // _PACKETS_A_SECOND * SAMPLE_WIDTH
        self._pending = bytearray()
        self._samples = 0
        self._granule = 0
        self._begun = False
        self._warm = False

    def _encode(self, pcm: bytes) -> bytes:
        self._samples += len(pcm) // SAMPLE_WIDTH
        self._pending += pcm
        return self._begin() + self._pages(self._packets())

    def _finish(self) -> bytes:
        # Silence pushes the last samples through the encoder's look-ahead; the last page's position cuts it off.
        end = self._pre_skip + self._samples * _GRANULE_RATE // self.sample_rate
        packets = -(-(end - self._granule) // _PACKET_GRANULE)
        self._pending += bytes(packets * self._packet_bytes - len(self._pending))
        return self._begin() + self._pages(self._packets(), end)

    def _begin(self) -> bytes:
        """The two header pages, once."""
        if self._begun:
            return b""
        self._begun = True
        tags = b"OpusTags" + struct.pack("<I", len(_VENDOR)) + _VENDOR + struct.pack("<I", 0)
        return self._ogg.page([self._head], 0, Flags.FIRST) + self._ogg.page([tags], 0)

    def _packets(self) -> list[bytes]:
        """Encode every whole packet's worth of what is pending."""
        size = self._packet_bytes
        whole = len(self._pending) // size * size
        pieces = [bytes(self._pending[at : at + size]) for at in range(0, whole, size)]
        del self._pending[:whole]
        return [self._packet(piece) for piece in pieces]

    def _packet(self, pcm: bytes) -> bytes:
        frame = av.AudioFrame(format="s16", layout="mono", samples=len(pcm) // SAMPLE_WIDTH)
        frame.sample_rate = self.sample_rate
        frame.planes[0].update(pcm)
        if self._warm:
            (packet,) = self._codec.encode(frame)
        else:
            with _one_core():
                (packet,) = self._codec.encode(frame)
            self._warm = True
        return bytes(packet)

    def _pages(self, packets: list[bytes], end: int | None = None) -> bytes:
        """As few pages as hold ``packets``. ``end``: they are the stream's last, and its sound ends there."""
        pages: list[bytes] = []
        page: list[bytes] = []
        room = MAX_SEGMENTS
        for packet in packets:
            if segments(packet) > room:
                pages.append(self._ogg.page(page, self._granule))
                page, room = [], MAX_SEGMENTS
            page.append(packet)
            room -= segments(packet)
            self._granule += _PACKET_GRANULE
        if end is not None:
            pages.append(self._ogg.page(page, end, Flags.LAST))
        elif page:
            pages.append(self._ogg.page(page, self._granule))
        return b"".join(pages)


@contextmanager
def _one_core() -> Iterator[None]:
    """Let this thread see one core only.

    For its first frame PyAV builds a filter graph that starts a thread for every core it sees, for each stream,
    and has no setting for it. Where the system has no such call the threads are harmless but many.
    """
    if not hasattr(os, "sched_setaffinity"):
        yield
        return
    cores = os.sched_getaffinity(0)
    try:
        os.sched_setaffinity(0, {min(cores)})
        yield
    finally:
        os.sched_setaffinity(0, cores)


def _open(sample_rate: int) -> AudioCodecContext:
    codec = av.CodecContext.create("libopus", "w")
    codec.sample_rate = sample_rate
    codec.layout = "mono"
    codec.format = "s16"
    codec.bit_rate = BIT_RATE
    codec.options = _OPTIONS
    codec.open()
    return codec
