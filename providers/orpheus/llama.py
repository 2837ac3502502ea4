"""A client of llama.cpp's HTTP server: what it has, and how a completion of it is begun and stopped.

A completion's connection is its own and is closed with it: closing is how llama-server is told to stop.
Routes and fields: ``tools/server/README.md`` of ggml-org/llama.cpp.
"""

from __future__ import annotations

import asyncio
import logging
import socket
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

import aiohttp
import orjson

from providers.base import EngineFailed, EngineUnavailable
from providers.orpheus.completion import NETWORK, SHOWN, Completion, Down, Rubbish, Stalled, Timeouts

log = logging.getLogger(__name__)

_SLACK = 16
"""Tokens beyond the limit that a server may send before it is thought to have lost it."""
_LONGEST = 4_194_304
"""Bytes of an answer of the small routes; ``/props`` has the model's chat template."""


class Refused(EngineFailed):
    """This request is at fault, not the server."""


@dataclass(frozen=True, slots=True)
class Server:
    """What ``/props`` says."""

    slots: int
    context: int | None
    """Tokens of a slot: the prompt and the answer together."""
    model: str | None = None
    """Its file. That of another model is another."""


class Llama:
    """``url`` is the server's root. Nothing is opened before the first request."""

    def __init__(self, url: str, *, key: str | None = None, timeouts: Timeouts | None = None) -> None:
        self._url = url.rstrip("/")
        self._timeouts = timeouts or Timeouts()
        self._headers = {"accept-encoding": "identity"}
        if key is not None:
            self._headers["authorization"] = f"Bearer {key}"
        self._session: aiohttp.ClientSession | None = None
        parts = urlsplit(self._url)
        self.address = parts.netloc.rpartition("@")[2]
        """Host and port, for the log."""
        # Behind one address there may be several servers, each with a path of its own.
        name = self.address + parts.path
        self.name = f"{socket.gethostname()} {name}" if _is_loopback(parts.hostname or "") else name
        """The same wherever the server is reached from."""

    @property
    def closed(self) -> bool:
        """Nothing is open."""
        return self._session is None

    async def close(self) -> None:
        session, self._session = self._session, None
        if session is not None:
            await session.close()

    async def server(self) -> Server:
        """Whether it is up, and what it has. Raises ``Down`` or ``Rubbish``."""
        try:
            async with asyncio.timeout(self._timeouts.connect):
                await self._get("/health")
                return _server(await self._get("/props"))
        except TimeoutError:
            raise Down("llama-server does not answer") from None
        except NETWORK as error:
            raise self._down(error) from error

    @asynccontextmanager
    async def completion(self, request: Mapping[str, Any]) -> AsyncIterator[Completion]:
        """Begin one; leaving closes the connection, which stops it. Raises any of the errors above."""
        completion = Completion(self._timeouts, limit=int(request["n_predict"]) + _SLACK)
        response = await self._post(orjson.dumps({**request, "stream": True, "return_tokens": True}))
        try:
            if response.status != 200:
                raise await self._status(response)
            completion.read_from(response)
            yield completion
        finally:
            response.close()

    async def _post(self, body: bytes) -> aiohttp.ClientResponse:
        headers = {**self._headers, "content-type": "application/json"}
        url = f"{self._url}/completion"
        try:
            async with asyncio.timeout(self._timeouts.first):
                # The headers come with the first token.
                return await self._client().post(url, data=body, headers=headers, allow_redirects=False)
        except aiohttp.ClientError as error:
            # A connection that is not made in its time is a TimeoutError too, but none of ours.
            raise self._down(error) from error
        except TimeoutError:
            raise Stalled(f"llama-server has sent nothing for {self._timeouts.first:g} seconds") from None
        except OSError as error:
            raise self._down(error) from error

    def _client(self) -> aiohttp.ClientSession:
        if self._session is None:
            self._session = aiohttp.ClientSession(
                # A kept connection may be closed by the server just as the next request is written to it.
                connector=aiohttp.TCPConnector(limit=0, force_close=True),
                timeout=aiohttp.ClientTimeout(total=None, connect=self._timeouts.connect),
                cookie_jar=aiohttp.DummyCookieJar(),
                auto_decompress=False,
            )
        return self._session

    async def _get(self, path: str) -> bytes:
        async with self._client().get(self._url + path, headers=self._headers, allow_redirects=False) as response:
            if response.status != 200:
                raise await self._status(response)
            return await _whole(response)

    async def _status(self, response: aiohttp.ClientResponse) -> EngineFailed | EngineUnavailable:
        """The error that a status other than 200 stands for. What the server says is for the log alone."""
        status = response.status
        said = await self._beginning(response)
        log.warning("llama-server at %s answered %d: %s", self.address, status, said)
        if status == 503:
            return Down("llama-server is loading its model", retry_after=1.0)
        if status in {401, 403}:
            return Down("llama-server does not accept the gateway's key")
        if status == 429:
            return Down("llama-server has no room now", retry_after=1.0)
        if status >= 500:
            return Down(f"llama-server failed (HTTP {status})")
        if status == 400:
            return Refused("llama-server refused the request (HTTP 400)")
        return Rubbish(f"what answers is no llama-server (HTTP {status})")

    async def _beginning(self, response: aiohttp.ClientResponse) -> str:
        try:
            async with asyncio.timeout(self._timeouts.connect):
                return (await response.content.read(SHOWN)).decode("utf-8", "replace").strip()
        except (TimeoutError, *NETWORK):
            return ""

    def _down(self, error: Exception) -> Down:
        log.warning("llama-server at %s: %s", self.address, str(error) or type(error).__name__)
        return Down("llama-server does not answer")


def _is_loopback(host: str) -> bool:
    return host in {"localhost", "::1"} or host.startswith("127.")


def _server(props: bytes) -> Server:
    try:
        told = orjson.loads(props)
        slots = told["total_slots"]
        context = (told.get("default_generation_settings") or {}).get("n_ctx")
        model = told.get("model_path")
    except (orjson.JSONDecodeError, KeyError, TypeError, AttributeError):
        raise Rubbish("what answers is no llama-server") from None
    if type(slots) is not int or slots < 1:
        raise Rubbish("what answers is no llama-server")
    return Server(slots, context if type(context) is int else None, model if isinstance(model, str) else None)


async def _whole(response: aiohttp.ClientResponse) -> bytes:
    body = b""
    while len(body) <= _LONGEST and (piece := await response.content.readany()):
        body += piece
    if len(body) > _LONGEST:
        raise Rubbish("what answers is no llama-server")
    return body
