"""The services that answer a request: version 3 unidirectional, whose sound comes as it is made, and version 1, which
answers when all of it is made."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncGenerator, AsyncIterator, Iterator, Mapping
from contextlib import asynccontextmanager
from typing import Any

import aiohttp
import pybase64

from providers.base import ProviderError
from providers.volcano.answers import Objects, Sentence, refusal, sentence, table, words
from providers.volcano.connection import log_refusal
from providers.volcano.credentials import Credentials
from providers.volcano.errors import OK, OK_V1, Denied, Refusal, broken, late, unreachable
from providers.volcano.pool import Pool
from providers.volcano.requests import Asking
from providers.volcano.settings import VolcanoSettings

log = logging.getLogger(__name__)

_LONGEST = 64 * 1024 * 1024
"""Bytes of an answer of version 1."""
_ON_THE_LOOP = 64 * 1024
"""A longer answer is taken apart on a thread."""
_V1_BYTES = 1024
"""Of a text, as UTF-8."""


class Requests:
    """Asks for one text after another, each in a place of the pool."""

    def __init__(self, http: aiohttp.ClientSession, pool: Pool, settings: VolcanoSettings) -> None:
        self._http = http
        self._pool = pool
        self._url = settings.url.rstrip("/")
        self._path = settings.path
        self._connect = settings.connect_timeout
        self._limit = settings.answer_timeout

    # ---- version 3

    async def unidirectional(self, asking: Asking, text: str) -> AsyncGenerator[bytes | Sentence, None]:
        """Raises a ``ProviderError``. Left early, the request is dropped."""
        url, body = f"{self._url}{self._path}/unidirectional", asking.whole(text)
        async with self._pool.place(), self._post(url, asking.headers, body, asking.credentials) as answer:
            objects = Objects()
            while data := await self._more(answer):
                for found in _objects(objects, data):
                    if isinstance(found.get("sentence"), dict):
                        yield sentence(found["sentence"])
                    if pcm := _pcm(found.get("data")):
                        yield pcm
                    code = found.get("code", 0)
                    if code == OK:
                        return
                    if code != 0:
                        raise _refused(refusal(found), answer, asking.credentials)
            raise broken()

    async def _more(self, answer: aiohttp.ClientResponse) -> bytes:
        async with _trouble(self._limit):
            return await answer.content.readany()

    # ---- version 1

    async def whole(self, asking: Asking, text: str) -> AsyncGenerator[bytes | Sentence, None]:
        """Raises a ``ProviderError``. Left early, the request is dropped."""
        if not (asking.credentials.app_id and asking.credentials.access_key):
            raise Denied("the voices of version 1 need an app id and an access key")
        url = f"{self._url}/api/v1/tts"
        for piece in pieces(text, _V1_BYTES):
            async with (
                self._pool.place(),
                self._post(url, asking.v1_headers, asking.v1(piece), asking.credentials) as answer,
            ):
                async with _trouble(self._limit):
                    body = await _read(answer)
                if len(body) > _ON_THE_LOOP:
                    found, pcm = await asyncio.to_thread(_taken_apart, body)
                else:
                    found, pcm = _taken_apart(body)
                if found.get("code") != OK_V1:
                    raise _refused(refusal(found), answer, asking.credentials)
            if pcm:
                yield pcm
                yield Sentence(piece, _v1_words(found, len(pcm) / 2 / asking.speaker.voice.sample_rate))

    # ----

    @asynccontextmanager
    async def _post(
        self, url: str, headers: Mapping[str, str], body: bytes, credentials: Credentials
    ) -> AsyncIterator[aiohttp.ClientResponse]:
        """The answer, of which the head has come and is no refusal."""
        timeout = aiohttp.ClientTimeout(total=None, sock_connect=self._connect)
        content = {"Content-Type": "application/json"}
        async with _trouble(self._connect + self._limit):
            answer = await self._http.post(
                # The keys are in headers of the service's own, which would go along to wherever it sends us.
                url,
                data=body,
                headers={**content, **headers},
                timeout=timeout,
                allow_redirects=False,
            )
        try:
            if answer.status != 200:
                async with _trouble(self._limit):
                    said = table(await _read(answer))
                raise _refused(refusal(said, answer.status), answer, credentials)
            yield answer
        finally:
            # Closes the connection unless the answer was read to its end.
            answer.close()


@asynccontextmanager
async def _trouble(limit: float) -> AsyncIterator[None]:
    """What may go wrong on the way, as the engine's errors; without their causes, which have the keys in them."""
    try:
        async with asyncio.timeout(limit):
            yield
    except TimeoutError:
        raise late(limit) from None
    except (aiohttp.ClientConnectorError, aiohttp.InvalidURL):
        raise unreachable() from None
    except (aiohttp.ClientError, OSError):
        raise broken() from None


def _objects(objects: Objects, data: bytes) -> Iterator[Mapping[str, Any]]:
    """Those before what is none are given first."""
    try:
        yield from objects.feed(data)
    except ValueError:
        raise broken() from None


def _pcm(data: object) -> bytes:
    if not isinstance(data, str):
        return b""
    try:
        return pybase64.b64decode(data, validate=True)
    except ValueError:
        raise broken() from None


async def _read(answer: aiohttp.ClientResponse) -> bytes:
    parts: list[bytes] = []
    length = 0
    async for part in answer.content.iter_any():
        parts.append(part)
        length += len(part)
        if length > _LONGEST:
            raise broken()
    return b"".join(parts)


def _taken_apart(body: bytes) -> tuple[Mapping[str, Any], bytes]:
    found = table(body)
    return found, _pcm(found.get("data"))


def _refused(found: Refusal, answer: aiohttp.ClientResponse, credentials: Credentials) -> ProviderError:
    log_refusal(found, answer.headers.get("X-Tt-Logid", ""), credentials)
    return found.error


def _v1_words(found: Mapping[str, Any], seconds: float) -> tuple[Any, ...]:
    """The word times of version 1 are an object written as a string; in seconds by its document, and were seen to come
    in milliseconds."""
    addition = found.get("addition")
    frontend = addition.get("frontend") if isinstance(addition, dict) else None
    heard = words(table(frontend), "word", "start_time", "end_time") if isinstance(frontend, str) else ()
    if heard and heard[-1].end > 2 * seconds + 1:
        return tuple(type(word)(word.text, word.start / 1000, word.end / 1000) for word in heard)
    return heard


def pieces(text: str, most: int) -> list[str]:
    """``text`` in pieces of at most that many bytes as UTF-8, cut at white space where there is some."""
    cut: list[str] = []
    while len(text.encode()) > most:
        fits = text.encode()[:most].decode(errors="ignore")
        space = max(fits.rfind(" "), fits.rfind("\n"))
        at = space + 1 if space > len(fits) // 2 else len(fits)
        cut.append(text[:at])
        text = text[at:]
    return [*cut, text] if text else cut
