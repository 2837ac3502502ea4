"""A server that answers the bytes that a test gives it, whether they are HTTP or not."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from typing import TypeAlias

Handler: TypeAlias = Callable[["Connection"], Awaitable[None]]
SOUND = b"\x00\x01" * 50
PCM = "content-type: audio/pcm"


def answer(body: bytes = SOUND, *headers: str, status: str = "200 OK") -> bytes:
    lines = (f"HTTP/1.1 {status}", *headers, f"content-length: {len(body)}", "", "")
    return "\r\n".join(lines).encode() + body


class Connection:
    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, number: int) -> None:
        self.number = number
        """How many there were before it."""
        self.gone = asyncio.Event()
        self._reader = reader
        self._writer = writer

    async def request(self) -> bytes:
        """The next request: its head and its body."""
        head = await self._reader.readuntil(b"\r\n\r\n")
        lengths = [line for line in head.lower().split(b"\r\n") if line.startswith(b"content-length:")]
        return head + await self._reader.readexactly(int(lengths[0].split(b":")[1]) if lengths else 0)

    async def send(self, data: bytes) -> None:
        self._writer.write(data)
        await self._writer.drain()

    async def left(self) -> None:
        """Until the client closes its end."""
        with suppress(ConnectionError):
            while await self._reader.read(1024):
                pass
        self.gone.set()

    def abort(self) -> None:
        self._writer.transport.abort()

    async def close(self) -> None:
        self._writer.close()
        with suppress(ConnectionError):
            await self._writer.wait_closed()


class RawServer:
    def __init__(self, handler: Handler) -> None:
        self.url = ""
        self.connections: list[Connection] = []
        self._handler = handler
        self.tasks: set[asyncio.Task[None]] = set()
        self._accepted = asyncio.Semaphore(0)

    def accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        connection = Connection(reader, writer, len(self.connections))
        self.connections.append(connection)
        self._accepted.release()
        task = asyncio.ensure_future(self._serve(connection))
        self.tasks.add(task)
        task.add_done_callback(self.tasks.discard)

    async def accepted(self, count: int) -> None:
        """Until so many more connections stand."""
        for _ in range(count):
            await self._accepted.acquire()

    async def _serve(self, connection: Connection) -> None:
        try:
            with suppress(ConnectionError, asyncio.IncompleteReadError):
                await self._handler(connection)
        finally:
            await connection.close()


@asynccontextmanager
async def serving_raw(handler: Handler) -> AsyncIterator[RawServer]:
    server = RawServer(handler)
    listener = await asyncio.start_server(server.accept, "127.0.0.1", 0)
    server.url = f"http://127.0.0.1:{listener.sockets[0].getsockname()[1]}/v1"
    try:
        yield server
    finally:
        listener.close()
        for task in tuple(server.tasks):
            task.cancel()
        await asyncio.gather(*server.tasks, return_exceptions=True)


def always(data: bytes) -> Handler:
    """The same to every request."""

    async def handle(connection: Connection) -> None:
        while True:
            await connection.request()
            await connection.send(data)

    return handle
