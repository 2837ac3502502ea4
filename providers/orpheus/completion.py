"""One completion of llama-server as it comes, token by token, and what may be wrong with it."""

from __future__ import annotations

import asyncio
import logging
from dataclasses import dataclass

import aiohttp
import orjson

from providers.base import EngineFailed, EngineUnavailable, ProviderError
from providers.orpheus.sse import Events, NoEvents

log = logging.getLogger(__name__)

NETWORK = (aiohttp.ClientError, OSError)
SHOWN = 200
"""Characters of what a server says of an error, in the log."""


class Down(EngineUnavailable):
    """No answer, or one that broke off: another try costs little."""


class Stalled(EngineUnavailable):
    """Connected, and silent for too long."""


class Rubbish(EngineFailed):
    """An answer that llama-server would not give."""


@dataclass(frozen=True, slots=True)
class Timeouts:
    """Seconds: for a connection and the small routes, for the first token, for each further one."""

    connect: float = 2.0
    first: float = 10.0
    token: float = 5.0


class Completion:
    """One answer as it comes. Made when it is asked for: from then on its first token is waited for."""

    def __init__(self, timeouts: Timeouts, limit: int) -> None:
        self._timeouts = timeouts
        self._limit = limit
        self._first_due = _now() + timeouts.first
        self._events = Events()
        self._response: aiohttp.ClientResponse | None = None
        self._came = 0
        self._failure: ProviderError | None = None
        """What came behind the tokens that were read last."""
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
        if self._failure is not None:
            raise self._failure
        limit = self._timeouts.token if self._came else self._timeouts.first
        try:
            # Not a limit on the silence of the socket: llama-server sends comments while it computes nothing.
            async with asyncio.timeout_at(_now() + limit if self._came else self._first_due):
                tokens = await self._read()
        except TimeoutError:
            raise Stalled(f"llama-server has sent no token for {limit:g} seconds") from None
        except NETWORK as error:
            raise Down("llama-server broke off in the middle") from error
        room = self._limit - self._came
        if len(tokens) > room:
            self._failure = Rubbish("llama-server goes on beyond the limit that it was given")
            tokens = tokens[:room]
        self._came += len(tokens)
        if self._failure is not None and not tokens:
            raise self._failure
        return tokens or None

    async def _read(self) -> list[int]:
        assert self._response is not None
        while True:
            data = await self._response.content.readany()
            if not data:
                raise Down("llama-server broke off in the middle")
            tokens = self._tokens(data)
            if tokens or self.stopped is not None or self._failure is not None:
                return tokens

    def _tokens(self, data: bytes) -> list[int]:
        """Those in ``data``, as far as it can be understood and up to the last event."""
        tokens: list[int] = []
        try:
            for field, value in self._events.feed(data):
                tokens += self._event(field, value)
                if self.stopped is not None:
                    break
        except ProviderError as error:
            self._failure = error
        except (NoEvents, orjson.JSONDecodeError, KeyError, TypeError) as error:
            self._failure = Rubbish("llama-server answered something that cannot be understood")
            self._failure.__cause__ = error
        return tokens

    def _event(self, field: bytes, value: bytes) -> list[int]:
        event = orjson.loads(value)
        if field == b"error" or "error" in event:
            log.warning("llama-server reports an error: %s", str(event)[:SHOWN])
            raise Down("llama-server reports an error")
        if event["stop"] is True:
            self.stopped = str(event.get("stop_type", "unknown"))
        tokens = event["tokens"]
        if not all(type(token) is int for token in tokens):
            raise TypeError("tokens are numbers")
        return list(tokens)


def _now() -> float:
    return asyncio.get_running_loop().time()
