"""Any server with OpenAI's speech API as an engine: Kokoro-FastAPI, vLLM-Omni, speaches, a cloud account, a Voxwire.

Its PCM is streamed on as it comes.
"""

from __future__ import annotations

import logging
from collections.abc import AsyncGenerator, AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Annotated, Any, ClassVar

import aiohttp
import orjson
from pydantic import Field, SecretStr, ValidationError, field_validator
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

from providers.base import (
    SAMPLE_WIDTH,
    BadOption,
    Capabilities,
    EngineBusy,
    EngineFailed,
    EngineUnavailable,
    PcmChunk,
    Segment,
    UnknownVoice,
    Voice,
)

log = logging.getLogger(__name__)

PREFIX = "VOXWIRE_OPENAI_SPEECH_"
_LISTINGS = ("audio/voices", "voices")
"""Where servers list their voices, below the address; OpenAI's own has no list."""
_MOST_VOICES = 1000
_LISTING_BYTES = 1 << 20
_PIECE = 16_384
_READ_AHEAD = 32_768
"""Bytes that are read from the server before somebody takes them: two thirds of a second at 24 kHz."""


class OpenAISpeechSettings(BaseSettings):
    """``docs/engines/openai-speech.md`` has a row for each field; a test holds the two together."""

    model_config = SettingsConfigDict(env_prefix=PREFIX, env_file=".env", extra="ignore", frozen=True)

    url: str = "http://127.0.0.1:8880/v1"
    api_key: SecretStr | None = None
    model: str = "tts-1"
    voices: Annotated[tuple[str, ...], NoDecode] = ()
    language: str = "en"
    sample_rate: int = Field(24_000, ge=8000, le=48_000)
    places: int = Field(16, ge=1)
    connect_timeout: float = Field(5.0, gt=0)
    read_timeout: float = Field(30.0, gt=0)
    extra: dict[str, Any] = Field(default_factory=dict)

    @field_validator("voices", mode="before")
    @classmethod
    def _split(cls, value: object) -> object:
        if isinstance(value, str):
            return tuple(part.strip() for part in value.split(",") if part.strip())
        return value

    @field_validator("url")
    @classmethod
    def _address(cls, url: str) -> str:
        if not url.startswith(("http://", "https://")):
            raise ValueError("an address such as http://127.0.0.1:8880/v1")
        return url.rstrip("/")


