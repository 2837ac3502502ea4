"""One WebSocket of the bidirectional service: sessions one after another, and never two at once."""

from __future__ import annotations

import asyncio
import logging
import uuid
from collections.abc import Mapping

import aiohttp

from providers.base import ProviderError
from providers.volcano.answers import refusal, table
from providers.volcano.credentials import Credentials
from providers.volcano.errors import Refusal, broken, late, unreachable
from providers.volcano.frames import LONGEST, Event, Frame, FrameError, Kind, decode, encode, request

log = logging.getLogger(__name__)

_ID_AND_FIELDS = 1024
_GOODBYE = 1.0
"""Seconds for the service to say that the connection is over."""
_OVER = frozenset({Event.SESSION_CANCELED, Event.SESSION_FINISHED, Event.SESSION_FAILED})
_OF_THE_CONNECTION = frozenset({Event.CONNECTION_STARTED, Event.CONNECTION_FAILED, Event.CONNECTION_FINISHED})
_ANSWERS = _OVER | _OF_THE_CONNECTION | {Event.SESSION_STARTED, Event.AUDIO}


async def stay(asked: aiohttp.ClientRequest, send: aiohttp.ClientHandlerType) -> aiohttp.ClientResponse:
    """A middleware of the HTTP client: its WebSockets follow redirects, whatever one asks, and would take the keys,
    which are in headers of the service's own, to wherever the service or somebody in between sends us."""
    answer = await send(asked)
    if "Upgrade" in asked.headers and answer.status != 101:
        answer.close()
        raise aiohttp.WSServerHandshakeError(
            answer.request_info, answer.history, status=answer.status, message="no WebSocket", headers=answer.headers
        )
    return answer


