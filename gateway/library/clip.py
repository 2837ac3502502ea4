"""What a voice may be made from: a stranger's file, however it comes, as sound that an engine can trust."""

from __future__ import annotations

import asyncio
import binascii
from collections.abc import AsyncIterable, Collection
from dataclasses import dataclass
from importlib import import_module
from typing import TYPE_CHECKING

import numpy as np
import pybase64

from audio.decode import Busy, Decoded, DecodeError, DecodeLimits, Decoder, DecoderMissing
from gateway.errors import BadClip, Internal, Overloaded
from providers.base import Clip

if TYPE_CHECKING:
    from gateway.library.fetch import Fetcher

SAMPLE_RATE = 24_000
"""Hz of a clip: no engine hears more of a voice."""
SHORTEST = 1.0
"""Seconds."""
_WINDOW = SAMPLE_RATE // 10
_SILENT = 16.0
"""How far half of the samples of a tenth of a second are from its middle, at least, where it is not silent: about what
noise of -60 dB of full scale has."""
_HEARD = 5
"""Tenths of a second that are not silent, at least."""
_FETCHES = 4
"""Files that are fetched at a time."""
MAX_BASE64 = 4 * 1024 * 1024
"""Bytes of a file as base64: JSON is read at one go, and nothing else happens meanwhile."""
_SPACE = b" \t\r\n"


@dataclass(frozen=True, slots=True)
class Base64:
    """A file as standard base64; line breaks and blanks in it are skipped."""

    text: str


@dataclass(frozen=True, slots=True)
class Url:
    """A file on the public internet."""

    address: str


Source = Base64 | Url | bytes | AsyncIterable[bytes]
"""Bytes, or pieces of them, are a file as it was uploaded."""


class Clips:
    """Files of at most ``most`` bytes and ``longest`` seconds, from ``ports`` where they are fetched; ``at_once`` are
    decoded at a time."""

    def __init__(
        self, *, most: int, longest: float, ports: Collection[int] = (80, 443), at_once: int = 2, waiting: int = 16
    ) -> None:
        self.fetcher: Fetcher | None = None
        """Made when the first file is fetched."""
        self._most = most
        self._ports = ports
        self._decoder = Decoder(at_once, waiting, DecodeLimits(input_bytes=most, seconds=longest))
        self._fetching = asyncio.Semaphore(_FETCHES)

    async def hear(self, source: Source, transcript: str | None = None) -> Clip:
        """The sound in it. Raises ``BadClip``, ``BadUrl`` or ``Overloaded``, or what the source raises."""
        decoded = await self._decoded(await self._file(source))
        if decoded.duration < SHORTEST:
            raise BadClip(f"the clip is shorter than {SHORTEST:g} second")
        if await asyncio.to_thread(_silent, decoded.pcm):
            raise BadClip("there is nothing to hear in the clip")
        return Clip(decoded.pcm, decoded.sample_rate, transcript)

    async def close(self) -> None:
        if self.fetcher is not None:
            await self.fetcher.close()

    async def _fetch(self, address: str) -> bytes:
        # On a thread: it takes a while to import, and most gateways never need it.
        module = await asyncio.to_thread(import_module, "gateway.library.fetch")
        if self.fetcher is None:
            self.fetcher = module.Fetcher(self._most, ports=self._ports)
        # As a whole before it is decoded: a slow server keeps nobody from the decoder.
        async with self._fetching:
            return await self.fetcher.fetch(address)

    async def _file(self, source: Source) -> bytes | AsyncIterable[bytes]:
        match source:
            case Base64(text):
                return self._plain(text)
            case Url(address):
                return await self._fetch(address)
            case _:
                return source

    def _plain(self, text: str) -> bytes:
        most = min(self._most, MAX_BASE64)
        # Four characters are three bytes; the rest is room for line breaks.
        if len(text) > most * 3 // 2:
            raise BadClip(f"the file is larger than {most} bytes: this is all that is taken as base64")
        try:
            # In one go: a file may be sent with a line break behind each character.
            plain = text.encode("ascii").translate(None, _SPACE)
            return pybase64.b64decode(plain, validate=True)
        except (binascii.Error, ValueError):
            raise BadClip("the clip is not base64") from None

    async def _decoded(self, file: bytes | AsyncIterable[bytes]) -> Decoded:
        try:
            return await self._decoder.decode(file, sample_rate=SAMPLE_RATE)
        except Busy as error:
            raise Overloaded(str(error), retry_after=5.0) from None
        except DecoderMissing as error:
            raise Internal(str(error)) from error
        except DecodeError as error:
            raise BadClip(str(error)) from None


def _silent(pcm: bytes) -> bool:
    """Whether less than half a second of it can be heard. A constant is silent, however large it is, and so is one with
    steps in it: numbers that are none become that."""
    samples = np.frombuffer(pcm, "<i2").astype(np.float32)
    windows = samples[: len(samples) // _WINDOW * _WINDOW].reshape(-1, _WINDOW)
    away = np.abs(windows - np.median(windows, axis=1, keepdims=True))
    return int((np.median(away, axis=1) >= _SILENT).sum()) < _HEARD