class OpenAISpeech:
    """``POST {url}/audio/speech`` with ``response_format: pcm``: s16le mono at ``sample_rate``."""

    id: ClassVar[str] = "openai_speech"
    capabilities: ClassVar[Capabilities] = Capabilities(streams=True, speed=True)
    option_names: ClassVar[frozenset[str]] = frozenset({"instructions"})

    def __init__(self, settings: OpenAISpeechSettings | None = None) -> None:
        self._settings = settings or _read()
        self._voices = tuple(self._voice(name) for name in self._settings.voices or ("alloy",))
        self._http: aiohttp.ClientSession | None = None

    @property
    def places(self) -> int:
        return self._settings.places

    async def start(self) -> None:
        """Connect, and learn the voices where none are configured. Raises ``EngineUnavailable``."""
        settings = self._settings
        key = settings.api_key.get_secret_value() if settings.api_key else None
        # A session of its own each time: one that was closed stays so.
        self._http = aiohttp.ClientSession(
            headers={"authorization": f"Bearer {key}"} if key else None,
            timeout=aiohttp.ClientTimeout(
                total=None, sock_connect=settings.connect_timeout, sock_read=settings.read_timeout
            ),
            connector=aiohttp.TCPConnector(limit=settings.places * 2),
            read_bufsize=_READ_AHEAD,
        )
        try:
            if not settings.voices:
                self._voices = await self._listed() or self._voices
        except BaseException:
            await self.close()
            raise

    async def close(self) -> None:
        http, self._http = self._http, None
        if http is not None:
            await http.close()

    async def voices(self) -> Sequence[Voice]:
        return self._voices

    def check(self, options: Mapping[str, Any]) -> Mapping[str, Any]:
        if unknown := options.keys() - self.option_names:
            raise BadOption(f"engine {self.id!r} has no option {min(unknown)[:40]!r}; it has: instructions")
        if not isinstance(options.get("instructions", ""), str):
            raise BadOption("instructions must be a string")
        return options

    async def synthesize(self, segment: Segment) -> AsyncGenerator[PcmChunk, None]:
        if all(segment.voice.id != voice.id for voice in self._voices):
            raise UnknownVoice(f"engine {self.id!r} has no such voice")
        if not any(map(str.isalnum, segment.text)):
            return
        body = {
            **self._settings.extra,
            "model": self._settings.model,
            "voice": segment.voice.id,
            "input": segment.text,
            "response_format": "pcm",
            "speed": segment.speed,
            **segment.options,
        }
        async with self._answer("POST", "audio/speech", body) as answer:
            self._check(answer)
            whole, left = False, b""
            async for came in answer.content.iter_chunked(_PIECE):
                data = left + came
                cut = len(data) - len(data) % SAMPLE_WIDTH
                left = data[cut:]
                if cut:
                    if not whole and data.startswith((b"RIFF", b"ID3", b"OggS", b"fLaC")):
                        raise EngineFailed("the speech server answers with a file where PCM was asked for")
                    whole = True
                    yield PcmChunk(data[:cut])
            if not whole or left:
                raise EngineFailed("the speech server ended its answer without a whole sample")

    # ---- the server

    @asynccontextmanager
    async def _answer(self, method: str, path: str, body: Any = None) -> AsyncIterator[aiohttp.ClientResponse]:
        """One request. Whatever goes wrong with the connection becomes an error of the engine's."""
        if self._http is None:
            raise EngineUnavailable(f"engine {self.id!r} is closed")
        data = None if body is None else orjson.dumps(_sendable(body))
        headers = {} if data is None else {"content-type": "application/json"}
        try:
            url = f"{self._settings.url}/{path}"
            async with self._http.request(method, url, data=data, headers=headers, allow_redirects=False) as answer:
                yield answer
        except aiohttp.ClientConnectorError as error:
            log.warning("the speech server cannot be reached: %s", error)
            raise EngineUnavailable("the speech server cannot be reached", retry_after=1.0) from None
        except TimeoutError:
            raise EngineUnavailable("the speech server does not answer", retry_after=1.0) from None
        except aiohttp.ClientError as error:
            log.warning("the speech server broke off: %r", error)
            raise EngineFailed("the speech server broke off its answer") from None

    def _check(self, answer: aiohttp.ClientResponse) -> None:
        """Raises what an answer that is no sound means."""
        status = answer.status
        if status == 200 and answer.content_type != "application/json":
            return
        log.warning("the speech server answered %d, %s", status, answer.content_type)
        if status in {429, 503}:
            raise EngineBusy("the speech server has no room now", retry_after=_seconds(answer.headers) or 1.0)
        if status in {401, 403}:
            raise EngineFailed("the speech server refuses the key of this gateway")
        if status == 404:
            raise EngineFailed("the speech server has no such model, or no speech at this address")
        raise EngineFailed(f"the speech server refused the text (status {status})")

    async def _listed(self) -> tuple[Voice, ...]:
        """The voices of the server, or none where it has no list."""
        for path in _LISTINGS:
            async with self._answer("GET", path) as answer:
                if answer.status in {401, 403}:
                    raise EngineUnavailable("the speech server refuses the key of this gateway")
                if answer.status == 200 and answer.content_type == "application/json":
                    return tuple(map(self._voice, _names(await answer.content.read(_LISTING_BYTES))))
        return ()

    def _voice(self, name: str) -> Voice:
        return Voice(name, name, self._settings.language, self._settings.sample_rate)


def _names(data: bytes) -> list[str]:
    """The ids of a listing: of strings or of objects, bare or below ``voices`` or ``data``."""
    try:
        listing = orjson.loads(data)
    except orjson.JSONDecodeError:
        return []
    if isinstance(listing, dict):
        listing = listing.get("voices") or listing.get("data") or []
    ids = (row if isinstance(row, str) else _id(row) for row in listing) if isinstance(listing, list) else ()
    return list(dict.fromkeys(name for name in ids if name))[:_MOST_VOICES]


def _id(row: Any) -> str:
    if not isinstance(row, dict):
        return ""
    name = row.get("id") or row.get("voice_id") or row.get("name")
    return name if isinstance(name, str) else ""


def _sendable(body: dict[str, Any]) -> dict[str, Any]:
    """JSON has no lone surrogates, and nobody says them."""
    return {**body, "input": body["input"].encode("utf-8", "ignore").decode()}


def _seconds(headers: Mapping[str, str]) -> float | None:
    try:
        return max(0.0, float(headers.get("retry-after", "")))
    except ValueError:
        return None


def _read() -> OpenAISpeechSettings:
    try:
        return OpenAISpeechSettings()
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        name = PREFIX + "_".join(map(str, first["loc"])).upper()
        raise EngineUnavailable(f"{name} is wrong: {first['msg']}") from None
