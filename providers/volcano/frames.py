"""The binary frames of the service's WebSockets, version 1 and 3. Pure: bytes in, frames out, and back.

    byte 0   version (1) and length of the header in units of four bytes
    byte 1   kind of message and flags: has a sequence number (1), is the last (2), has an event (4)
    byte 2   serialization (0 raw, 1 JSON) and compression (0 none, 1 gzip)
    byte 3   reserved
    then     i32 sequence · u32 error code · i32 event and the id that it is about (u32 length, UTF-8), as there are
    then     u32 length, payload

All integers are big-endian; the length is the compressed one. A client that starts or finishes its connection names
no id. Source: documents 6561/1329505, 6561/1719100 and 6561/1257584 of the vendor, and its own demo code.
"""

from __future__ import annotations

import gzip
import struct
import zlib
from dataclasses import dataclass
from enum import IntEnum, IntFlag

LONGEST = 16 * 1024 * 1024
"""Bytes of a payload, as it is unpacked."""

_VERSION = 1
_UNIT = 4
_U32 = struct.Struct(">I")
_I32 = struct.Struct(">i")


class FrameError(ValueError):
    """These bytes are no frame, or this frame cannot be written."""


class Kind(IntEnum):
    REQUEST = 0x1
    AUDIO_UP = 0x2
    RESPONSE = 0x9
    AUDIO = 0xB
    FRONTEND = 0xC
    ERROR = 0xF


class Flags(IntFlag):
    NONE = 0
    SEQUENCE = 1
    LAST = 2
    EVENT = 4


class Serialization(IntEnum):
    RAW = 0
    JSON = 1
    THRIFT = 3
    CUSTOM = 15


class Compression(IntEnum):
    NONE = 0
    GZIP = 1


class Event(IntEnum):
    START_CONNECTION = 1
    FINISH_CONNECTION = 2
    CONNECTION_STARTED = 50
    CONNECTION_FAILED = 51
    CONNECTION_FINISHED = 52
    START_SESSION = 100
    CANCEL_SESSION = 101
    FINISH_SESSION = 102
    SESSION_STARTED = 150
    SESSION_CANCELED = 151
    SESSION_FINISHED = 152
    SESSION_FAILED = 153
    USAGE = 154
    TASK_REQUEST = 200
    SENTENCE_START = 350
    SENTENCE_END = 351
    AUDIO = 352
    ENDED = 359
    SUBTITLE = 364


_WITHOUT_ID = frozenset({Event.START_CONNECTION, Event.FINISH_CONNECTION})


@dataclass(frozen=True, slots=True)
class Frame:
    """``payload`` is unpacked. ``event`` may be one that ``Event`` does not know; ``id`` is a session's or, for an
    event of the connection, the connection's. ``code`` is there where ``kind`` is ``ERROR``, ``sequence`` and ``event``
    where ``flags`` say so."""

    kind: Kind
    flags: Flags = Flags.NONE
    payload: bytes = b""
    event: int | None = None
    id: str | None = None
    sequence: int | None = None
    code: int | None = None
    serialization: Serialization = Serialization.JSON
    compression: Compression = Compression.NONE


def request(event: Event, payload: bytes = b"{}", session: str | None = None) -> Frame:
    """What a client says, in the bidirectional protocol."""
    return Frame(Kind.REQUEST, Flags.EVENT, payload, event, session)


# ---- writing


def encode(frame: Frame, *, compressed_at: int = 0) -> bytes:
    """The bytes of a frame; gzip writes ``compressed_at`` (seconds since 1970) into them. Raises ``FrameError``."""
    if len(frame.payload) > LONGEST:
        raise FrameError(f"a payload has at most {LONGEST} bytes")
    payload = frame.payload
    if frame.compression is Compression.GZIP:
        payload = gzip.compress(payload, mtime=compressed_at)
    first = bytes(
        (
            _VERSION << 4 | 1,
            frame.kind << 4 | frame.flags,
            frame.serialization << 4 | frame.compression,
            0,
        )
    )
    return b"".join((first, *_fields(frame), _U32.pack(len(payload)), payload))


