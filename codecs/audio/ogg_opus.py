"""Ogg Opus (RFC 7845): the pre-skip and the exact end are written into the stream."""

from __future__ import annotations

import random
import struct

from audio.encoder import StreamEncoder
from audio.ogg import MAX_SEGMENTS, Flags, PageWriter, segments
from audio.opus import PACKET, OpusCodec

_VENDOR = b"libopus"


class OggOpusEncoder(StreamEncoder):
    """``serial`` names the stream among others in one file; a random one is taken without it."""

    def __init__(self, sample_rate: int, bit_rate: int, serial: int | None = None) -> None:
        super().__init__(sample_rate)
        self._opus = OpusCodec(sample_rate, bit_rate)
        self._ogg = PageWriter(random.getrandbits(32) if serial is None else serial)
        self._granule = 0
        self._begun = False

    def _encode(self, pcm: bytes) -> bytes:
        return self._begin() + self._pages(self._opus.encode(pcm))

    def _finish(self) -> bytes:
        return self._begin() + self._pages(self._opus.finish(), self._opus.end)

    def _begin(self) -> bytes:
        """The two header pages, once."""
        if self._begun:
            return b""
        self._begun = True
        tags = b"OpusTags" + struct.pack("<I", len(_VENDOR)) + _VENDOR + struct.pack("<I", 0)
        return self._ogg.page([self._opus.head], 0, Flags.FIRST) + self._ogg.page([tags], 0)

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
            self._granule += PACKET
        if end is not None:
            pages.append(self._ogg.page(page, end, Flags.LAST))
        elif page:
            pages.append(self._ogg.page(page, self._granule))
        return b"".join(pages)
