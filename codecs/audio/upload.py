"""A stranger's file on its way to the decoder, and what can be wrong with it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterable, AsyncIterator

from audio import mp4

_HEAD = 8
"""Bytes that tell an MP4 and the length of a wav."""
_UNKNOWN = 0x7FFF0000
"""From here on the size in the header of a wav is one that writers give who do not know it yet."""
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
     └─ DecoderMissing   no ffmpeg here; the sound is not to blame
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


class DecoderMissing(DecodeError):
    pass


class Upload:
    """The file on its way to ffmpeg: counted, and put in an order that can be read from a pipe."""

    def __init__(self, data: bytes | AsyncIterable[bytes], most: int) -> None:
        """Raises ``TooLarge`` where that can be told now."""
        if isinstance(data, bytes):
            _check(len(data), most)
        self._data = data
        self._most = most
        self._size = 0
        self._head = b""
        self._whole = False

    @property
    def cut_off(self) -> bool:
        """It is shorter than it says. Only where it was read to its end."""
        return self._whole and self._size + _SLACK < _declared(self._head)

    async def pieces(self) -> AsyncIterator[bytes]:
        """All of it. Raises ``TooLarge``, and what its source raises."""
        counted = self._counted()
        async for piece in counted:
            self._head += piece
            if len(self._head) >= _HEAD:
                break
        if mp4.is_mp4(self._head):
            # It has to be there as a whole.
            whole = self._head + b"".join([piece async for piece in counted])
            yield await asyncio.to_thread(mp4.index_first, whole)
            return
        yield self._head
        self._head = self._head[:_HEAD]
        async for piece in counted:
            yield piece
        self._whole = True

    async def _counted(self) -> AsyncIterator[bytes]:
        async for piece in _pieces(self._data):
            self._size += len(piece)
            _check(self._size, self._most)
            yield piece


def _declared(head: bytes) -> int:
    """The length of a wav or aiff file by its own account; 0 where it gives none, as a stream does."""
    if head[:4] not in (b"RIFF", b"FORM"):
        return 0
    size = int.from_bytes(head[4:8], "little" if head[:4] == b"RIFF" else "big")
    return size + 8 if size < _UNKNOWN else 0


def _check(size: int, most: int) -> None:
    if size > most:
        raise TooLarge(f"the file is larger than {most} bytes")


async def _pieces(data: bytes | AsyncIterable[bytes]) -> AsyncIterator[bytes]:
    if isinstance(data, bytes):
        yield data
        return
    async for piece in data:
        yield piece
