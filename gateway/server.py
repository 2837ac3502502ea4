"""uvicorn with the settings that a user must not get wrong, and a stop that lets speech end."""

from __future__ import annotations

import asyncio
import gc
import logging
import socket
import sys
from collections.abc import Callable
from types import FrameType

import uvicorn

from gateway.app import create_app
from gateway.config import Settings
from gateway.log import configure
from gateway.runtime import Gateway
from gateway.transport import server_protocol

log = logging.getLogger(__name__)

HTTP_SEND_BUFFER = 131_072
"""Bytes that the kernel holds for an HTTP client (Linux doubles it): enough for a file at 5 MB/s over 50 ms, and not
the 4 MB that it would grow to, in which a stream would lie beyond recall."""


class Server(uvicorn.Server):
    """Drains before it stops: uvicorn alone would cut every WebSocket at once."""

    def __init__(self, config: uvicorn.Config, gateway: Gateway) -> None:
        super().__init__(config)
        self._gateway = gateway
        self._drain: asyncio.Task[None] | None = None
        self._loading: asyncio.AbstractEventLoop | None = None
        """The loop, while engines may still be loading."""
        self._closing: asyncio.Task[None] | None = None
        self.on_ready: Callable[[str], None] | None = None
        """Called once with the gateway's address, when it takes requests."""

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        self._loading = asyncio.get_running_loop()
        await super().startup(sockets)
        self._loading = None
        # What has been loaded by now stays: collections of the oldest generation need not look at it again.
        gc.collect()
        gc.freeze()
        if self.on_ready is not None and sockets and not self.should_exit:
            self.on_ready(address(sockets[0]))

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        if self._closing is not None:
            await asyncio.wait([self._closing])
        self._drain = asyncio.create_task(self._gateway.drain())
        await asyncio.wait([self._drain])
        if not self._drain.cancelled():
            self._drain.result()
        await super().shutdown(sockets)

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """A second signal ends the wait for speech, and the stop stays an orderly one."""
        if self._drain is not None and not self._drain.done():
            # Called by a signal's handler, while the loop may be asleep.
            self._drain.get_loop().call_soon_threadsafe(self._drain.cancel)
        else:
            super().handle_exit(sig, frame)
            if self._loading is not None:
                self._loading.call_soon_threadsafe(self._load_no_more)

    def _load_no_more(self) -> None:
        """A model may load for minutes, and nobody is going to use it."""
        if self._closing is None and self._loading is not None:
            self._closing = asyncio.create_task(self._gateway.providers.close())


def listen(host: str, port: int, send_timeout: float = 10.0) -> socket.socket:
    """A listening socket. What is set on it every connection inherits: how much the kernel holds for a client, and
    after how many seconds it gives up one that takes nothing. WebSockets set a smaller buffer for themselves."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listener = socket.socket(family, socket.SOCK_STREAM)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, HTTP_SEND_BUFFER)
    # uvloop sets it for each connection, asyncio not for a socket that it did not make: pieces would then wait 40 ms.
    listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    if hasattr(socket, "TCP_USER_TIMEOUT"):
        listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, round(send_timeout * 1000))
    try:
        listener.bind((host, port))
    except OSError:
        listener.close()
        raise
    return listener


def server(settings: Settings, gateway: Gateway | None = None) -> Server:
    """A server for these settings, not started."""
    gateway = gateway or Gateway(settings)
    config = uvicorn.Config(
        create_app(gateway=gateway),
        loop="uvloop" if sys.platform != "win32" else "asyncio",
        http="httptools",
        ws=server_protocol(settings.send_timeout),
        ws_max_size=settings.max_message_bytes,
        ws_per_message_deflate=False,
        lifespan="on",
        access_log=False,
        log_config=None,
        server_header=False,
        backlog=2048,
        timeout_graceful_shutdown=2,
    )
    return Server(config, gateway)


def address(listener: socket.socket) -> str:
    """Where a listening socket is found from this machine: ``http://127.0.0.1:8080``."""
    host, port = listener.getsockname()[:2]
    host = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host)
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


def serve(settings: Settings, on_ready: Callable[[str], None] | None = None) -> None:
    """Run until SIGINT or SIGTERM. ``on_ready`` is told the address once requests are taken. Raises ``OSError``
    when the port is taken."""
    configure(settings.log_level, settings.log_format)
    listener = listen(settings.host, settings.port, settings.send_timeout)
    try:
        ready = server(settings)
        ready.on_ready = on_ready
        ready.run(sockets=[listener])
    finally:
        listener.close()
