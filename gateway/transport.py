"""The WebSocket's last metre: uvicorn's protocol, bounded, with a view of what the listener has really read.

A stock server takes 81 seconds of audio for a client that never reads: they lie in kernel buffers, where no cancel
reaches them. Here the write buffer is small, and a *mark* (a WebSocket ping with a number) can follow any frame. The
client's library answers it once it has read that far, so unanswered marks measure what the listener has not read.

The protocol offers itself to the application as the ASGI extension ``voxwire.wire``. Writing through it skips the
layers that every ASGI message passes, which is a third of the cost of a 20 ms frame.
"""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Awaitable, Callable, Mapping
from functools import lru_cache
from typing import Any, Protocol, cast

from starlette.websockets import WebSocketDisconnect
from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol
from websockets.frames import Frame

from gateway.errors import ListenerGone

EXTENSION = "voxwire.wire"
HIGH_WATER = 4096
"""Bytes that may wait in the process before a sender has to."""
SEND_BUFFER = 16_384
"""Bytes of the kernel's send buffer (Linux doubles it for its own bookkeeping)."""
_MARK = b"vx"


@lru_cache(256)
def _head(opcode: bytes, length: int) -> bytes:
    """How a frame begins (RFC 6455, section 5.2): final, from a server, not masked. The frames of a stream are of a
    few lengths."""
    if length < 126:
        return opcode + length.to_bytes(1, "big")
    if length < 65_536:
        return opcode + b"\x7e" + length.to_bytes(2, "big")
    return opcode + b"\x7f" + length.to_bytes(8, "big")


class Wire(Protocol):
    """What a dialect's socket writes to. One instance a connection."""

    async def send_message(self, data: bytes | str) -> None:
        """Send one message; returns when there is room for another. Raises ``ListenerGone``."""

    async def send_frame(self, header: bytes, payload: bytes | memoryview) -> None:
        """Send one binary message made of two parts."""

    def offer_frame(self, header: bytes, payload: bytes | memoryview) -> bool:
        """Send it if that needs no waiting. False: nothing was sent. Raises ``ListenerGone``."""

    def mark(self) -> int | None:
        """Ask to be told when all that was sent so far has been read. ``None`` where that cannot be known."""

    @property
    def read(self) -> int:
        """The newest mark that the listener has read."""

    async def reading(self) -> None:
        """Wait until a mark has been read. Raises ``ListenerGone`` when that takes too long."""


