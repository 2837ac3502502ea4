"""A gateway without a network, whose engine and time are the test's."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from gateway.clock import Clock
from gateway.config import Settings
from gateway.events import Audio, Event, Pace, SpeechRequest
from gateway.runtime import Gateway
from gateway.session.session import Session
from tests.support.engines import Scripted


@asynccontextmanager
async def gateway(engine: Scripted, **settings: Any) -> AsyncIterator[Gateway]:
    """A started gateway with one scripted engine, on the running loop's time. Leaves nothing behind, or fails."""
    clock = Clock(now=asyncio.get_running_loop().time)
    made = Gateway(Settings(_env_file=None, **settings), engines=[engine], clock=clock)
    await made.start()
    try:
        yield made
        async with asyncio.timeout(60):
            await made.sessions.drained()
        assert (made.capacities.sessions.taken, made.capacities.sessions.waiting) == (0, 0)
        assert made.wheel.waiting == 0
    finally:
        await made.close()


class Listener:
    """One session and what it said. ``hold`` is a socket that takes nothing until it is released."""

    def __init__(self, made: Gateway, **request: Any) -> None:
        request.setdefault("pace", Pace.BURST)
        self._gateway = made
        self.session: Session = made.sessions.open(made.sessions.plan(SpeechRequest(**request)), "test")
        self.events: list[Event] = []
        self.times: list[float] = []
        self.hold = asyncio.Event()
        self.hold.set()
        self.task: asyncio.Task[None] | None = None

    def start(self) -> Listener:
        self.task = asyncio.create_task(self.session.run(self._take))
        self.task.add_done_callback(lambda _: self._gateway.sessions.close(self.session))
        return self

    async def _take(self, event: Event) -> None:
        await self.hold.wait()
        self.events.append(event)
        self.times.append(asyncio.get_running_loop().time())

    def say(self, text: str) -> Listener:
        """The whole text, and no more."""
        self.session.text(text)
        self.session.end()
        return self

    async def done(self) -> Event:
        """Wait for the session's end; its last event."""
        assert self.task is not None
        await self.task
        return self.events[-1]

    @property
    def frames(self) -> list[Audio]:
        return [event for event in self.events if isinstance(event, Audio)]

    @property
    def sound(self) -> bytes:
        return b"".join(frame.data for frame in self.frames)

    @property
    def names(self) -> list[str]:
        """The kinds of the events that are not audio."""
        return [type(event).__name__ for event in self.events if not isinstance(event, Audio)]
