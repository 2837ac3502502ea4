"""The one WebSocket loop: it reads a connection's messages, runs its contexts and sends what they say.

A dialect supplies the words (:class:`SocketDialect`); everything that can go wrong on a socket is dealt with here.
Contexts run beside the loop, so a ``cancel`` is read at once however slow the listener or the engine is.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Generator, Iterable
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from typing import Protocol, cast

from starlette.websockets import WebSocket, WebSocketDisconnect

from gateway.dialects.refusal import refuse
from gateway.dialects.window import Window
from gateway.errors import (
    IllegalMove,
    Internal,
    ListenerGone,
    Overloaded,
    TooManyContexts,
    UnknownContext,
    VoxwireError,
)
from gateway.events import (
    Audio,
    Cancel,
    Cancelled,
    Command,
    End,
    Ended,
    Event,
    Failed,
    Ping,
    Playhead,
    Start,
    Text,
)
from gateway.runtime import Gateway
from gateway.session.session import Session
from gateway.transport import Wire, wire

log = logging.getLogger(__name__)

_LAST = (Ended, Cancelled, Failed)


# An iterator that is used up ends whenever it is asked: one serves for all.
_NOTHING = cast("Generator[None, None, None]", iter(()))


class _AtOnce:
    """What is awaited where there is nothing to wait for."""

    def __await__(self) -> Generator[None, None, None]:
        return _NOTHING


_AT_ONCE = _AtOnce()


@dataclass(slots=True)
class Context:
    """What a dialect may know of one context when it renders its events."""

    name: str
    number: int
    generation: int
    session: Session
    window: Window
    rate: int
    """Samples a second of the output."""
    task: asyncio.Task[None] | None = None


class SocketDialect(Protocol):
    """The words of one API on one connection."""

    name: str
    subprotocol: str | None

    def opening(self) -> Iterable[Command]:
        """What the connection itself asks for, before any message."""

    def commands(self, message: str | bytes) -> Iterable[Command]:
        """Read a message. Raises a ``VoxwireError`` that carries its ``context`` where it has one."""

    def audio(self, context: Context, frame: Audio) -> tuple[bytes, bytes | memoryview] | str:
        """An audio frame for the wire: a header and a payload, or a text message."""

    def event(self, context: Context, event: Event) -> str | None:
        """Any other event for the wire; ``None`` where this API has no word for it."""

    def refusal(self, error: VoxwireError, context: str | None, *, final: bool) -> str:
        """A message was refused. ``final`` is false where its context runs, and goes on."""

    def pong(self) -> str | None:
        """The answer to a ``Ping``."""

    def goaway(self, seconds: float) -> str | None:
        """The server is about to stop, in ``seconds`` at the latest."""

    @property
    def closes(self) -> bool:
        """Whether the connection is over once no context runs."""


class Connection:
    """One accepted WebSocket and its contexts."""

    def __init__(self, socket: WebSocket, dialect: SocketDialect, gateway: Gateway) -> None:
        self._socket = socket
        self._dialect = dialect
        self._gateway = gateway
        self._wire: Wire = wire(socket.scope, socket.send)
        self._contexts: dict[str, Context] = {}
        self._starts = 0
        self._running = 0
        """Contexts whose task is not over; those of them that still say their last word have no name any more."""
        self._closed = False
        self._group = asyncio.TaskGroup()

    async def serve(self) -> None:
        """Accept, and serve until the client goes, the dialect is done or the server stops."""
        most = self._gateway.settings.max_connections
        if len(self._gateway.connections) >= most:
            await refuse(
                self._socket, Overloaded(f"all {most} connections are taken; try again later", retry_after=1.0)
            )
            return
        try:
            await self._socket.accept(subprotocol=self._dialect.subprotocol)
        except WebSocketDisconnect:
            # Gone in the middle of its own handshake.
            return
        gauge = self._gateway.metrics.connections.labels(self._dialect.name)
        gauge.inc()
        self._gateway.connections.add(self)
        try:
            async with self._group:
                try:
                    await self._read()
                finally:
                    for context in self._contexts.values():
                        if context.task is not None:
                            context.task.cancel()
        except* ListenerGone:
            pass
        except* Exception:
            log.exception("a connection failed")
            await self._fail()
        finally:
            self._gateway.connections.discard(self)
            gauge.dec()

    async def _read(self) -> None:
        for command in self._dialect.opening():
            if self._closed:
                return
            await self._obey(command)
        while True:
            message = await self._socket.receive()
            if message["type"] == "websocket.disconnect":
                return
            data = message.get("text")
            try:
                for command in self._dialect.commands(message["bytes"] if data is None else data):
                    await self._obey(command)
            except VoxwireError as error:
                await self._refuse(error, error.context)

    async def _obey(self, command: Command) -> None:
        try:
            await self._do(command)
        except VoxwireError as error:
            await self._refuse(error, getattr(command, "context", None))

    async def _do(self, command: Command) -> None:
        match command:
            case Text():
                self._find(command.context).session.text(command.text, flush=command.flush)
            case Start():
                self._start(command)
            case End():
                self._find(command.context).session.end()
            case Cancel():
                played = command.played_ms
                self._find(command.context).session.cancel(None if played is None else played / 1000)
            case Playhead():
                self._find(command.context).session.playhead(command.played_ms / 1000, command.underruns)
            case Ping():
                answer = self._dialect.pong()
                if answer is not None:
                    await self._wire.send_message(answer)

    def _find(self, name: str) -> Context:
        context = self._contexts.get(name)
        if context is None:
            raise UnknownContext("there is no such context on this connection: it was never started, or is over")
        return context

    def _start(self, command: Start) -> None:
        name = command.context
        if name in self._contexts:
            raise IllegalMove("'start' may not come now: a context of this name is running; cancel it first")
        if self._running >= self._gateway.settings.max_contexts:
            raise TooManyContexts(f"a connection may have {self._gateway.settings.max_contexts} contexts at a time")
        sessions, settings = self._gateway.sessions, self._gateway.settings
        plan = sessions.plan(command.request)
        session = sessions.open(plan, self._dialect.name, command.token)
        taken = {context.number for context in self._contexts.values()}
        number = next(n for n in range(1, self._gateway.settings.max_contexts + 1) if n not in taken)
        self._starts = self._starts % 65_535 + 1
        window = Window(plan.request.pace, settings.unread_s, settings.unread_bytes)
        context = Context(name, number, self._starts, session, window, plan.sample_rate)
        self._contexts[name] = context
        context.task = self._group.create_task(session.run(partial(self._say, context)))
        self._running += 1
        # Not in the task itself: a task that is cancelled before its first step runs none of its code.
        context.task.add_done_callback(lambda _: self._over(session))

    def _over(self, session: Session) -> None:
        self._running -= 1
        self._gateway.sessions.close(session)

    def _say(self, context: Context, event: Event) -> Awaitable[None]:
        """Not a coroutine: most frames leave at once, and a coroutine for each would cost more than that."""
        if type(event) is not Audio:
            return self._say_event(context, event)
        message = self._dialect.audio(context, event)
        if isinstance(message, str) or not self._wire.offer_frame(*message):
            return self._say_when_there_is_room(context, event, message)
        if context.window.sent(event.samples / context.rate, len(event.data)):
            return self._keep_within(context.window)
        return _AT_ONCE

    async def _say_when_there_is_room(
        self, context: Context, frame: Audio, message: tuple[bytes, bytes | memoryview] | str
    ) -> None:
        if isinstance(message, str):
            await self._wire.send_message(message)
        else:
            await self._wire.send_frame(*message)
        if context.window.sent(frame.samples / context.rate, len(frame.data)):
            await self._keep_within(context.window)

    async def _keep_within(self, window: Window) -> None:
        """Send a mark, and wait until the listener has read so much that more may be sent."""
        number = self._wire.mark()
        if number is not None:
            window.marked(number)
        while window.full(self._wire.read):
            await self._wire.reading()

    async def _say_event(self, context: Context, event: Event) -> None:
        last = isinstance(event, _LAST)
        if last:
            # Gone before the client is told, so that it may start the name anew when it hears of it.
            del self._contexts[context.name]
        if isinstance(event, Failed):
            self._gateway.metrics.errors.labels(self._dialect.name, event.error.code).inc()
        message = self._dialect.event(context, event)
        if message is not None:
            await self._wire.send_message(message)
        if last:
            await self._close_if_done(event.error.close_code if isinstance(event, Failed) else 1000)

    async def goaway(self, seconds: float) -> None:
        """Tell the client that the server is about to stop."""
        message = self._dialect.goaway(seconds)
        if message is not None:
            with suppress(ListenerGone):
                await self._wire.send_message(message)

    async def _refuse(self, error: VoxwireError, context: str | None) -> None:
        self._gateway.metrics.errors.labels(self._dialect.name, error.code).inc()
        final = context is not None and context not in self._contexts
        await self._wire.send_message(self._dialect.refusal(error, context, final=final))
        if final:
            await self._close_if_done(error.close_code)

    async def _fail(self) -> None:
        with suppress(WebSocketDisconnect, RuntimeError):
            await self._socket.close(Internal.close_code)

    async def _close_if_done(self, code: int) -> None:
        """Close the connection of a dialect that is over with its last context."""
        if self._contexts or not self._dialect.closes or self._closed:
            return
        self._closed = True
        try:
            await self._socket.close(code)
        except WebSocketDisconnect as error:
            raise ListenerGone from error
