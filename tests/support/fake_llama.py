"""A llama-server that does what a test tells it to, on a loopback port: no model, and every way to misbehave.

async with FakeLlama() as fake:
    fake.next(Say(frame(1)), Hang())                    # the next completion
    fake.otherwise(Say(*frames(3)), Stop())             # all that have no script
"""

from __future__ import annotations

import asyncio
import socket
from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import orjson
from aiohttp import web

FIRST_AUDIO = 128_266
END = 128_258


def frame(seed: int = 0) -> list[int]:
    """The seven tokens of a frame; ``seed`` tells one from another."""
    return [FIRST_AUDIO + slot * 4096 + (seed * 7 + slot) % 4096 for slot in range(7)]


def frames(count: int, first: int = 0) -> list[int]:
    return [token for number in range(first, first + count) for token in frame(number)]


@dataclass(frozen=True, slots=True)
class Say:
    """Token ids, an event each."""

    tokens: Sequence[int]


@dataclass(frozen=True, slots=True)
class Stop:
    """The last event."""

    why: str = "word"


@dataclass(frozen=True, slots=True)
class Raw:
    data: bytes


@dataclass(frozen=True, slots=True)
class Status:
    """Answer with that instead of events."""

    status: int
    body: bytes = b"{}"
    kind: str = "application/json"
    headers: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Wait:
    event: asyncio.Event


@dataclass(frozen=True, slots=True)
class Hang:
    """Send nothing more, until the client goes."""


@dataclass(frozen=True, slots=True)
class Flood:
    """Send ``data`` again and again, until the client goes."""

    data: bytes


@dataclass(frozen=True, slots=True)
class Abort:
    """Close the connection in the middle."""


Step = Say | Stop | Raw | Status | Wait | Hang | Flood | Abort


class FakeLlama:
    """``async with`` starts and stops it; ``stop`` and ``start`` in between keep the port. ``host``: an address of this
    machine. ``path``: what stands before its routes, as behind a proxy."""

    def __init__(self, slots: int = 4, *, host: str = "127.0.0.1", path: str = "") -> None:
        self.health: Step = Status(200, b'{"status":"ok"}')
        self.props: Step = Status(
            200, orjson.dumps({"total_slots": slots, "default_generation_settings": {"n_ctx": 4096}})
        )
        self.trial: tuple[Step, ...] = (Say(frame()), Stop("limit"))
        """The answer to the engine's probe, which asks for a few tokens only."""
        self.requests: list[dict[str, Any]] = []
        """The bodies of the completions but the probes'."""
        self.headers: list[dict[str, str]] = []
        self.probes = 0
        self.glances = 0
        """How often it was asked how it is."""
        self.active = 0
        self.most_active = 0
        self.sent = 0
        """Tokens, over all completions."""
        self.changed = asyncio.Condition()
        self._scripts: deque[tuple[Step, ...]] = deque()
        self._otherwise: tuple[Step, ...] = (Say(frames(3)), Stop())
        self._runner: web.AppRunner | None = None
        self._host = host
        self._path = path
        self._port = 0
        self._holder: socket.socket | None = None
        """Bound from the first start on, and never listened on: while it is stopped, the port is nobody else's."""

    @property
    def url(self) -> str:
        host = f"[{self._host}]" if ":" in self._host else self._host
        return f"http://{host}:{self._port}{self._path}"

    def next(self, *steps: Step) -> None:
        self._scripts.append(steps)

    def forget(self) -> None:
        """The scripts that nobody came for."""
        self._scripts.clear()

    def otherwise(self, *steps: Step) -> None:
        self._otherwise = steps

    async def until_active(self, count: int) -> None:
        """Wait until so many completions are under way."""
        async with self.changed:
            await self.changed.wait_for(lambda: self.active == count)

    async def start(self) -> None:
        app = web.Application()
        app.router.add_get(f"{self._path}/health", self._health)
        app.router.add_get(f"{self._path}/props", self._props)
        app.router.add_post(f"{self._path}/completion", self._completion)
        self._runner = web.AppRunner(app, handler_cancellation=True, shutdown_timeout=0.1)
        await self._runner.setup()
        if self._holder is None:
            self._holder = socket.socket(socket.AF_INET6 if ":" in self._host else socket.AF_INET)
            self._holder.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            self._holder.bind((self._host, self._port))
            self._port = self._holder.getsockname()[1]
        await web.TCPSite(self._runner, self._host, self._port, reuse_address=True).start()

    async def stop(self) -> None:
        runner, self._runner = self._runner, None
        if runner is not None:
            await runner.cleanup()

    async def __aenter__(self) -> FakeLlama:
        await self.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.stop()
        if self._holder is not None:
            self._holder.close()
            self._holder = None

    async def _health(self, request: web.Request) -> web.StreamResponse:
        self.glances += 1
        return await self._play(request, (self.health,))

    async def _props(self, request: web.Request) -> web.StreamResponse:
        return await self._play(request, (self.props,))

    async def _completion(self, request: web.Request) -> web.StreamResponse:
        body = orjson.loads(await request.read())
        if body["n_predict"] < 64:
            self.probes += 1
            return await self._play(request, self.trial)
        self.requests.append(body)
        self.headers.append(dict(request.headers))
        script = self._scripts.popleft() if self._scripts else self._otherwise
        await self._count(1)
        try:
            return await self._play(request, script)
        finally:
            # In a task of its own: this one may be cancelled, and the condition's lock be taken.
            await asyncio.shield(asyncio.ensure_future(self._count(-1)))

    async def _count(self, change: int) -> None:
        async with self.changed:
            self.active += change
            self.most_active = max(self.most_active, self.active)
            self.changed.notify_all()

    async def _play(self, request: web.Request, steps: Sequence[Step]) -> web.StreamResponse:
        response = web.StreamResponse(headers={"content-type": "text/event-stream"})
        for step in steps:
            if isinstance(step, Status):
                return web.Response(
                    status=step.status, body=step.body, content_type=step.kind, headers=dict(step.headers)
                )
            if isinstance(step, Wait):
                await step.event.wait()
                continue
            if isinstance(step, Hang):
                await asyncio.Event().wait()
            if not response.prepared:
                await response.prepare(request)
            if isinstance(step, Abort):
                assert request.transport is not None
                request.transport.abort()
                return response
            await self._send(response, step)
        return response

    async def _send(self, response: web.StreamResponse, step: Step) -> None:
        match step:
            case Say(tokens):
                for token in tokens:
                    await response.write(event(tokens=[token]))
                    self.sent += 1
            case Stop(why):
                await response.write(event(stop=True, stop_type=why))
            case Raw(data):
                await response.write(data)
            case Flood(data):
                while True:
                    await response.write(data)


def event(*, tokens: Sequence[int] = (), stop: bool = False, **fields: Any) -> bytes:
    told = {"index": 0, "content": "", "tokens": list(tokens), "stop": stop, "id_slot": 0, **fields}
    return b"data: " + orjson.dumps(told) + b"\n\n"
