"""A service with an account: it counts for itself how many speak at a time, and who began when.

The engine is ``tests.support.account:Rented`` in configuration; it finds the service by ``ACCOUNT_PORT``. What it
says to it is the text of the segment: ``TENANT NUMBER SECONDS``. 0 seconds are until the test says so.
"""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import AsyncGenerator, AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from typing import ClassVar

from providers.base import Capabilities, EngineFailed, PcmChunk, Segment, Voice
from tests.support.engines import RATE, sound


class Rented:
    """Speaks 20 ms when the service says that it is done."""

    id: ClassVar[str] = "rented"
    capabilities: ClassVar[Capabilities] = Capabilities(segments_at_once=1)
    account = "everybody's"

    def __init__(self) -> None:
        self.places = int(os.environ.get("ACCOUNT_PLACES", "10"))
        self._port = int(os.environ["ACCOUNT_PORT"])

    async def start(self) -> None: ...

    async def close(self) -> None: ...

    async def voices(self) -> Sequence[Voice]:
        return (Voice("one", "One", "en-US", RATE),)

    async def synthesize(self, segment: Segment) -> AsyncGenerator[PcmChunk, None]:
        reader, writer = await asyncio.open_connection("127.0.0.1", self._port)
        try:
            writer.write(segment.text.strip().encode() + b"\n")
            if await reader.readline() != b"done\n":
                raise EngineFailed("the service went away")
        finally:
            writer.transport.abort()
        yield PcmChunk(sound(20))


@dataclass(slots=True)
class Use:
    """One session at the service; times are the test's."""

    tenant: str
    number: int
    began: float
    ended: float | None = None
    whole: bool = False
    """It was spoken to its end."""


class Account:
    """The service. ``uses`` in the order in which they began; ``most`` at a time."""

    def __init__(self) -> None:
        self.uses: list[Use] = []
        self.active = 0
        self.most = 0
        self.port = 0
        self._let_go: dict[int, asyncio.Event] = {}
        self._changed = asyncio.Event()
        self._tasks: set[asyncio.Task[None]] = set()

    def let_go(self, number: int) -> None:
        """End the session of that number, which has asked for 0 seconds."""
        self._event(number).set()

    async def until(self, began: int, within: float = 60.0) -> None:
        """Wait until so many have begun, over all."""
        async with asyncio.timeout(within):
            while len(self.uses) < began:
                self._changed.clear()
                await self._changed.wait()

    def numbers(self, since: int = 0) -> list[int]:
        return [use.number for use in self.uses[since:]]

    def _event(self, number: int) -> asyncio.Event:
        return self._let_go.setdefault(number, asyncio.Event())

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        tenant, number, seconds = (await reader.readline()).decode().split()
        use = Use(tenant, int(number), time.monotonic())
        self.uses.append(use)
        self.active += 1
        self.most = max(self.most, self.active)
        self._changed.set()
        gone = asyncio.ensure_future(reader.read())
        over = asyncio.ensure_future(
            asyncio.sleep(float(seconds)) if float(seconds) else self._event(use.number).wait()
        )
        try:
            await asyncio.wait([gone, over], return_when=asyncio.FIRST_COMPLETED)
            use.whole = over.done()
        finally:
            gone.cancel()
            over.cancel()
            # Counted as over before it is said so: whoever hears of it may be the next.
            self.active -= 1
            use.ended = time.monotonic()
            self._tasks.discard(task)
            with suppress(OSError):
                writer.write(b"done\n")
                await writer.drain()
            writer.close()

    async def close(self) -> None:
        for task in self._tasks:
            task.cancel()
        if self._tasks:
            await asyncio.wait(self._tasks)


@asynccontextmanager
async def account() -> AsyncIterator[Account]:
    made = Account()
    server = await asyncio.start_server(made.serve, "127.0.0.1", 0)
    made.port = server.sockets[0].getsockname()[1]
    try:
        yield made
    finally:
        server.close()
        await made.close()
