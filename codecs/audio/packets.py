"""Packets in a stream of bytes: each has its length in front, two bytes, big-endian, as RFC 4571 has it for RTP."""

from __future__ import annotations

import struct
from collections.abc import Iterable

_LENGTH = struct.Struct("!H")
LENGTH_BYTES = _LENGTH.size


def join(packets: Iterable[bytes]) -> bytes:
    """Raises ``struct.error`` for a packet of more than 65,535 bytes."""
    return b"".join([_LENGTH.pack(len(packet)) + packet for packet in packets])


def split(data: bytes) -> list[bytes]:
    """The packets of ``data``, with their lengths still in front. Raises ``ValueError`` where it ends inside one."""
    found: list[bytes] = []
    at = 0
    while at < len(data):
        end = at + LENGTH_BYTES + (_LENGTH.unpack_from(data, at)[0] if at + LENGTH_BYTES <= len(data) else 0)
        if end > len(data):
            raise ValueError(f"{len(data)} bytes end inside a packet")
        found.append(data[at:end])
        at = end
    return found
