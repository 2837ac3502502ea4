"""Frames on the socket between the gateway and an engine's process, without the socket.

A frame is the length of its header, the length of its payload (32 bits each, big-endian), the header, a JSON object in
UTF-8, and the payload: PCM, a clip or a voice's prompt.
"""

from __future__ import annotations

import json
import struct
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

_LENGTHS = struct.Struct("!II")
LONGEST_HEADER = 1024 * 1024
"""Bytes. The longest is a list of some thousand voices."""
LONGEST_PAYLOAD = 64 * 1024 * 1024
"""Bytes. The longest is a clip of ten minutes at 48 kHz."""


class Nonsense(Exception):
    """What came is none of what the other side may say. The message is for a log."""


class TooLong(ValueError):
    """A frame is longer than the other side takes."""


@dataclass(frozen=True, slots=True)
class Frame:
    header: dict[str, Any]
    payload: bytes = field(default=b"", repr=False)


def encode(frame: Frame) -> bytes:
    """Raises ``TooLong``, and ``TypeError`` or ``ValueError`` for what JSON does not have."""
    # The standard library's JSON carries lone surrogates, which a caller's text may hold; orjson refuses them.
    header = json.dumps(frame.header, separators=(",", ":")).encode()
    if len(header) > LONGEST_HEADER or len(frame.payload) > LONGEST_PAYLOAD:
        raise TooLong("a frame is too long")
    return b"".join((_LENGTHS.pack(len(header), len(frame.payload)), header, frame.payload))


class Decoder:
    """Bytes as they come, frames as they are whole."""

    def __init__(self) -> None:
        self._held = bytearray()

    def feed(self, data: bytes) -> Iterator[Frame]:
        """The frames that are whole with ``data``. Raises ``Nonsense``; nothing can be decoded then any more."""
        self._held += data
        while (frame := self._next()) is not None:
            yield frame

    def _next(self) -> Frame | None:
        if len(self._held) < _LENGTHS.size:
            return None
        header, payload = _LENGTHS.unpack_from(self._held)
        if header > LONGEST_HEADER or payload > LONGEST_PAYLOAD:
            raise Nonsense(f"a frame of {header} and {payload} bytes")
        start, end = _LENGTHS.size + header, _LENGTHS.size + header + payload
        if len(self._held) < end:
            return None
        frame = Frame(_object(bytes(self._held[_LENGTHS.size : start])), bytes(self._held[start:end]))
        del self._held[:end]
        return frame


def _object(data: bytes) -> dict[str, Any]:
    try:
        found = json.loads(data)
    except (ValueError, RecursionError):
        raise Nonsense("a header that is no JSON") from None
    if not isinstance(found, dict):
        raise Nonsense("a header that is no object")
    return found
