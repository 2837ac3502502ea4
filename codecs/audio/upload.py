"""A stranger's file on its way to the decoder, and what can be wrong with it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterable
from typing import Literal

from audio import mp4

_HEAD = 28
"""Bytes that tell an MP4, and the length of what has it in front."""
_UNKNOWN = 0x7FFF0000
"""From here on a size of 32 bits in a header is one that writers give who do not know it yet."""
_SLACK = 8
"""Some writers count the first 8 bytes too."""


class DecodeError(Exception):
    """The message is a sentence for whoever sent the sound; nothing of the machine or of the sound stands in it.

    DecodeError
     ├─ TooLarge         more bytes than may be sent
     ├─ TooLong          more seconds of sound than may be sent
     ├─ NotAudio         no sound that can be read
     │   └─ Damaged      there is sound, but not all of it can be read
     ├─ TimedOut         took too long to arrive or to decode
     ├─ Busy             too much else is being decoded; the sound is not to blame
     └─ DecoderMissing   no ffmpeg here; the sound is not to blame either
    """


class TooLarge(DecodeError):
    pass


class TooLong(DecodeError):
    pass


class NotAudio(DecodeError):
    pass


class Damaged(NotAudio):
    pass


class TimedOut(DecodeError):
    pass


class Busy(DecodeError):
    pass


class DecoderMissing(DecodeError):
    pass


class Upload:
    """The file on its way to ffmpeg: counted, and put in an order that can be read from a pipe."""

    def __init__(self, data: bytes | AsyncIterable[bytes], most: int) -> None:
        """Raises ``TooLarge`` where that can be told now."""
        self._data = data
        self._most = most
        self._size = 0
        self._head = b""
        self._whole = False
        if isinstance(data, bytes):
            self._check(len(data))

    @property
    def cut_off(self) -> bool:
        """It is shorter than it says. Only where it was read to its end."""
        return self._whole and self._size + _SLACK < _declared(self._head)

    async def pieces(self) -> AsyncGenerator[bytes, None]:
        """All of it. Raises ``TooLarge``, and what its source raises; an async generator is closed at the end."""
        source = _once(self._data) if isinstance(self._data, bytes) else self._data
        held = bytearray()
        try:
            async for piece in source:
                self._size += len(piece)
                self._check(self._size)
                held += piece
                if not self._head and self._size >= _HEAD:
                    self._head = bytes(held[:_HEAD])
                # An MP4 has to be there as a whole.
                if self._head and not mp4.is_mp4(self._head):
                    yield bytes(held)
                    held.clear()
            if held:
                yield await asyncio.to_thread(_in_order, bytes(held))
            self._whole = True
        finally:
            if isinstance(source, AsyncGenerator):
                await source.aclose()

    def _check(self, size: int) -> None:
        if size > self._most:
            raise TooLarge(f"the file is larger than {self._most} bytes")


def _declared(head: bytes) -> int:
    """The length of a file by its own account; 0 or less where it gives none, as a stream does, or not in front."""
    match head[:4]:
        case b"RIFF":
            return 8 + _size(head[4:8], "little")
        case b"FORM":
            return 8 + _size(head[4:8], "big")
        case b".snd":
            return int.from_bytes(head[4:8], "big") + _size(head[8:12], "big")
        case b"RF64":
            return 8 + int.from_bytes(head[20:28], "little", signed=True)
        case b"riff":
            return int.from_bytes(head[16:24], "little", signed=True)
        case _:
            return 0


def _size(field: bytes, order: Literal["little", "big"]) -> int:
    size = int.from_bytes(field, order)
    return size if size < _UNKNOWN else -_UNKNOWN


def _in_order(data: bytes) -> bytes:
    return mp4.index_first(data) if mp4.is_mp4(data) else data


async def _once(data: bytes) -> AsyncGenerator[bytes, None]:
    yield data
