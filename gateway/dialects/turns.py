"""A WebSocket whose requests are spoken one after the other, for APIs whose frames do not say to which they belong."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from typing import Protocol

from starlette.websockets import WebSocket

from gateway.dialects.socket import Connection, SocketDialect
from gateway.errors import VoxwireError
from gateway.events import Command
from gateway.runtime import Gateway
from gateway.session.session import Session


class TurnDialect(SocketDialect, Protocol):
    """A dialect that keeps requests back while one of them is spoken."""

    def following(self) -> Iterable[Command]:
        """A context is over: the commands of the request that is next. Raises what is wrong with it, and is then asked
        again."""
        ...


class Turns(Connection):
    """One accepted WebSocket, whose dialect is asked for more whenever a context is over."""

    def __init__(self, socket: WebSocket, dialect: TurnDialect, gateway: Gateway) -> None:
        super().__init__(socket, dialect, gateway)
        self._turns = dialect
        self._next = asyncio.Event()

    async def _read(self) -> None:
        follower = self._group.create_task(self._follow())
        try:
            await super()._read()
        finally:
            follower.cancel()

    def _over(self, session: Session) -> None:
        super()._over(session)
        self._next.set()

    async def _follow(self) -> None:
        while True:
            await self._next.wait()
            self._next.clear()
            try:
                for command in self._turns.following():
                    await self._obey(command)
            except VoxwireError as error:
                await self._refuse(error, error.context)
                self._next.set()
