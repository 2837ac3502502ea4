"""Ogg pages (RFC 3533), as much of them as one Opus stream needs."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Sequence
from enum import IntFlag

MAX_SEGMENTS = 255
_LACE = 255
_CRC_OFFSET = 22
_REVERSED = bytes(int(f"{byte:08b}"[::-1], 2) for byte in range(256))


class Flags(IntFlag):
    NONE = 0
    FIRST = 2
    LAST = 4


class PageWriter:
    """Numbers the pages of one logical stream. ``serial`` tells it from others that follow it in one file."""

    def __init__(self, serial: int) -> None:
        self._serial = serial
        self._sequence = 0

    def page(self, packets: Sequence[bytes], granule: int, flags: Flags = Flags.NONE) -> bytes:
        """One page that holds ``packets`` whole; ``granule`` is the position at the end of the last of them.

        Raises ``ValueError`` where they need more than ``MAX_SEGMENTS`` segments.
        """
        lacing = b"".join(map(_lacing, packets))
        if len(lacing) > MAX_SEGMENTS:
            raise ValueError(f"{len(packets)} packets need {len(lacing)} segments, a page has {MAX_SEGMENTS}")
        fields = (b"OggS", 0, flags, granule, self._serial, self._sequence, 0, len(lacing))
        page = bytearray(struct.pack("<4sBBqIIIB", *fields) + lacing + b"".join(packets))
        struct.pack_into("<I", page, _CRC_OFFSET, _crc(page))
        self._sequence += 1
        return bytes(page)


def segments(packet: bytes) -> int:
    """How many of a page's segments ``packet`` takes."""
    return len(packet) // _LACE + 1


def _lacing(packet: bytes) -> bytes:
    return b"\xff" * (segments(packet) - 1) + bytes([len(packet) % _LACE])


def _crc(page: bytearray) -> int:
    """Ogg's checksum is that of zlib with the bits of every byte in the other order, from 0 and not inverted."""
    reflected = zlib.crc32(page.translate(_REVERSED), 0xFFFFFFFF) ^ 0xFFFFFFFF
    return int.from_bytes(reflected.to_bytes(4, "little").translate(_REVERSED), "big")
