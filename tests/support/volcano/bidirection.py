"""``/api/v3/tts/bidirection``: sessions one after another on a WebSocket, text up while sound comes down."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Coroutine
from typing import TYPE_CHECKING, Any

from aiohttp import WSMsgType, web

from providers.volcano.frames import Event, Flags, Frame, FrameError, Kind, Serialization, decode, encode
from tests.support.volcano.accounts import Account
from tests.support.volcano.plans import QUOTA, Plan, Refusal
from tests.support.volcano.speaking import Ended, Voice
from tests.support.volcano.speech import Refused, Sentences, manner
from tests.support.volcano.voices import unidirectional_only

if TYPE_CHECKING:
    from tests.support.volcano.service import Record, VolcanoService

_MARKS = {"start": Event.SENTENCE_START, "end": Event.SENTENCE_END, "subtitle": Event.SUBTITLE}
_UNKNOWN: Any = 999
_OK = {"status_code": 20000000, "message": "ok"}


async def serve(service: VolcanoService, request: web.Request) -> web.StreamResponse:
    account = service.accounts.v3(request.headers)
    if isinstance(account, Refusal):
        return service.refusal(request, account)
    socket = web.WebSocketResponse(max_msg_size=1 << 24, timeout=0.1)
    await socket.prepare(request)
    connection = Connection(service, request, socket, account)
    try:
        await connection.run()
    except ConnectionError:
        # The client is gone while it was spoken to.
        pass
    finally:
        await connection.close()
    return socket


class Session:
    """Its place is the account's from its start until it is given up."""

    def __init__(self, record: Record, account: Account) -> None:
        self.record = record
        self.texts: asyncio.Queue[str | None] = asyncio.Queue()
        self.finished = False
        self.over = False
        self.task: asyncio.Task[None] | None = None
        self._account = account
        self._holds = True

    def leave(self) -> None:
        if self._holds:
            self._holds = False
            self._account.leave()


