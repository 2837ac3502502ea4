"""The PCM in what a server answers, which may come in pieces of any length.

Many servers that are asked for PCM answer with a WAV file all the same: its header is taken off. Anything else that is
no PCM (a compressed file, JSON, a page of HTML) would be noise in the listener's ears, and is refused before he hears
any of it.
"""

from __future__ import annotations

import struct

from providers.base import SAMPLE_WIDTH, EngineFailed

_PEEK = 16
"""Bytes that tell what they are the beginning of."""
_WAV = b"RIFF"
_FILES = (b"ID3", b"OggS", b"fLaC", b"\x1aE\xdf\xa3", b"RF64", b"FORM", b".snd")
_TEXT = frozenset(range(0x20, 0x7F)) | frozenset(b"\t\r\n")
_COMPRESSED = frozenset({"audio/mpeg", "audio/mp3", "audio/aac", "audio/aacp", "audio/x-aac"})
_CHUNK = struct.Struct("<4sI")
_FORMAT = struct.Struct("<HHIIHH")
_LONGEST_HEADER = 65_536
_PCM, _EXTENSIBLE = 1, 0xFFFE
_UNKNOWN = 0x7FFFF000
"""While a file is still being made its size is not known: servers write 0, or about the largest there is."""


class Sound:
    """``kind``: the answer's content type. ``rate``: Hz of the samples that are wanted."""

    def __init__(self, kind: str, rate: int) -> None:
        self._kind = kind
        self._rate = rate
        self._held = b""
        self._known = False
        """What is held, and all that follows, is samples."""
        self._left: int | None = None
        """Bytes of samples that are still to come, where a header says it."""

    def push(self, data: bytes) -> bytes:
        """Whole samples, as soon as it is sure that they are some. Raises ``EngineFailed``."""
        self._held += data
        if not self._known and not self._recognise():
            return b""
        whole = len(self._held) - len(self._held) % SAMPLE_WIDTH
        pcm, self._held = self._held[:whole], self._held[whole:]
        if self._left is not None:
            pcm = pcm[: self._left]
            self._left -= len(pcm)
            if not self._left:
                # Behind the samples a file may say who made it.
                self._held = b""
        return pcm

    def finish(self) -> bytes:
        """What was too short to be sure of. Raises ``EngineFailed`` for half a sample, or a header and no more."""
        pcm = b""
        if not self._known and self._held:
            if self._held.startswith(_WAV):
                raise _file()
            self._recognise(last=True)
            pcm = self.push(b"")
        if self._held:
            raise EngineFailed("the speech server ended its answer without a whole sample")
        return pcm

    def _recognise(self, *, last: bool = False) -> bool:
        """Whether what is held is samples. As soon as it can be told: a server may send little at first."""
        held = self._held[:_PEEK]
        if held.startswith(_WAV):
            return self._header()
        if held.startswith(_FILES) or (self._kind in _COMPRESSED and _is_mpeg(held)):
            raise _file()
        text = _TEXT.issuperset(held)
        if text and (last or len(held) == _PEEK):
            raise EngineFailed("the speech server answers with text where sound was asked for")
        self._known = last or not (text or len(held) < 2 or any(magic.startswith(held) for magic in (_WAV, *_FILES)))
        return self._known

    def _header(self) -> bool:
        """Take a WAV's header off, once all of it is there."""
        at = 12
        while len(self._held) >= at + _CHUNK.size:
            name, size = _CHUNK.unpack_from(self._held, at)
            at += _CHUNK.size
            if name == b"data":
                self._known, self._held = True, self._held[at:]
                self._left = size - size % SAMPLE_WIDTH if 0 < size < _UNKNOWN else None
                return True
            if name == b"fmt ":
                if len(self._held) < at + _FORMAT.size:
                    break
                self._check(*_FORMAT.unpack_from(self._held, at))
            at += size + size % 2
            if at > _LONGEST_HEADER:
                raise _file()
        return False

    def _check(self, form: int, channels: int, rate: int, _bytes: int, _width: int, bits: int) -> None:
        if form not in {_PCM, _EXTENSIBLE} or channels != 1 or bits != 8 * SAMPLE_WIDTH:
            raise EngineFailed("the speech server answers with a WAV file that is not 16-bit PCM on one channel")
        check_rate(rate, self._rate)


def check_rate(rate: int, wanted: int) -> None:
    """Raises ``EngineFailed`` where the server's sound would be too high or too low."""
    if rate != wanted:
        raise EngineFailed(
            f"the speech server's sound has {rate} samples a second, and not the {wanted} of its settings"
        )


def _is_mpeg(head: bytes) -> bool:
    """Eleven bits that are set: there a frame of MP3 or AAC begins."""
    return len(head) > 1 and head[0] == 0xFF and head[1] & 0xE0 == 0xE0


def _file() -> EngineFailed:
    return EngineFailed("the speech server answers with a file where PCM was asked for")
