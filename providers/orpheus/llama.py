"""A client of llama.cpp's HTTP server: what it has, and one completion at a time, read token by token.

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
from providers.orpheus.sse import Events, NoEvents

log = logging.getLogger(__name__)

_NETWORK = (aiohttp.ClientError, OSError)
_LOOPBACK = {"localhost", "127.0.0.1", "::1"}
_SLACK = 16
"""Tokens beyond the limit that a server may send before it is thought to have lost it."""
_LONGEST = 4_194_304
"""Bytes of an answer of the small routes; ``/props`` has the model's chat template."""
_SHOWN = 200
"""Characters of an error's body in the log."""


class Down(EngineUnavailable):
    """No answer, or one that broke off: another try costs little."""


class Stalled(EngineUnavailable):
    """Connected, and silent for too long."""


class Rubbish(EngineFailed):
    """An answer that llama-server would not give."""


class Refused(EngineFailed):
    """This request is at fault, not the server."""


@dataclass(frozen=True, slots=True)
class Server:
    """What ``/props`` says."""

    slots: int
    context: int | None
    """Tokens of a slot: the prompt and the answer together."""


@dataclass(frozen=True, slots=True)
class Timeouts:
    """Seconds: for a connection and the small routes, for the first token, for each further one."""

    connect: float = 2.0
    first: float = 10.0
    token: float = 5.0


class Llama:
    """``url`` is the server's root. Nothing is opened before the first request."""

    def __init__(self, url: str, *, key: str | None = None, timeouts: Timeouts | None = None) -> None:
        self._url = url.rstrip("/")
        self._timeouts = timeouts or Timeouts()
        self._headers = {"accept-encoding": "identity"}
        if key is not None:
            self._headers["authorization"] = f"Bearer {key}"
        self._session: aiohttp.ClientSession | None = None
        parts = urlsplit(url)
        self.address = parts.netloc.rpartition("@")[2]
        """Host and port, for the log."""
        self.name = f"{socket.gethostname()} {self.address}" if parts.hostname in _LOOPBACK else self.address
        """The same wherever the server is reached from."""

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
        except _NETWORK as error:
            raise self._down(error) from error

    @asynccontextmanager
    async def completion(self, request: Mapping[str, Any]) -> AsyncIterator[Completion]:
        """Begin one; leaving closes the connection, which stops it. Raises any of the errors above."""
        completion = Completion(self._timeouts, limit=int(request["n_predict"]) + _SLACK)
        body = orjson.dumps({**request, "stream": True, "return_tokens": True})
        headers = {**self._headers, "content-type": "application/json"}
        try:
            async with asyncio.timeout(self._timeouts.first):
                # The headers come with the first token.
                response = await self._client().post(f"{self._url}/completion", data=body, headers=headers)
        except TimeoutError:
            raise Stalled(f"llama-server has sent nothing for {self._timeouts.first:g} seconds") from None
        except _NETWORK as error:
            raise self._down(error) from error
        try:
            if response.status != 200:
                raise await self._status(response)
            completion.read_from(response)
            yield completion
        finally:
            response.close()

    def _client(self) -> aiohttp.ClientSession:
        if self._session is None:
            self._session = aiohttp.ClientSession(
                # A kept connection may be closed by the server just as the next request is written to it.
                connector=aiohttp.TCPConnector(limit=0, force_close=True),
                timeout=aiohttp.ClientTimeout(total=None, sock_connect=self._timeouts.connect),
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
        if status >= 500:
            return Down(f"llama-server failed (HTTP {status})")
        if status == 400:
            return Refused("llama-server refused the request (HTTP 400)")
        return Rubbish(f"what answers is no llama-server (HTTP {status})")

    async def _beginning(self, response: aiohttp.ClientResponse) -> str:
        try:
            async with asyncio.timeout(self._timeouts.connect):
                return (await response.content.read(_SHOWN)).decode("utf-8", "replace").strip()
        except (TimeoutError, *_NETWORK):
            return ""

    def _down(self, error: Exception) -> Down:
        log.warning("llama-server at %s: %s", self.address, error or type(error).__name__)
        return Down("llama-server does not answer")


class Completion:
    """One answer as it comes."""

    def __init__(self, timeouts: Timeouts, limit: int) -> None:
        self._timeouts = timeouts
        self._limit = limit
        self._events = Events()
        self._response: aiohttp.ClientResponse | None = None
        self._came = 0
        self.stopped: str | None = None
        """Why it ended: ``word``, ``eos`` or ``limit``; ``None`` until then."""

    def read_from(self, response: aiohttp.ClientResponse) -> None:
        """Raises ``Rubbish`` where this cannot be a stream of events."""
        if response.content_type != "text/event-stream":
            raise Rubbish("llama-server answered something that is no stream of tokens")
        self._response = response

    async def read(self) -> list[int] | None:
        """The next tokens, at least one; ``None`` at the end. Raises ``Down``, ``Stalled`` or ``Rubbish``."""
        if self.stopped is not None:
            return None
        limit = self._timeouts.token if self._came else self._timeouts.first
        try:
            # Not a limit on the silence of the socket: llama-server sends comments while it computes nothing.
            async with asyncio.timeout(limit):
                tokens = await self._read()
        except TimeoutError:
            raise Stalled(f"llama-server has sent no token for {limit:g} seconds") from None
        except _NETWORK as error:
            raise Down("llama-server broke off in the middle") from error
        self._came += len(tokens)
        if self._came > self._limit:
            raise Rubbish("llama-server goes on beyond the limit that it was given")
        return tokens or None

    async def _read(self) -> list[int]:
        assert self._response is not None
        while True:
            data = await self._response.content.readany()
            if not data:
                raise Down("llama-server broke off in the middle")
            tokens = self._tokens(data)
            if tokens or self.stopped is not None:
                return tokens

    def _tokens(self, data: bytes) -> list[int]:
        tokens: list[int] = []
        try:
            for field, value in self._events.feed(data):
                if self.stopped is None:
                    tokens += self._event(field, orjson.loads(value))
        except (NoEvents, orjson.JSONDecodeError, KeyError, TypeError) as error:
            raise Rubbish("llama-server answered something that cannot be understood") from error
        return tokens

    def _event(self, field: bytes, event: Any) -> list[int]:
        if field == b"error" or "error" in event:
            log.warning("llama-server reports an error: %s", str(event)[:_SHOWN])
            raise Down("llama-server reports an error")
        if event["stop"] is True:
            self.stopped = str(event.get("stop_type", "unknown"))
        tokens = event["tokens"]
        if not all(type(token) is int for token in tokens):
            raise TypeError("tokens are numbers")
        return list(tokens)


def _server(props: bytes) -> Server:
    try:
        told = orjson.loads(props)
        slots = told["total_slots"]
        context = (told.get("default_generation_settings") or {}).get("n_ctx")
    except (orjson.JSONDecodeError, KeyError, TypeError, AttributeError):
        raise Rubbish("what answers is no llama-server") from None
    if type(slots) is not int or slots < 1:
        raise Rubbish("what answers is no llama-server")
    return Server(slots, context if type(context) is int else None)


async def _whole(response: aiohttp.ClientResponse) -> bytes:
    body = b""
    while len(body) <= _LONGEST and (piece := await response.content.readany()):
        body += piece
    if len(body) > _LONGEST:
        raise Rubbish("what answers is no llama-server")
    return body