class Connection:
    def __init__(
        self, service: VolcanoService, request: web.Request, socket: web.WebSocketResponse, account: Account
    ) -> None:
        self._service = service
        self._socket = socket
        self._account = account
        self._resource = request.headers["X-Api-Resource-Id"]
        self._usage = request.headers.get("X-Control-Require-Usage-Tokens-Return") in ("*", "text_words")
        self._number = service.opened()
        self._id = request.headers.get("X-Api-Connect-Id") or f"connection-{self._number}"
        self._started = False
        self._session: Session | None = None
        self._last: str | None = None
        self._tasks: set[asyncio.Task[object]] = set()
        self._timer: asyncio.TimerHandle | None = None

    # ---- what comes

    async def run(self) -> None:
        self._watch()
        while not self._socket.closed:
            message = await self._socket.receive()
            if message.type is not WSMsgType.BINARY:
                return
            try:
                await self._take(decode(message.data))
            except FrameError as error:
                self._service.wrong(f"no frame: {error}")
                await self._error(45000000, f"payload unmarshal: {error}")
            self._watch()

    def _watch(self) -> None:
        """For how long nothing may come from the client."""
        if self._timer is not None:
            self._timer.cancel()
        loop, pace = asyncio.get_running_loop(), self._service.pace
        if self._session is None:
            self._timer = loop.call_later(pace.idle, self._spawn, self._socket.close)
        elif not self._session.finished:
            self._timer = loop.call_later(pace.send, self._spawn, self._too_slow)

    async def _too_slow(self) -> None:
        session = self._session
        if session is not None and session.task is not None:
            session.task.cancel()
            await asyncio.wait([session.task])
            self._over(session, "failed")
            await self._error(55000000, "client send timeout")

    def _spawn(self, work: Callable[[], Coroutine[Any, Any, object]]) -> None:
        task = asyncio.create_task(work())
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _take(self, frame: Frame) -> None:
        if frame.kind is not Kind.REQUEST or not frame.flags & Flags.EVENT:
            await self._abuse("a frame without an event")
        elif frame.event == Event.START_CONNECTION:
            self._started = True
            await self._say(Event.CONNECTION_STARTED, {}, self._id)
        elif not self._started:
            await self._abuse("no StartConnection")
        elif frame.event == Event.FINISH_CONNECTION:
            self._service.goodbyes += 1
            await self._say(Event.CONNECTION_FINISHED, _OK, self._id)
        elif frame.event == Event.START_SESSION:
            await self._start(frame)
        else:
            await self._for_session(frame)

    async def _for_session(self, frame: Frame) -> None:
        session = self._session
        if session is None or session.record.id != frame.id:
            cancels = frame.event == Event.CANCEL_SESSION
            if not (self._service.has_ended(frame.id) if cancels else self._service.has_failed(frame.id)):
                self._service.wrong(f"event {frame.event} for a session that does not live")
            reason = f"non-exist session: {frame.id}"[:120]
            await self._socket.close(code=1000, message=reason.encode())
        elif frame.event == Event.TASK_REQUEST:
            await self._text(session, frame)
        elif frame.event == Event.FINISH_SESSION:
            session.finished = True
            session.texts.put_nowait(None)
        elif frame.event == Event.CANCEL_SESSION:
            await self._cancel(session)

    async def _text(self, session: Session, frame: Frame) -> None:
        body = _json(frame)
        params = body.get("req_params")
        text = params.get("text") if isinstance(params, dict) else None
        if session.finished or not isinstance(text, str):
            await self._abuse("text after the end, or none")
            return
        session.record.texts.append(text)
        self._service.changed()
        session.texts.put_nowait(text)

    # ---- sessions

    async def _start(self, frame: Frame) -> None:
        if self._session is not None:
            self._service.wrong("two sessions at once")
            await self._error(55000000, "session number limit exceeded: 1")
            return
        if not frame.id or not self._service.is_new(frame.id):
            await self._abuse("a session id that is missing, or was used")
            return
        params = _json(frame).get("req_params")
        params = params if isinstance(params, dict) else {}
        plan = self._service.plan()
        record = self._service.record("bidirection", frame.id, self._account, self._number, **params)
        refusal = plan.refuse or self._objection(params)
        if refusal is None and not self._account.take():
            refusal = QUOTA
        if refusal is not None:
            self._service.over(record, "refused")
            await self._refuse(frame.id, refusal)
            return
        session = self._session = Session(record, self._account)
        if plan.mute:
            return
        if plan.echo:
            await self._echo()
        await self._say(Event.SESSION_STARTED, {}, frame.id)
        if plan.echo:
            await self._echo()
        session.task = asyncio.create_task(self._speak(session, plan, params))
        session.task.add_done_callback(self._look)

    async def _echo(self) -> None:
        await self._say(_UNKNOWN, {}, "")
        if self._last is not None:
            for event in (Event.SESSION_CANCELED, Event.SESSION_FINISHED, Event.SESSION_FAILED):
                await self._say(event, {"status_code": 55000000, "message": "late"}, self._last)
            frame = Frame(Kind.AUDIO, Flags.EVENT, b"\0\0", Event.AUDIO, self._last, serialization=Serialization.RAW)
            await self._socket.send_bytes(encode(frame))

    def _objection(self, params: dict[str, Any]) -> Refusal | None:
        try:
            manner(params, self._resource)
        except Refused as refused:
            return refused.refusal
        if unidirectional_only(params["speaker"]):
            return Refusal(45000001, "[Invalid argument] speaker does not support bidirection")
        return None

    async def _refuse(self, id: str, refusal: Refusal) -> None:
        if refusal.form == "event":
            said = {"status_code": refusal.code, "message": refusal.message}
            await self._say(Event.SESSION_FAILED, said, id)
        else:
            await self._error(refusal.code, refusal.message)

    async def _speak(self, session: Session, plan: Plan, params: dict[str, Any]) -> None:
        record = session.record

        async def send(pcm: bytes) -> None:
            frame = Frame(Kind.AUDIO, Flags.EVENT, pcm, Event.AUDIO, record.id, serialization=Serialization.RAW)
            await self._socket.send_bytes(encode(frame))

        async def mark(name: str, said: dict[str, Any]) -> None:
            await self._say(_MARKS[name], said, record.id)

        second = self._resource.endswith("-2.0")
        voice = Voice(self._service, record, plan, manner(params, self._resource), second=second, send=send, mark=mark)
        sentences = Sentences()
        try:
            while (text := await session.texts.get()) is not None:
                for sentence in sentences.feed(text):
                    await voice.say(sentence)
            for sentence in sentences.finish():
                await voice.say(sentence)
            await voice.finish()
        except Ended as ended:
            await self._end(session, ended.how)
        except (ConnectionError, asyncio.CancelledError):
            # What is left of it is its connection's to settle.
            pass
        else:
            await self._end(session, "finish")

    def _look(self, task: asyncio.Task[None]) -> None:
        """A defect of this server's ends the connection, and is a problem for the test."""
        if not task.cancelled() and (error := task.exception()) is not None:
            self._service.wrong(repr(error))
            _abort(self._socket)

    async def _end(self, session: Session, how: str) -> None:
        """The place is free when its end is said, and no sooner."""
        if session.over:
            return
        record = session.record
        self._over(session, "finished" if how == "finish" else "failed")
        self._watch()
        if how == "finish":
            usage = {"usage": {"text_words": len(record.text)}} if self._usage else {}
            await self._say(Event.SESSION_FINISHED, {**_OK, **usage}, record.id)
        elif how == "fail":
            said = {"status_code": 55000000, "message": "synthesis processing timeout"}
            await self._say(Event.SESSION_FAILED, said, record.id)
        elif how == "frame":
            await self._error(55000000, "connect downstream service timeout")
        elif how == "close":
            await self._socket.close(code=1000, message=b"unexpected error")
        elif how == "junk":
            await self._socket.send_bytes(b"\x11\xff\xff")
        else:
            _abort(self._socket)

    async def _cancel(self, session: Session) -> None:
        if session.task is not None:
            session.task.cancel()
            await asyncio.wait([session.task])
        if session.over:
            return
        release = self._service.pace.release
        self._over(session, "canceled", leaves=not release)
        if isinstance(release, asyncio.Event):
            self._spawn(lambda: _leave(session, release))
        elif release:
            asyncio.get_running_loop().call_later(release, session.leave)
        await self._say(Event.SESSION_CANCELED, _OK, session.record.id)

    def _over(self, session: Session, outcome: str, *, leaves: bool = True) -> None:
        session.over = True
        self._session, self._last = None, session.record.id
        self._service.over(session.record, outcome)
        if leaves:
            session.leave()

    async def close(self) -> None:
        """The connection is gone, and all that lived on it."""
        if self._timer is not None:
            self._timer.cancel()
        session = self._session
        if session is not None:
            if session.task is not None:
                session.task.cancel()
                await asyncio.wait([session.task])
            self._over(session, "dropped")
        if self._tasks:
            await asyncio.wait(self._tasks)
        self._service.closed()

    # ---- what goes

    async def _say(self, event: Event, said: dict[str, Any], id: str) -> None:
        frame = Frame(Kind.RESPONSE, Flags.EVENT, json.dumps(said, ensure_ascii=False).encode(), event, id)
        await self._socket.send_bytes(encode(frame))

    async def _error(self, code: int, message: str) -> None:
        await self._socket.send_bytes(encode(error_frame(code, {"error": message})))

    async def _abuse(self, what: str) -> None:
        self._service.wrong(what)
        await self._error(45000000, what)


async def _leave(session: Session, released: asyncio.Event) -> None:
    await released.wait()
    session.leave()


def error_frame(code: int, said: dict[str, Any]) -> Frame:
    return Frame(Kind.ERROR, Flags.NONE, json.dumps(said).encode(), code=code)


def _json(frame: Frame) -> dict[str, Any]:
    try:
        read = json.loads(frame.payload)
    except ValueError:
        return {}
    return read if isinstance(read, dict) else {}


def _abort(socket: web.WebSocketResponse) -> None:
    """The network is gone."""
    request = socket._req
    if request is not None and request.transport is not None:
        request.transport.abort()
