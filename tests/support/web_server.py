"""A web server that does to each path what a test says, decent or not; and what the internet is to a test: names that
lead to it, and to elsewhere."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from pathlib import Path

Behave = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]
HOST = "web.test"
"""The name under which tests reach it."""
CERTIFICATE = Path(__file__).with_name("web_test.pem")
"""Of that name, vouched for by nobody but itself; and its key."""


def answer(body: bytes = b"", status: str = "200 OK", length: int | None = None, **headers: str) -> Behave:
    """One whole answer; ``length`` is what its header says, where that is not true."""
    lines = [f"{name.replace('_', '-')}: {value}" for name, value in headers.items()]
    lines.append(f"content-length: {len(body) if length is None else length}")
    head = "\r\n".join([f"HTTP/1.1 {status}", *lines, "", ""]).encode()

    async def behave(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(head + body)
        await writer.drain()

    return behave


def redirect(target: str, status: str = "302 Found") -> Behave:
    return answer(status=status, location=target)


def raw(data: bytes) -> Behave:
    async def behave(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(data)
        await writer.drain()

    return behave


async def silent(reader: asyncio.StreamReader, _: asyncio.StreamWriter) -> None:
    """Never says anything."""
    await reader.read()


async def drip(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """A byte at a time, each in good time."""
    writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: 10000\r\n\r\n")
    while True:
        writer.write(b"x")
        await writer.drain()
        await asyncio.sleep(0.02)


async def endless(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """As fast as it is taken, and no word of how much."""
    writer.write(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n")
    while True:
        writer.write(b"10000\r\n" + bytes(0x10000) + b"\r\n")
        await writer.drain()


async def endless_head(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    writer.write(b"HTTP/1.1 200 OK\r\n")
    while True:
        writer.write(b"x-more: " + b"x" * 1000 + b"\r\n")
        await writer.drain()


def over_and_over(head: bytes, piece: bytes) -> Behave:
    """``head``, and then ``piece`` as often as it is taken."""

    async def behave(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(head)
        while True:
            writer.write(piece * max(1, 65_536 // len(piece)))
            await writer.drain()

    return behave


class WebServer:
    """``paths`` may be changed at any time; ``asked`` are the paths that were asked for, and ``open`` connections."""

    def __init__(self) -> None:
        self.paths: dict[str, Behave] = {}
        self.asked: list[str] = []
        self.heads: list[str] = []
        self.open = 0
        self.port = 0
        self.scheme = "http"
        self._tasks: set[asyncio.Task[None]] = set()
        self._closed = asyncio.Event()
        self._closed.set()

    def url(self, path: str, host: str = HOST) -> str:
        return f"{self.scheme}://{host}:{self.port}{path}"

    async def quiet(self) -> None:
        """Until nobody is connected."""
        async with asyncio.timeout(60):
            await self._closed.wait()

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        self.open += 1
        self._closed.clear()
        try:
            with suppress(OSError, asyncio.IncompleteReadError):
                head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
                path = head.split(" ")[1]
                self.heads.append(head)
                self.asked.append(path)
                await self.paths.get(path, answer(status="404 Not Found"))(reader, writer)
        finally:
            self._tasks.discard(task)
            writer.close()
            self.open -= 1
            if not self.open:
                self._closed.set()

    async def close(self) -> None:
        for task in self._tasks:
            task.cancel()
        if self._tasks:
            await asyncio.wait(self._tasks)


@asynccontextmanager
async def web_server(*, tls: bool = False) -> AsyncIterator[WebServer]:
    made = WebServer()
    context = None
    if tls:
        made.scheme = "https"
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        context.load_cert_chain(CERTIFICATE)
    server = await asyncio.start_server(made.serve, "127.0.0.1", 0, ssl=context)
    made.port = server.sockets[0].getsockname()[1]
    try:
        yield made
    finally:
        server.close()
        await made.close()


class Names:
    """What names mean: each look-up takes the next of a name's meanings, and stays at the last."""

    def __init__(self, **names: Sequence[Sequence[str]]) -> None:
        self.looked_up: list[str] = []
        self._names: Mapping[str, list[Sequence[str]]] = {
            HOST: [["127.0.0.1"]],
            **{f"{name}.test": list(meanings) for name, meanings in names.items()},
        }

    def __call__(self, host: str) -> Sequence[str]:
        self.looked_up.append(host)
        meanings = self._names.get(host)
        if meanings is None:
            raise OSError("no such name")
        return meanings.pop(0) if len(meanings) > 1 else meanings[0]


def the_test_server_is_public(address: str) -> bool:
    """A rule under which a test's server, on this machine, stands for the internet, and all else is as ever."""
    from gateway.library.addresses import is_public

    return address == "127.0.0.1" or is_public(address)
