"""One WebSocket to a gateway, and the speeches that share it."""

from __future__ import annotations

import asyncio
import itertools
import logging
from contextlib import suppress
from typing import Any, Protocol

import orjson
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, InvalidStatus, WebSocketException
from websockets.typing import Subprotocol

from gateway.client.address import Address
from gateway.client.errors import (
    ConnectionFailed,
    GatewayError,
    SpeechError,
    TimedOut,
    VoxwireClientError,
)
from gateway.client.messages import AUDIO, HEADER, SUBPROTOCOL, VERSION, Frame

log = logging.getLogger("voxwire.client")

STALLED = 2.0
"""Seconds after which a reader that took nothing counts as gone. A gateway itself gives up after 10."""
_FINAL = ("ended", "cancelled")
_MAX_MESSAGE = 2**22
"""Bytes. The largest is an answer to a cancel, which holds all text."""


class Listener(Protocol):
    """What a connection needs of a speech."""

    @property
    def unread(self) -> float:
        """Seconds of audio that its reader has not taken."""

    @property
    def taken_at(self) -> float:
        """When its reader last took something, by the loop's clock."""

    def audio(self, frame: Frame) -> None: ...

    def event(self, kind: str, message: dict[str, Any]) -> None: ...

    def fail(self, error: VoxwireClientError) -> None:
        """It is over; whoever waits for it is told why."""


class _Straight(connect):
    """One that follows no redirect: it could take the key along to any host."""

    def process_redirect(self, exc: Exception) -> Exception:
        return exc


