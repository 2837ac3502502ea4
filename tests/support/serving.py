"""The gateway's own server, run on the test's loop, so that a test can look at what it leaves behind."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

from gateway.config import Settings
from gateway.runtime import Gateway
from gateway.server import Server, listen, server
from providers.base import Provider


@dataclass(frozen=True)
class Served:
    gateway: Gateway
    server: Server
    port: int

    @property
    def http(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def ws(self) -> str:
        return f"ws://127.0.0.1:{self.port}"


class _Server(Server):
    """Says when it has started, and leaves the process's signals alone."""

    started_event: asyncio.Event

    async def startup(self, sockets: Any = None) -> None:
        await super().startup(sockets)
        self.started_event.set()


@asynccontextmanager
async def serving(*, engines: Sequence[str | Provider] = ("mock_tone",), **settings: Any) -> AsyncIterator[Served]:
    """A started server on a free loopback port; stopped, and its threads joined, at the end."""
    settings = {"rate_limit_requests": 0, "drain_s": 0.0, **settings}
    values = Settings(_env_file=None, **settings)
    gateway = Gateway(values, engines=engines)
    listener = listen("127.0.0.1", 0)
    running = server(values, gateway)
    running.__class__ = _Server
    assert isinstance(running, _Server)
    running.started_event = asyncio.Event()
    task = asyncio.create_task(running._serve([listener]))
    started = asyncio.create_task(running.started_event.wait())
    try:
        await asyncio.wait([task, started], return_when=asyncio.FIRST_COMPLETED)
        if task.done():
            await task
        yield Served(gateway, running, listener.getsockname()[1])
    finally:
        started.cancel()
        running.should_exit = True
        await task
        listener.close()