class Connection:
    """Open until ``close``. Raises what the service has refused, or that the connection has ended."""

    def __init__(
        self, socket: aiohttp.ClientWebSocketResponse, trace: str, credentials: Credentials, limit: float
    ) -> None:
        self._socket = socket
        self._trace = trace
        self._credentials = credentials
        self._limit = limit
        self.reused = False
        """It has had a session before, so that the service may have closed it since."""
        self._session: str | None = None
        self.free = True
        """The service has said that its session is over, whatever way."""

    @classmethod
    async def open(
        cls,
        http: aiohttp.ClientSession,
        url: str,
        headers: Mapping[str, str],
        credentials: Credentials,
        *,
        connect_timeout: float,
        answer_timeout: float,
    ) -> Connection:
        """Raises ``Denied``, ``EngineBusy`` or ``EngineUnavailable``."""
        try:
            async with asyncio.timeout(connect_timeout):
                socket = await http.ws_connect(
                    url,
                    headers=headers,
                    max_msg_size=LONGEST + _ID_AND_FIELDS,
                    timeout=aiohttp.ClientWSTimeout(ws_close=_GOODBYE),
                )
        # Without their causes: an exception of the library has the headers of its request, with the keys.
        except aiohttp.WSServerHandshakeError as error:
            trace = _trace(error.headers)
            log.warning("volcano: no connection", extra={"logid": trace, "status": error.status})
            raise Refusal(status=error.status).error from None
        except (aiohttp.ClientError, OSError) as error:
            log.warning("volcano: no connection (%s)", type(error).__name__)
            raise unreachable() from None
        except TimeoutError:
            raise late(connect_timeout) from None
        connection = cls(socket, socket_trace(socket), credentials, answer_timeout)
        try:
            await connection._send(request(Event.START_CONNECTION))
            await connection._expect(Event.CONNECTION_STARTED)
        except BaseException:
            await connection.abort()
            raise
        log.debug("volcano: connected", extra={"logid": connection._trace})
        return connection

    # ---- a session

    async def start(self, start: Frame) -> None:
        """Begin a session. Returns when the service takes text for it."""
        self._session = start.id
        self.free = False
        await self._send(start)
        await self._expect(Event.SESSION_STARTED)

    async def send(self, frame: Frame) -> None:
        await self._send(frame)

    async def finish(self, session: str) -> None:
        """No more text comes for it."""
        await self._send(request(Event.FINISH_SESSION, session=session))

    async def receive(self) -> Frame:
        """The next frame that is no error, and not about a session before this one."""
        while self._is_stale(frame := await self._frame()):
            pass
        if frame.kind is Kind.ERROR:
            raise self._refused(Refusal(frame.code or 0, refusal(table(frame.payload)).message or _text(frame)))
        if frame.event == Event.SESSION_FAILED:
            raise self._refused(refusal(table(frame.payload)))
        return frame

    def failed(self, found: Refusal) -> ProviderError:
        """The error for a session that has ended so."""
        return self._refused(found)

    async def cancel(self, session: str, within: float) -> bool:
        """Give a session up. Whether the connection can have another one."""
        try:
            async with asyncio.timeout(within):
                await self._send(request(Event.CANCEL_SESSION, session=session))
                while True:
                    frame = await self._frame()
                    if frame.kind is Kind.ERROR:
                        return False
                    if self.free:
                        return True
        except (ProviderError, TimeoutError):
            return False

    # ---- between sessions

    async def alive(self) -> bool:
        """Nothing has come since its last session, not even its end."""
        try:
            async with asyncio.timeout(0):
                await self._socket.receive()
        except TimeoutError:
            return not self._socket.closed
        return False

    async def close(self) -> None:
        """Finish it properly: the service counts what is only dropped for a while longer."""
        try:
            async with asyncio.timeout(_GOODBYE):
                await self._send(request(Event.FINISH_CONNECTION))
                while (await self._frame()).event != Event.CONNECTION_FINISHED:
                    pass
        except (ProviderError, TimeoutError):
            pass
        finally:
            await self.abort()

    async def abort(self) -> None:
        """Close the socket, in no more than a moment."""
        await self._socket.close()

    # ---- frames

    async def _send(self, frame: Frame) -> None:
        try:
            await self._socket.send_bytes(encode(frame))
        except (aiohttp.ClientError, OSError):
            raise broken() from None

    async def _frame(self) -> Frame:
        try:
            message = await self._socket.receive(self._limit)
        except TimeoutError:
            log.warning("volcano: no answer", extra={"logid": self._trace})
            raise late(self._limit) from None
        if message.type is not aiohttp.WSMsgType.BINARY:
            # Also where the close code is 1000: success is a frame that says so.
            log.warning("volcano: closed", extra={"logid": self._trace, "close_code": self._socket.close_code})
            raise broken()
        try:
            frame = decode(message.data)
        except FrameError as error:
            log.warning("volcano: %s", error, extra={"logid": self._trace})
            raise broken() from None
        self.free = self.free or (frame.event in _OVER and not self._is_stale(frame))
        return frame

    def _is_stale(self, frame: Frame) -> bool:
        """About another session: the end of one that was cancelled may be said twice, and the second time late."""
        return frame.event not in _OF_THE_CONNECTION and frame.id not in (self._session, "", None)

    async def _expect(self, event: Event) -> None:
        # Events that the documents do not know come at any time.
        while (frame := await self.receive()).event not in _ANSWERS:
            pass
        if frame.event == Event.CONNECTION_FAILED:
            raise self._refused(refusal(table(frame.payload)))
        if frame.event != event:
            log.warning("volcano: event %s in place of %s", frame.event, event.name, extra={"logid": self._trace})
            raise broken()

    def _refused(self, found: Refusal) -> ProviderError:
        log_refusal(found, self._trace, self._credentials)
        return found.error


def log_refusal(found: Refusal, trace: str, credentials: Credentials) -> None:
    """What the service says of itself, with the id by which its own log can be asked."""
    said = credentials.censor(found.message)[:200]
    log.warning("volcano: refused: %s", said, extra={"code": found.code, "status": found.status, "logid": trace})


def socket_trace(socket: aiohttp.ClientWebSocketResponse) -> str:
    """The id in the answer to a WebSocket's handshake, which the library keeps to itself."""
    response = getattr(socket, "_response", None)
    return _trace(getattr(response, "headers", None))


def _trace(headers: Mapping[str, str] | None) -> str:
    return (headers or {}).get("X-Tt-Logid", "")


def new_id() -> str:
    """A session's id is never used again, also not after a session that failed."""
    return str(uuid.uuid4())


def _text(frame: Frame) -> str:
    return frame.payload.decode(errors="replace")