class VoxwireWebSocketProtocol(WebSocketsSansIOProtocol):
    """uvicorn's sans-I/O WebSocket protocol with small buffers, deadlines and marks."""

    send_timeout = 10.0
    """Seconds for which a listener may take nothing before its connection is given up. Set by the server."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        super().connection_made(transport)
        self._marks = 0
        self.read = 0
        """The newest mark that was answered."""
        self._reader: asyncio.Future[None] | None = None
        self._stuck: asyncio.TimerHandle | None = None
        self.transport.set_write_buffer_limits(high=HIGH_WATER)
        connection = transport.get_extra_info("socket")
        if connection is not None and connection.family in {socket.AF_INET, socket.AF_INET6}:
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, SEND_BUFFER)
            if hasattr(socket, "TCP_USER_TIMEOUT"):
                timeout = int(self.send_timeout * 1000)
                connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, timeout)

    def handle_connect(self, event: Any) -> None:
        super().handle_connect(event)
        if hasattr(self, "scope"):
            extensions = cast("dict[str, Any]", self.scope["extensions"])
            extensions[EXTENSION] = self

    def connection_lost(self, exc: Exception | None) -> None:
        super().connection_lost(exc)
        if hasattr(self, "scope"):
            # The scope would keep the protocol, and the protocol the scope, until the next garbage collection.
            cast("dict[str, Any]", self.scope["extensions"]).pop(EXTENSION, None)
        self._unstick()
        self._wake_reader()

    def keepalive_timeout(self) -> None:
        # The base class closes, and a close waits for a buffer that a dead peer will never empty.
        super().keepalive_timeout()
        self.transport.abort()

    # ---- a listener that takes nothing

    def pause_writing(self) -> None:
        super().pause_writing()
        if self._stuck is None:
            self._stuck = self.loop.call_later(self.send_timeout, self._give_up)

    def resume_writing(self) -> None:
        super().resume_writing()
        self._unstick()

    def _unstick(self) -> None:
        if self._stuck is not None:
            self._stuck.cancel()
            self._stuck = None

    def _give_up(self) -> None:
        self._stuck = None
        self.transport.abort()

    # ---- the wire

    async def send_message(self, data: bytes | str) -> None:
        """Send one message. Raises ``ListenerGone`` when the connection is closed or closing."""
        if not self.writable.is_set():
            await self.writable.wait()
        if isinstance(data, str):
            self._write(b"\x81", data.encode(), b"")
        else:
            self._write(b"\x82", data, b"")

    async def send_frame(self, header: bytes, payload: bytes | memoryview) -> None:
        """Send one binary message of two parts, which are copied once."""
        if not self.writable.is_set():
            await self.writable.wait()
        self._write(b"\x82", header, payload)

    def offer_frame(self, header: bytes, payload: bytes | memoryview) -> bool:
        """Send one binary message of two parts, if there is room for it now."""
        if not self.writable.is_set():
            return False
        self._write(b"\x82", header, payload)
        return True

    def _write(self, opcode: bytes, first: bytes, second: bytes | memoryview) -> None:
        if self.close_sent or self.transport.is_closing():
            raise ListenerGone
        self.transport.write(b"".join((_head(opcode, len(first) + len(second)), first, second)))

    def mark(self) -> int:
        """Send a ping that carries the next number; its answer says that everything before it was read."""
        self._marks += 1
        payload = _MARK + self._marks.to_bytes(6, "big")
        if not (self.close_sent or self.transport.is_closing()):
            self.transport.write(b"\x89\x08" + payload)
        return self._marks

    def handle_ping(self) -> None:
        # Pongs pass no flow control: to a client that pings and does not read, none is sent.
        answers = b"".join(self.conn.data_to_send())
        if self.writable.is_set():
            self.transport.write(answers)

    def handle_pong(self, event: Frame) -> None:
        payload = bytes(event.data)
        if len(payload) == 8 and payload.startswith(_MARK):
            number = int.from_bytes(payload[2:], "big")
            if self.read < number <= self._marks:
                self.read = number
                self._wake_reader()
            return
        super().handle_pong(event)

    async def reading(self) -> None:
        """Wait for the next answer to a mark. After ``send_timeout`` without one the connection is given up."""
        if self.disconnected:
            raise ListenerGone
        if self._reader is None or self._reader.done():
            self._reader = self.loop.create_future()
        try:
            # Several contexts may wait for the same answer: none of them may cancel it for the others.
            async with asyncio.timeout(self.send_timeout):
                await asyncio.shield(self._reader)
        except TimeoutError:
            self.transport.abort()
            raise ListenerGone from None
        if self.disconnected:
            raise ListenerGone

    def _wake_reader(self) -> None:
        if self._reader is not None and not self._reader.done():
            self._reader.set_result(None)


class AsgiWire:
    """Writes through plain ASGI, for any other server: what the listener has read cannot be known there."""

    read = 0

    def __init__(self, send: Callable[[dict[str, Any]], Awaitable[None]]) -> None:
        self._send = send

    async def send_message(self, data: bytes | str) -> None:
        """Send one message. Raises ``ListenerGone``."""
        key = "text" if isinstance(data, str) else "bytes"
        try:
            await self._send({"type": "websocket.send", key: data})
        except (OSError, RuntimeError, WebSocketDisconnect) as error:
            raise ListenerGone from error

    async def send_frame(self, header: bytes, payload: bytes | memoryview) -> None:
        await self.send_message(b"".join((header, payload)))

    def offer_frame(self, header: bytes, payload: bytes | memoryview) -> bool:
        """Whether there is room is the server's secret: every frame waits."""
        return False

    def mark(self) -> int | None:
        return None

    async def reading(self) -> None:
        raise AssertionError("nothing is marked, so nobody waits")


def wire(scope: Mapping[str, Any], send: Callable[[Any], Awaitable[None]]) -> Wire:
    """The best wire that the server under this connection offers."""
    protocol = scope.get("extensions", {}).get(EXTENSION)
    if isinstance(protocol, VoxwireWebSocketProtocol):
        return protocol
    return AsgiWire(send)


def server_protocol(send_timeout: float) -> type[VoxwireWebSocketProtocol]:
    """The protocol class with a deployment's deadline, to be given to uvicorn as ``ws``."""
    return type("ConfiguredWebSocketProtocol", (VoxwireWebSocketProtocol,), {"send_timeout": send_timeout})
