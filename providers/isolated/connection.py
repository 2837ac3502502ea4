"""One end of the socket: frames out, frames in, and its end."""

from __future__ import annotations

import asyncio
import socket
from typing import Protocol, cast

from providers.isolated.frames import Decoder, Frame, Nonsense, encode

_HIGH_WATER = 64 * 1024


class Listener(Protocol):
    """What is called with what comes."""

    def received(self, frame: Frame) -> None:
        """May raise ``Nonsense``."""

    def broken(self, nonsense: Nonsense | None) -> None:
        """Nothing comes any more, since the other side is gone or said nonsense. Called once; not after
        ``Connection.close``."""


class Connection(asyncio.Protocol):
    """Owns ``end``."""

    def __init__(self, end: socket.socket, listener: Listener) -> None:
        self._end: socket.socket | None = end
        self._listener = listener
        self._decoder = Decoder()
        self._transport: asyncio.Transport | None = None
        self._room = asyncio.Event()
        self._room.set()
        self._over = False

    async def open(self) -> None:
        end, self._end = self._end, None
        if end is None:
            return
        try:
            await asyncio.get_running_loop().create_unix_connection(lambda: self, sock=end)
        except BaseException:
            end.close()
            raise

    def send(self, frame: Frame) -> None:
        """Without waiting. Does nothing once the other side is gone. Raises as ``encode``."""
        data = encode(frame)
        if self._transport is not None and not self._over:
            self._transport.write(data)

    async def room(self) -> None:
        """Wait until the other side has taken most of what it was sent, or is gone."""
        # All who wait are woken at once, and the first of them may fill it again.
        while not self._room.is_set():
            await self._room.wait()

    def close(self) -> None:
        """Close it now, whatever was not sent."""
        self._over = True
        self._room.set()
        if self._transport is not None:
            self._transport.abort()
        elif self._end is not None:
            self._end.close()

    # ---- asyncio.Protocol

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)
        self._transport.set_write_buffer_limits(high=_HIGH_WATER)
        if self._over:
            self._transport.abort()

    def data_received(self, data: bytes) -> None:
        try:
            for frame in self._decoder.feed(data):
                if self._over:
                    return
                self._listener.received(frame)
        except Nonsense as error:
            self._break(error)

    def connection_lost(self, error: Exception | None) -> None:
        self._break(None)

    def pause_writing(self) -> None:
        self._room.clear()

    def resume_writing(self) -> None:
        self._room.set()

    def _break(self, nonsense: Nonsense | None) -> None:
        if not self._over:
            self.close()
            self._listener.broken(nonsense)
