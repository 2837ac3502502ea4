"""The connections of one account: as many utterances at once as it has places, and as many sockets."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine
from contextlib import asynccontextmanager
from typing import Any

from providers.base import EngineUnavailable
from providers.volcano.connection import Connection

_CANCEL = 3.0
"""Seconds for the service to give a cancelled session up: it takes about one."""


class Pool:
    """``connect`` opens a connection for a resource. One that has had a session waits ``idle`` seconds for the next,
    and is then finished, before the service closes it.

    Whoever takes a place beyond ``places`` waits in line. A place is free again when the service has given its session
    up, and not before.
    """

    def __init__(self, connect: Callable[[str], Awaitable[Connection]], places: int, idle: float) -> None:
        self._connect = connect
        self._places = places
        self._free = asyncio.Semaphore(places)
        self._taken = 0
        self._idle_for = idle
        self._idle: dict[Connection, tuple[str, asyncio.TimerHandle]] = {}
        """In the order in which they became idle."""
        self._open = 0
        self._tasks: set[asyncio.Task[None]] = set()
        self._closed = False

    @property
    def in_use(self) -> bool:
        return bool(self._open or self._tasks or self._taken)

    @asynccontextmanager
    async def place(self) -> AsyncIterator[None]:
        """For a request that needs no connection of the pool's."""
        await self._take_place()
        try:
            yield
        finally:
            self._leave_place()

    async def take(self, resource: str) -> Connection:
        """A connection without a session, and a place. Goes to exactly one of ``give_back`` and ``give_up``."""
        await self._take_place()
        try:
            while (found := self._pick(resource)) is not None:
                try:
                    alive = await found.alive()
                except BaseException:
                    self._rest(found, resource)
                    raise
                if alive:
                    return found
                await self._close(found)
            await self._make_room()
            return await self._new(resource)
        except BaseException:
            self._leave_place()
            raise

    def give_back(self, connection: Connection, resource: str) -> None:
        """Its session is over, and it can have another."""
        self._leave_place()
        self._rest(connection, resource)

    def give_up(self, connection: Connection, resource: str, session: str | None) -> None:
        """Cancel its session, in the background. ``None``: it has none, or cannot be used any more."""
        self._spawn(self._give_up(connection, resource, session))

    async def close(self) -> None:
        """Finish every connection that is idle, and wait for what is being cancelled."""
        self._closed = True
        for connection in list(self._idle):
            self._expire(connection)
        await self.settled()

    async def settled(self) -> None:
        """Wait until nothing is being cancelled or closed."""
        while self._tasks:
            await asyncio.wait(self._tasks)

    # ----

    async def _take_place(self) -> None:
        self._taken += 1
        try:
            await self._free.acquire()
        except BaseException:
            self._taken -= 1
            raise
        if self._closed:
            self._leave_place()
            raise EngineUnavailable("engine 'volcano' is closed")

    def _leave_place(self) -> None:
        self._taken -= 1
        self._free.release()

    def _pick(self, resource: str) -> Connection | None:
        """The idle one that was used last: the others may grow old."""
        for connection, (of, timer) in reversed(self._idle.items()):
            if of == resource:
                del self._idle[connection]
                timer.cancel()
                return connection
        return None

    async def _make_room(self) -> None:
        while self._open >= self._places:
            if self._idle:
                self._expire(next(iter(self._idle)))
            # What is open and neither idle nor in use is being closed.
            await asyncio.wait(self._tasks, return_when=asyncio.FIRST_COMPLETED)

    async def _new(self, resource: str) -> Connection:
        self._open += 1
        try:
            return await self._connect(resource)
        except BaseException:
            self._open -= 1
            raise

    def _rest(self, connection: Connection, resource: str) -> None:
        connection.reused = True
        timer = asyncio.get_running_loop().call_later(self._idle_for, self._expire, connection)
        self._idle[connection] = resource, timer
        if self._closed:
            self._expire(connection)

    def _expire(self, connection: Connection) -> None:
        _, timer = self._idle.pop(connection)
        timer.cancel()
        self._spawn(self._close(connection))

    async def _close(self, connection: Connection) -> None:
        try:
            await connection.close()
        finally:
            self._open -= 1

    async def _give_up(self, connection: Connection, resource: str, session: str | None) -> None:
        try:
            if session is not None and await connection.cancel(session, _CANCEL):
                self._rest(connection, resource)
            else:
                await self._close(connection)
        finally:
            self._leave_place()

    def _spawn(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