class Connection:
    """Reads for all speeches, and routes each frame by its generation.

    A speech whose reader is slow holds ``max_unread`` seconds of audio. When it is full the socket is not read
    until there is room again, so that the gateway, and its engine, wait too. Other speeches would wait with it:
    where there are any, a full one whose reader takes nothing for ``stalled`` seconds is cancelled instead.
    """

    def __init__(
        self,
        socket: ClientConnection,
        address: Address,
        *,
        timeout: float,
        max_unread: float,
        stalled: float = STALLED,
    ) -> None:
        self._socket = socket
        self._address = address
        self._timeout = timeout
        self._max_unread = max_unread
        self._stalled = stalled
        self._names = itertools.count(1)
        self._speeches: dict[str, Listener] = {}
        self._generations: dict[int, Listener] = {}
        self._going = False
        """The gateway asked that nothing new be started here."""
        self._lost: ConnectionFailed | None = None
        self._changed = asyncio.Event()
        """Set when a full speech may have room, or no longer be alone."""
        self._reader = asyncio.create_task(self._read(), name="voxwire connection")

    @classmethod
    async def open(cls, address: Address, *, timeout: float, max_unread: float) -> Connection:  # noqa: ASYNC109
        """Connect. Raises ``ConnectionFailed``, ``TimedOut``, or ``GatewayError`` where the gateway says no."""
        try:
            socket = await _Straight(
                address.stream,
                subprotocols=[Subprotocol(SUBPROTOCOL)],
                additional_headers=address.headers,
                # Speech does not compress, and the attempt costs more than everything else here.
                compression=None,
                open_timeout=timeout,
                close_timeout=min(1.0, timeout),
                max_size=_MAX_MESSAGE,
                proxy=None if address.local else True,
            )
        except TimeoutError:
            raise TimedOut(f"the gateway at {address.base} did not answer within {timeout:g} s") from None
        except InvalidStatus as error:
            raise address.refused(error.response.status_code, bytes(error.response.body or b"")) from None
        except (OSError, WebSocketException) as error:
            raise address.away(error) from error
        return cls(socket, address, timeout=timeout, max_unread=max_unread)

    @property
    def usable(self) -> bool:
        """Whether a new speech may be started here."""
        return self._lost is None and not self._going

    @property
    def over(self) -> bool:
        return self._reader.done()

    # ---- what a speech asks

    def join(self, speech: Listener) -> str:
        """Give ``speech`` a context name; from here on it is told everything. Raises ``ConnectionFailed``."""
        if self._lost is not None:
            raise self._lost
        name = str(next(self._names))
        self._speeches[name] = speech
        self._changed.set()
        return name

    async def send(self, message: dict[str, Any]) -> None:
        """Raises ``ConnectionFailed``."""
        try:
            await self._socket.send(orjson.dumps(message), text=True)
        except ConnectionClosed:
            raise self._lost or self._cause() from None

    async def drop(self, name: str) -> None:
        """Forget a speech that is not over, and stop it at the gateway. What still comes of it is thrown away."""
        speech = self._forget(name)
        if speech is not None:
            with suppress(ConnectionFailed):
                await self.send({"type": "cancel", "context": name})
            await self._leave()

    def read_on(self) -> None:
        """A speech has room again."""
        self._changed.set()

    async def close(self) -> None:
        """Close the socket; speeches that run fail. Callable twice."""
        await self._socket.close()
        # It may wait for room in a speech that nobody reads.
        self._reader.cancel()
        await asyncio.wait([self._reader])

    # ---- what the gateway says

    async def _read(self) -> None:
        lost: ConnectionFailed | None = None
        try:
            while True:
                message = await self._socket.recv()
                if isinstance(message, bytes):
                    await self._on_audio(message)
                else:
                    await self._on_event(orjson.loads(message))
        except ConnectionClosed:
            pass
        except Exception as error:
            log.warning("the gateway sent what this client cannot read", exc_info=True)
            lost = ConnectionFailed(f"the gateway sent what this client cannot read ({type(error).__name__})")
        finally:
            self._lost = lost or self._cause()
            for name in tuple(self._speeches):
                speech = self._forget(name)
                if speech is not None:
                    speech.fail(self._lost)
            await self._socket.close()

    async def _on_audio(self, message: bytes) -> None:
        version, kind, _, _, generation, sequence, position = HEADER.unpack_from(message)
        speech = self._generations.get(generation)
        # No speech: the rest of one that was dropped, under way when the gateway heard of it.
        if speech is not None and version == VERSION and kind == AUDIO:
            speech.audio(Frame(message[HEADER.size :], sequence, position))
            if speech.unread > self._max_unread:
                await self._wait_for(speech)

    async def _on_event(self, message: dict[str, Any]) -> None:
        kind, name = message.get("type", ""), message.get("context")
        if kind == "goaway":
            self._going = True
            await self._leave()
            return
        if name is None:
            if kind == "error":
                log.warning("the gateway refused a message: %s", GatewayError.from_fields(message))
            return
        speech = self._speeches.get(name)
        if speech is None:
            return
        if kind == "error":
            error = SpeechError.from_fields(message)
            if message.get("final", True):
                self._forget(name)
            else:
                # A piece of its text was refused: what would be heard is not what was written.
                await self.drop(name)
            speech.fail(error)
        else:
            if kind == "started":
                self._generations[message["generation"]] = speech
            elif kind in _FINAL:
                self._forget(name)
            speech.event(kind, message)
        await self._leave()

    async def _wait_for(self, speech: Listener) -> None:
        """Read no further until ``speech`` has room, is over, or was given up for the others' sake."""
        loop = asyncio.get_running_loop()
        while speech.unread > self._max_unread and speech in self._generations.values():
            patience = None
            if len(self._speeches) > 1:
                patience = speech.taken_at + self._stalled - loop.time()
                if patience <= 0:
                    await self._give_up(speech)
                    return
            self._changed.clear()
            with suppress(TimeoutError):
                async with asyncio.timeout(patience):
                    await self._changed.wait()

    async def _give_up(self, speech: Listener) -> None:
        name = next(name for name, known in self._speeches.items() if known is speech)
        await self.drop(name)
        seconds = f"{self._max_unread:g} s"
        speech.fail(
            SpeechError("not_read", f"{seconds} of audio were left unread while others waited; the rest is cancelled")
        )

    def _forget(self, name: str) -> Listener | None:
        speech = self._speeches.pop(name, None)
        for generation, known in tuple(self._generations.items()):
            if known is speech:
                del self._generations[generation]
        self._changed.set()
        return speech

    async def _leave(self) -> None:
        """Close once the gateway wants to stop and nothing is spoken here any more."""
        if self._going and not self._speeches:
            await self._socket.close()

    def _cause(self) -> ConnectionFailed:
        code, reason = self._socket.close_code, self._socket.close_reason
        said = {1000: "it was closed", 1001: "the gateway went away", 1006: "it was cut"}.get(code or 1006)
        said = said or {1012: "the gateway restarts", 1013: "the gateway has no room"}.get(code or 1006)
        text = said or f"close code {code}" + (f", {reason}" if reason else "")
        return ConnectionFailed(f"the connection to {self._address.base} is over: {text}")
