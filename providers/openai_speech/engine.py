"""The provider: a request for each segment."""

from __future__ import annotations

import asyncio
import logging
import re
from collections.abc import AsyncGenerator, Mapping, Sequence
from typing import Any, ClassVar

import aiohttp

from providers.base import (
    SAMPLE_WIDTH,
    BadOption,
    Capabilities,
    EngineFailed,
    EngineUnavailable,
    PcmChunk,
    Segment,
    UnknownVoice,
    Voice,
)
from providers.openai_speech import listing
from providers.openai_speech.server import Server, refusal
from providers.openai_speech.settings import PREFIX, OpenAISpeechSettings, read
from providers.openai_speech.sound import Sound, check_rate

log = logging.getLogger(__name__)

_PIECE = 16_384
_LONGEST_INSTRUCTIONS = 4096
"""Characters, as OpenAI has it."""
_RATE = re.compile("[0-9]{1,9}")
_RATES = ("x-sample-rate", "x-audio-sample-rate")
"""Headers in which servers say how many samples a second they send."""


class OpenAISpeech:
    """``POST {url}/audio/speech`` with ``response_format: pcm``: s16le mono at ``sample_rate``."""

    id: ClassVar[str] = "openai_speech"
    capabilities: ClassVar[Capabilities] = Capabilities(streams=True, speed=True)
    option_names: ClassVar[frozenset[str]] = frozenset({"instructions"})

    def __init__(self, settings: OpenAISpeechSettings | None = None) -> None:
        self._settings = settings or read()
        self._voices = tuple(self._voice(name) for name in self._settings.voices or ("alloy",))
        self._server: Server | None = None

    @property
    def places(self) -> int:
        return self._settings.places

    async def start(self) -> None:
        """Connect, and learn the voices where none are configured. Raises ``EngineUnavailable``."""
        # One of its own each time: one that was closed stays so.
        self._server = server = Server(self._settings)
        try:
            if not self._settings.voices:
                self._voices = await self._listed(server) or self._voices
        except BaseException as error:
            # Also where the start is cancelled: nobody else has its connections.
            await self.close()
            if isinstance(error, EngineFailed):
                raise EngineUnavailable(str(error), retry_after=1.0) from None
            raise

    async def close(self) -> None:
        server, self._server = self._server, None
        if server is not None:
            await server.close()

    async def voices(self) -> Sequence[Voice]:
        return self._voices

    def check(self, options: Mapping[str, Any]) -> Mapping[str, Any]:
        if unknown := options.keys() - self.option_names:
            raise BadOption(f"engine {self.id!r} has no option {min(unknown)[:40]!r}; it has: instructions")
        instructions = options.get("instructions", "")
        if not isinstance(instructions, str):
            raise BadOption("instructions must be a string")
        if len(instructions) > _LONGEST_INSTRUCTIONS:
            raise BadOption(f"instructions have {_LONGEST_INSTRUCTIONS} characters at most")
        return {name: _sendable(value) for name, value in options.items()}

    async def synthesize(self, segment: Segment) -> AsyncGenerator[PcmChunk, None]:
        if self._server is None:
            raise EngineUnavailable(f"engine {self.id!r} is closed")
        if all(segment.voice.id != voice.id for voice in self._voices):
            raise UnknownVoice(f"engine {self.id!r} has no such voice")
        if not any(map(str.isalnum, segment.text)):
            return
        body = {
            **self._settings.extra,
            "model": self._settings.model,
            "voice": segment.voice.id,
            "input": _sendable(segment.text),
            "response_format": self._settings.response_format,
            "speed": segment.speed,
            **segment.options,
        }
        left = self._most_bytes(segment)
        async with self._server.answer("POST", "audio/speech", body) as answer:
            sound = self._sound(answer)
            async for came in answer.content.iter_chunked(_PIECE):
                if pcm := sound.push(came):
                    left -= len(pcm)
                    if left < 0:
                        raise EngineFailed("the speech server goes on for longer than any voice would take")
                    yield PcmChunk(pcm)
            if pcm := sound.finish():
                yield PcmChunk(pcm)
            elif left == self._most_bytes(segment):
                raise EngineFailed("the speech server ended its answer without a whole sample")

    def _most_bytes(self, segment: Segment) -> int:
        """What is more cannot be this text: a second a character is some fifteen times what a voice takes."""
        seconds = 30 + len(segment.text) / min(segment.speed, 1.0)
        return round(seconds * self._settings.sample_rate) * SAMPLE_WIDTH

    def _sound(self, answer: aiohttp.ClientResponse) -> Sound:
        """Raises what an answer that is no sound means."""
        kind, rate = answer.content_type, self._settings.sample_rate
        if answer.status != 200:
            log.warning("the speech server answered %d, %s", answer.status, kind)
            raise refusal(answer.status, answer.headers)
        if kind == "application/json" or kind.endswith("+json"):
            log.warning("the speech server answered JSON instead of sound")
            raise EngineFailed("the speech server answers with JSON where sound was asked for (status 200)")
        if (said := _rate(answer)) is not None:
            check_rate(said, rate)
        return Sound(kind, rate)

    async def _listed(self, server: Server) -> tuple[Voice, ...]:
        """The voices of the server, or none where it has no list."""
        for path in listing.PATHS:
            async with server.answer("GET", path) as answer, asyncio.timeout(self._settings.read_timeout):
                names = await self._names(answer)
            if names:
                return tuple(map(self._voice, names))
        return ()

    async def _names(self, answer: aiohttp.ClientResponse) -> list[str]:
        status = answer.status
        if status in {401, 403}:
            raise refusal(status, answer.headers)
        if status == 429 or (status >= 500 and status != 501):
            # A server that is still starting; with a voice that it has not it would fail for good.
            raise EngineUnavailable(
                f"the speech server does not tell its voices now (status {status}); {PREFIX}VOICES can name some",
                retry_after=1.0,
            )
        if status != 200 or answer.content_type != "application/json":
            return []
        data = bytearray()
        async for piece in answer.content.iter_chunked(_PIECE):
            data += piece
            if len(data) > listing.MOST_BYTES:
                raise EngineUnavailable(f"the speech server's list of voices has no end; name some in {PREFIX}VOICES")
        return listing.names(bytes(data))

    def _voice(self, name: str) -> Voice:
        return Voice(name, name, self._settings.language, self._settings.sample_rate)


def _rate(answer: aiohttp.ClientResponse) -> int | None:
    """Hz of the samples, where the answer says it: ``audio/L16; rate=24000``, or a header of its own."""
    _, _, parameters = answer.headers.get("content-type", "").partition(";")
    said = [value for name, _, value in (one.strip().partition("=") for one in parameters.split(";")) if name == "rate"]
    said += [answer.headers[name] for name in _RATES if name in answer.headers]
    return int(said[0]) if said and _RATE.fullmatch(said[0]) else None


def _sendable(text: str) -> str:
    """JSON has no lone surrogates, and nobody says them."""
    return text.encode("utf-8", "ignore").decode()
