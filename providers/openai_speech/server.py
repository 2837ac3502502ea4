"""The conversation with the server: requests, and what its refusals mean."""

from __future__ import annotations

import asyncio
import logging
import math
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from types import SimpleNamespace
from typing import Any

import aiohttp
import orjson

from providers.base import EngineBusy, EngineFailed, EngineUnavailable, ProviderError
from providers.openai_speech.settings import OpenAISpeechSettings

log = logging.getLogger(__name__)

_READ_AHEAD = 32_768
"""Bytes that are read from the server before somebody takes them: two thirds of a second at 24 kHz."""
_IDLE = 50.0
"""Seconds for which a connection is kept for the next request. In a conversation the next answer is often so far away,
and a new connection takes two round trips before its sound; what stands between may forget one after a minute."""
_LONGEST_RETRY = 3600.0
_AWAY = frozenset({408, 502, 504})
"""Said by what stands before a server that does not answer."""
_MEANINGS = {
    401: "refuses the key of this gateway",
    403: "refuses the key of this gateway",
    404: "has no such model, or no speech at this address",
}
_KINDS = ((500, "failed"), (400, "refused the text"), (300, "has moved to another address"), (0, "answered no sound"))


class Server:
    """One for all requests; connections are kept between them. Belongs to the event loop that it is made on."""

    def __init__(self, settings: OpenAISpeechSettings) -> None:
        self._url = settings.url
        # Until an answer begins: the limits below count anew with whatever comes, and a server may say "continue" for
        # ever.
        self._patience = settings.connect_timeout + settings.read_timeout
        headers = {"accept-encoding": "identity"}
        if settings.api_key is not None:
            headers["authorization"] = f"Bearer {settings.api_key.get_secret_value()}"
        self._http = aiohttp.ClientSession(
            headers=headers,
            timeout=aiohttp.ClientTimeout(
                total=None, sock_connect=settings.connect_timeout, sock_read=settings.read_timeout
            ),
            connector=aiohttp.TCPConnector(limit=settings.places * 2, keepalive_timeout=_IDLE),
            # A cookie may tie all requests to one of several servers.
            cookie_jar=aiohttp.DummyCookieJar(),
            read_bufsize=_READ_AHEAD,
            trace_configs=[_noting_kept_connections()],
        )

    async def close(self) -> None:
        await self._http.close()

    @asynccontextmanager
    async def answer(
        self, method: str, path: str, body: Mapping[str, Any] | None = None
    ) -> AsyncIterator[aiohttp.ClientResponse]:
        """One request; leaving it before its end closes the connection. Redirects are not followed, so that neither
        key nor text goes to where nobody sent them.

        Raises ``EngineUnavailable`` where the server cannot be reached or says nothing, ``EngineFailed`` where it
        breaks off. No error and no log shows a header that was sent.
        """
        data = None if body is None else orjson.dumps(body)
        try:
            async with await self._ask(method, f"{self._url}/{path}", data) as answer:
                yield answer
        except (aiohttp.ClientConnectorError, aiohttp.ClientSSLError, aiohttp.InvalidURL) as error:
            # An address that is none may have a password in it.
            log.warning(
                "the speech server cannot be reached: %s", "" if isinstance(error, aiohttp.InvalidURL) else error
            )
            raise EngineUnavailable("the speech server cannot be reached", retry_after=1.0) from None
        except TimeoutError:
            raise EngineUnavailable("the speech server does not answer", retry_after=1.0) from None
        except aiohttp.ClientError as error:
            # Its own text may have headers in it, those of the request among them.
            log.warning("the speech server broke off: %s", type(error).__name__)
            raise EngineFailed("the speech server broke off its answer") from None

    async def _ask(self, method: str, url: str, data: bytes | None) -> aiohttp.ClientResponse:
        headers = {} if data is None else {"content-type": "application/json"}
        again = True
        while True:
            noted = SimpleNamespace(kept=False)
            try:
                async with asyncio.timeout(self._patience):
                    return await self._http.request(
                        method, url, data=data, headers=headers, allow_redirects=False, trace_request_ctx=noted
                    )
            except (aiohttp.ServerDisconnectedError, aiohttp.ClientOSError) as error:
                # A server that was started again, or that was tired of waiting, has closed the connection that was
                # kept: it has not seen the request.
                if isinstance(error, aiohttp.ClientConnectorError):
                    raise
                if not (noted.kept and again):
                    raise EngineUnavailable(
                        "the speech server closed the connection without an answer", retry_after=1.0
                    ) from None
                again = False


def refusal(status: int, headers: Mapping[str, str]) -> ProviderError:
    """What a status that is not 200 means."""
    if status in {429, 503}:
        return EngineBusy("the speech server has no room now", retry_after=retry_after(headers) or 1.0)
    if status in _AWAY:
        return EngineUnavailable(f"the speech server does not answer (status {status})", retry_after=1.0)
    what = _MEANINGS.get(status) or next(what for least, what in _KINDS if status >= least)
    return EngineFailed(f"the speech server {what} (status {status})")


def retry_after(headers: Mapping[str, str]) -> float | None:
    """Seconds, an hour at most; ``None`` where the header is missing or says nothing of use."""
    value = headers.get("retry-after", "")
    try:
        seconds = float(value)
    except ValueError:
        try:
            at = parsedate_to_datetime(value)
        except (ValueError, OverflowError):
            return None
        seconds = (at.replace(tzinfo=at.tzinfo or UTC) - datetime.now(UTC)).total_seconds()
    return None if math.isnan(seconds) else min(max(0.0, seconds), _LONGEST_RETRY)


def _noting_kept_connections() -> aiohttp.TraceConfig:
    async def note(_session: Any, context: SimpleNamespace, _params: Any) -> None:
        context.trace_request_ctx.kept = True

    config = aiohttp.TraceConfig()
    config.on_connection_reuseconn.append(note)
    return config
