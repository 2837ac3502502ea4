"""The one HTTP answer that carries speech: whatever makes sound runs inside it, and its events become the body.

Nothing is sent before the first sound is there, so that until then an error can still be a proper HTTP status. After
that the only honest way to say that something failed is to cut the connection: the transfer is then broken for
every client, where a short body that ends well would look like a whole one. ``await send()`` is the backpressure,
with a deadline for a client that takes nothing, and a client that vanishes cancels what runs for it at once.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Protocol

from starlette.datastructures import MutableHeaders
from starlette.responses import Response
from starlette.types import Message, Receive, Scope, Send

from gateway.errors import Internal, ListenerGone, VoxwireError
from gateway.events import Audio, Ended, Event, Failed
from gateway.metrics import Metrics
from gateway.session.session import Emit, Plan
from gateway.session.sessions import Sessions

log = logging.getLogger(__name__)

Produce = Callable[[Emit], Awaitable[None]]
"""Makes sound and says it, ending with exactly one ``Ended`` or ``Failed``. A ``VoxwireError`` that it raises is a
``Failed`` too. Cancelling it ends everything that it began."""


class Form(Protocol):
    """How one API writes an answer."""

    @property
    def dialect(self) -> str: ...

    @property
    def headers(self) -> Mapping[str, str]:
        """Of an answer with sound, the content type among them."""

    def audio(self, frame: Audio) -> bytes | memoryview:
        """A frame as a piece of the body."""

    def ended(self, ended: Ended) -> bytes:
        """The last piece of the body."""

    def broken(self, error: VoxwireError) -> bytes:
        """What a client is told in the body before the connection is cut; empty where this API has no word for it."""

    def refused(self, error: VoxwireError) -> Response:
        """The whole answer, where there was no sound."""


@dataclass(frozen=True, slots=True)
class FileForm:
    """The audio and nothing else."""

    dialect: str
    headers: Mapping[str, str]
    refused: Callable[[VoxwireError], Response]

    def audio(self, frame: Audio) -> bytes | memoryview:
        return frame.data

    def ended(self, _: Ended) -> bytes:
        return b""

    def broken(self, _: VoxwireError) -> bytes:
        return b""


class Answer:
    """An ASGI application for one request: runs ``produce`` and sends what it says in ``form``."""

    def __init__(self, produce: Produce, form: Form, metrics: Metrics, send_timeout: float) -> None:
        self.produce = produce
        self.form = form
        self.metrics = metrics
        self.send_timeout = send_timeout

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        transfer = _Transfer(self, scope, receive, send)
        try:
            async with asyncio.TaskGroup() as group:
                watcher = group.create_task(transfer.watch())
                try:
                    await self.produce(transfer.say)
                except VoxwireError as error:
                    await transfer.say(Failed(error))
                except ListenerGone:
                    raise
                except Exception as error:
                    log.error("an answer failed", exc_info=error)
                    await transfer.say(Failed(Internal("the gateway failed; its log has the cause")))
                finally:
                    watcher.cancel()
        except* ListenerGone:
            # An answer that is begun and not complete: the server cuts the connection when it gets this back.
            pass


class _Transfer:
    """One answer on its way."""

    def __init__(self, answer: Answer, scope: Scope, receive: Receive, send: Send) -> None:
        self._form = answer.form
        self._metrics = answer.metrics
        self._timeout = answer.send_timeout
        self._scope = scope
        self._receive = receive
        self._asgi_send = send
        self._begun = False
        self._over = False

    async def watch(self) -> None:
        """Raises ``ListenerGone`` when the client does not wait for the answer any more."""
        while (await self._receive())["type"] != "http.disconnect":
            pass
        if not self._over:
            raise ListenerGone

    async def say(self, event: Event) -> None:
        if type(event) is Audio:
            await self._begin()
            await self._body(self._form.audio(event), more=True)
        elif isinstance(event, Ended):
            await self._begin()
            await self._body(self._form.ended(event), more=False)
            self._over = True
        elif isinstance(event, Failed):
            await self._fail(event.error)

    async def _begin(self) -> None:
        if not self._begun:
            self._begun = True
            headers = MutableHeaders(self._form.headers)
            await self._send({"type": "http.response.start", "status": 200, "headers": headers.raw})

    async def _body(self, data: bytes | memoryview, *, more: bool) -> None:
        # Servers measure and join the pieces, so a view must have become bytes.
        await self._send({"type": "http.response.body", "body": bytes(data), "more_body": more})

    async def _fail(self, error: VoxwireError) -> None:
        self._metrics.errors.labels(self._form.dialect, error.code).inc()
        if self._begun:
            last_words = self._form.broken(error)
            if last_words:
                await self._body(last_words, more=True)
            raise ListenerGone
        self._over = True
        await self._form.refused(error)(self._scope, self._receive, self._send)

    async def _send(self, message: Message) -> None:
        try:
            async with asyncio.timeout(self._timeout):
                await self._asgi_send(message)
        except OSError as error:  # of which TimeoutError is one
            raise ListenerGone from error


def speech(sessions: Sessions, plan: Plan, text: str, dialect: str, token: str | None = None) -> Produce:
    """Speak ``text`` in a session that lives exactly as long as the answer."""

    async def produce(emit: Emit) -> None:
        session = sessions.open(plan, dialect, token)
        try:
            session.text(text)
            session.end()
            await session.run(emit)
        finally:
            sessions.close(session)

    return produce