def _fields(frame: Frame) -> list[bytes]:
    fields: list[bytes] = []
    try:
        if frame.kind is Kind.ERROR:
            fields.append(_U32.pack(_given(frame.code, "an error needs its code")))
        elif frame.flags & Flags.SEQUENCE:
            fields.append(_I32.pack(_given(frame.sequence, "a sequence number is missing")))
        if frame.flags & Flags.EVENT:
            event = _given(frame.event, "an event is missing")
            fields.append(_I32.pack(event))
            if event not in _WITHOUT_ID:
                about = (frame.id or "").encode()
                fields += (_U32.pack(len(about)), about)
    except struct.error:
        raise FrameError("a number of the frame has more than 32 bits") from None
    except UnicodeEncodeError:
        raise FrameError("an id is no UTF-8") from None
    return fields


def _given(value: int | None, otherwise: str) -> int:
    if value is None:
        raise FrameError(otherwise)
    return value


# ---- reading


def decode(data: bytes) -> Frame:
    """The frame that ``data`` is. Raises ``FrameError``."""
    if len(data) < _UNIT:
        raise FrameError("a frame has at least four bytes")
    if data[0] >> 4 != _VERSION:
        raise FrameError("only version 1 of the protocol is known")
    header = (data[0] & 15) * _UNIT
    if header < _UNIT:
        raise FrameError("the header is too short")
    try:
        kind = Kind(data[1] >> 4)
        serialization = Serialization(data[2] >> 4)
        compression = Compression(data[2] & 15)
    except ValueError:
        raise FrameError("the kind, the serialization or the compression of a frame is unknown") from None
    if data[1] & 8:
        raise FrameError("the flags of a frame are unknown")
    flags = Flags(data[1] & 7)
    reader = _Reader(data, header)
    code = sequence = event = about = None
    if kind is Kind.ERROR:
        code = reader.number(_U32)
    elif flags & Flags.SEQUENCE:
        sequence = reader.number(_I32)
    if flags & Flags.EVENT:
        event = reader.number(_I32)
        if event not in _WITHOUT_ID:
            about = reader.text()
    payload = reader.rest()
    if compression is Compression.GZIP:
        payload = _unpacked(payload)
    if len(payload) > LONGEST:
        raise FrameError(f"a payload has at most {LONGEST} bytes")
    return Frame(kind, flags, payload, event, about, sequence, code, serialization, compression)


class _Reader:
    """Reads one field after another."""

    __slots__ = ("_at", "_data")

    def __init__(self, data: bytes, at: int) -> None:
        self._data = data
        self._at = at

    def number(self, form: struct.Struct) -> int:
        try:
            (value,) = form.unpack_from(self._data, self._at)
        except struct.error:
            raise FrameError("a frame is cut short") from None
        self._at += form.size
        return int(value)

    def text(self) -> str:
        length = self.number(_U32)
        field = self._data[self._at : self._at + length]
        if len(field) < length:
            raise FrameError("a frame is cut short")
        self._at += length
        try:
            return field.decode()
        except UnicodeDecodeError:
            raise FrameError("an id is no UTF-8") from None

    def rest(self) -> bytes:
        """The payload, which is all that follows."""
        length = self.number(_U32)
        if len(self._data) - self._at != length:
            raise FrameError("a payload has not the length that its frame says")
        return self._data[self._at :]


def _unpacked(payload: bytes) -> bytes:
    if not payload:
        return payload
    unpack = zlib.decompressobj(wbits=zlib.MAX_WBITS | 16)
    try:
        found = unpack.decompress(payload, LONGEST + 1)
    except zlib.error:
        raise FrameError("a payload is no gzip") from None
    if len(found) <= LONGEST and (not unpack.eof or unpack.unused_data):
        raise FrameError("a payload is no whole gzip stream")
    return found
