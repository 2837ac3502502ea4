"""A gateway without a network, in virtual time, whose answers are looked at message by message."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from gateway.app import create_app
from gateway.clock import Clock
from gateway.config import Settings
from gateway.runtime import Gateway
from tests.support.engines import Wait


class Scene:
    """Each message of an answer as the server is given it."""

    def __init__(self, gateway: Gateway) -> None:
        self.gateway = gateway
        self._app = create_app(gateway=gateway)

    async def ask(self, method: str, path: str, body: Any = None) -> tuple[int, dict[str, str], list[bytes]]:
        messages: list[dict[str, Any]] = []
        requests = iter([{"type": "http.request", "body": json.dumps(body).encode() if body else b""}])

        async def receive() -> dict[str, Any]:
            return next(requests, None) or await asyncio.Event().wait() or {}

        async def send(message: dict[str, Any]) -> None:
            messages.append(message)

        scope = {
            "type": "http", "method": method, "path": path, "query_string": b"", "client": ("10.0.0.1", 1),
            "headers": [(b"host", b"here")], "http_version": "1.1", "scheme": "http", "root_path": "",
        }  # fmt: skip
        await self._app(scope, receive, send)
        headers = {name.decode(): value.decode() for name, value in messages[0]["headers"]}
        return messages[0]["status"], headers, [message["body"] for message in messages[1:]]

    async def told(self, method: str, path: str, body: Any = None) -> tuple[int, dict[str, str], str]:
        """The same, with the body as one text."""
        status, headers, pieces = await self.ask(method, path, body)
        return status, headers, b"".join(pieces).decode()


@asynccontextmanager
async def scene(*engines: Any, **settings: Any) -> AsyncIterator[Scene]:
    """On the running loop's time; the wall clock stands still, in June 2025."""
    loop = asyncio.get_running_loop()
    clock = Clock(now=loop.time, wall=lambda: 1_750_000_000.0)
    settings = {"rate_limit_requests": 0, **settings}
    gateway = Gateway(Settings(_env_file=None, **settings), engines=engines, clock=clock)
    await gateway.start()
    try:
        yield Scene(gateway)
    finally:
        await gateway.close()


def after(seconds: float) -> Wait:
    """A step of an engine that takes so long, counted from now."""
    ready = asyncio.Event()
    asyncio.get_running_loop().call_later(seconds, ready.set)
    return Wait(ready)
