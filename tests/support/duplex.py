"""A client of the native protocol that hides nothing: for tests that look at messages, frames and closes."""

from __future__ import annotations

import asyncio
import json
import struct
import time
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

from websockets.asyncio.client import ClientConnection, connect

HEADER = struct.Struct("!BBBxHHII")
_LAST = {"ended", "cancelled"}


@dataclass
class Heard:
    """What came for one context."""

    messages: list[dict[str, Any]] = field(default_factory=list)
    frames: list[tuple[int, int]] = field(default_factory=list)
    """Sequence and position of each."""
    sound: bytearray = field(default_factory=bytearray)
    last_audio: float = 0.0
    """When the newest frame came (monotonic seconds)."""
    admitted: asyncio.Event = field(default_factory=asyncio.Event)
    """Set by ``started``."""
    begun: asyncio.Event = field(default_factory=asyncio.Event)
    """Set by the first audio."""
    over: asyncio.Event = field(default_factory=asyncio.Event)

    @property
    def last(self) -> dict[str, Any]:
        return self.messages[-1]

    @property
    def started(self) -> dict[str, Any]:
        return next(message for message in self.messages if message["type"] == "started")


class Duplex:
    """An open socket; a task reads it from the start."""

    def __init__(self, socket: ClientConnection) -> None:
        self.socket = socket
        self.heard: dict[str, Heard] = {}
        self.others: list[dict[str, Any]] = []
        """Messages without a context."""
        self.came = asyncio.Condition()
        self._numbers: dict[tuple[int, int], Heard] = {}

    async def send(self, type_: str, **fields: Any) -> None:
        await self.socket.send(json.dumps({"type": type_, **fields}))

    async def start(self, context: str, **fields: Any) -> Heard:
        heard = self.heard[context] = Heard()
        await self.send("start", context=context, **fields)
        return heard

    async def speak(self, context: str, text: str | Iterable[str], **fields: Any) -> Heard:
        """Start, send the text (a string whole, anything else piece by piece) and end; then it is on its way."""
        heard = await self.start(context, **fields)
        for piece in [text] if isinstance(text, str) else text:
            await self.send("text", context=context, text=piece)
        await self.send("end", context=context)
        return heard

    async def other(self) -> dict[str, Any]:
        """The next message without a context."""
        async with self.came:
            await self.came.wait_for(lambda: self.others)
            return self.others.pop(0)

    async def read(self) -> None:
        async for message in self.socket:
            if isinstance(message, bytes):
                self._frame(message)
            else:
                await self._message(json.loads(message))

    def _frame(self, message: bytes) -> None:
        version, kind, _, number, generation, sequence, position = HEADER.unpack_from(message)
        assert (version, kind) == (1, 1)
        heard = self._numbers[number, generation]
        assert not heard.over.is_set(), "audio came after the context's last message"
        heard.frames.append((sequence, position))
        heard.sound += message[HEADER.size :]
        heard.last_audio = time.monotonic()
        heard.begun.set()

    async def _message(self, message: dict[str, Any]) -> None:
        heard = self.heard.get(message.get("context", ""))
        if heard is None:
            async with self.came:
                self.others.append(message)
                self.came.notify_all()
            return
        heard.messages.append(message)
        if message["type"] == "started":
            self._numbers[message["number"], message["generation"]] = heard
            heard.admitted.set()
        if message["type"] in _LAST or message.get("final"):
            heard.over.set()


@asynccontextmanager
async def duplex(address: str, **options: Any) -> AsyncIterator[Duplex]:
    """Connect to the gateway at ``address`` (``ws://host:port``)."""
    options = {"subprotocols": ["voxwire.v1"], "compression": None, **options}
    async with connect(f"{address}/v1/stream", **options) as socket:
        client = Duplex(socket)
        reading = asyncio.create_task(client.read())
        try:
            yield client
        finally:
            await socket.close()
            await asyncio.gather(reading, return_exceptions=True)
