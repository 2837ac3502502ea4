"""``/api/v3/tts/unidirectional``: a whole text up, its sound down: as a WebSocket, chunked, or server-sent events."""

from __future__ import annotations

import base64
import json
import uuid
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Any

from aiohttp import WSMsgType, web

from providers.volcano.frames import Event, Flags, Frame, FrameError, Kind, Serialization, decode, encode
from tests.support.volcano.accounts import Account
from tests.support.volcano.bidirection import error_frame
from tests.support.volcano.plans import QUOTA, Plan, Refusal
from tests.support.volcano.speaking import Ended, Voice
from tests.support.volcano.speech import Refused, Sentences, manner

if TYPE_CHECKING:
    from tests.support.volcano.service import Record, VolcanoService

_MARKS = {"start": Event.SENTENCE_START, "end": Event.SENTENCE_END, "subtitle": Event.SUBTITLE}
_OK = 20000000
Send = Callable[[bytes], Awaitable[None]]
Mark = Callable[[str, dict[str, Any]], Awaitable[None]]


def _params(data: bytes) -> dict[str, Any]:
    try:
        body = json.loads(data)
    except ValueError:
        return {}
    params = body.get("req_params") if isinstance(body, dict) else None
    return params if isinstance(params, dict) else {}


def _objection(params: dict[str, Any], resource: str) -> Refusal | None:
    if not params:
        return Refusal(45000001, "[Invalid argument] EmptyRequest")
    try:
        manner(params, resource)
    except Refused as refused:
        return refused.refusal
    text = params.get("text")
    if not isinstance(text, str) or not any(map(str.isalnum, text)):
        return Refusal(45002001, "No readable text!")
    return None


async def _speak(
    service: VolcanoService, record: Record, plan: Plan, params: dict[str, Any], resource: str, send: Send, mark: Mark
) -> None:
    """Raises ``Ended``."""
    second = resource.endswith("-2.0")
    voice = Voice(service, record, plan, manner(params, resource), second=second, send=send, mark=mark)
    sentences = Sentences()
    for sentence in (*sentences.feed(params["text"]), *sentences.finish()):
        await voice.say(sentence)
    await voice.finish()


# ---- HTTP


async def chunked(service: VolcanoService, request: web.Request) -> web.StreamResponse:
    def write(event: Event, said: dict[str, Any]) -> bytes:
        return json.dumps(said, ensure_ascii=False).encode() + service.line_break.encode()

    return await _answer(service, request, "unidirectional", "text/plain", write)


async def events(service: VolcanoService, request: web.Request) -> web.StreamResponse:
    def write(event: Event, said: dict[str, Any]) -> bytes:
        return f"event: {event.value}\ndata: {json.dumps(said, ensure_ascii=False)}\n\n".encode()

    return await _answer(service, request, "unidirectional/sse", "text/event-stream", write)


async def _answer(
    service: VolcanoService,
    request: web.Request,
    endpoint: str,
    kind: str,
    write: Callable[[Event, dict[str, Any]], bytes],
) -> web.StreamResponse:
    account = service.accounts.v3(request.headers)
    if isinstance(account, Refusal):
        return service.refusal(request, account)
    resource, params = request.headers["X-Api-Resource-Id"], _params(await request.read())
    plan = service.plan()
    record = service.record(endpoint, uuid.uuid4().hex, account, **params)
    record.texts.append(str(params.get("text", "")))
    with account.place() as taken:
        refusal = plan.refuse or _objection(params, resource) or (None if taken else QUOTA)
        if refusal is not None and refusal.form == "status":
            service.over(record, "refused")
            return service.refusal(request, refusal)
        answer = web.StreamResponse(headers={"Content-Type": kind})
        answer.enable_chunked_encoding()
        await answer.prepare(request)
        if refusal is not None:
            service.over(record, "refused")
            await answer.write(write(Event.SESSION_FAILED, _said(refusal.code, refusal.message)))
            await answer.write_eof()
            return answer
        try:
            await _stream(service, request, answer, record, plan, params, resource, write)
        except ConnectionError:
            service.over(record, "dropped")
        finally:
            if record.outcome == "live":
                service.over(record, "dropped")
    return answer


async def _stream(
    service: VolcanoService,
    request: web.Request,
    answer: web.StreamResponse,
    record: Record,
    plan: Plan,
    params: dict[str, Any],
    resource: str,
    write: Callable[[Event, dict[str, Any]], bytes],
) -> None:
    async def send(pcm: bytes) -> None:
        await answer.write(write(Event.AUDIO, {**_said(0, ""), "data": base64.b64encode(pcm).decode()}))

    async def mark(name: str, said: dict[str, Any]) -> None:
        if name != "start" and (name == "subtitle" or said["words"] or not resource.endswith("-2.0")):
            await answer.write(write(Event.SENTENCE_END, {**_said(0, ""), "sentence": said}))

    try:
        await _speak(service, record, plan, params, resource, send, mark)
    except Ended as ended:
        service.over(record, "finished" if ended.how == "finish" else "failed")
        if ended.how in ("fail", "frame"):
            await answer.write(write(Event.SESSION_FAILED, _said(55000000, "synthesis processing timeout")))
        elif ended.how == "junk":
            await answer.write(b"}]}")
        elif ended.how == "abort" and request.transport is not None:
            request.transport.abort()
            return
        if ended.how != "finish":
            await answer.write_eof()
            return
    usage = {}
    if request.headers.get("X-Control-Require-Usage-Tokens-Return"):
        usage = {"usage": {"text_words": len(params["text"])}}
    service.over(record, "finished")
    await answer.write(write(Event.SESSION_FINISHED, {**_said(_OK, "OK"), **usage}))
    await answer.write_eof()


def _said(code: int, message: str) -> dict[str, Any]:
    return {"code": code, "message": message, "data": None}


# ---- WebSocket


async def stream(service: VolcanoService, request: web.Request) -> web.StreamResponse:
    """One text after another, each told from the others by an id of the service's."""
    account = service.accounts.v3(request.headers)
    if isinstance(account, Refusal):
        return service.refusal(request, account)
    socket = web.WebSocketResponse(max_msg_size=1 << 24, timeout=0.1)
    await socket.prepare(request)
    number = service.opened()
    try:
        while not socket.closed:
            message = await socket.receive(service.pace.idle)
            if message.type is not WSMsgType.BINARY:
                break
            await _take(service, request, socket, account, number, decode(message.data))
    except (ConnectionError, TimeoutError, FrameError):
        await socket.close()
    finally:
        service.closed()
    return socket


async def _take(
    service: VolcanoService,
    request: web.Request,
    socket: web.WebSocketResponse,
    account: Account,
    number: int,
    frame: Frame,
) -> None:
    if frame.event == Event.FINISH_CONNECTION:
        service.goodbyes += 1
        await _say(socket, Event.CONNECTION_FINISHED, {"status_code": _OK, "message": "ok"}, f"connection-{number}")
        return
    if frame.kind is not Kind.REQUEST or frame.flags & Flags.EVENT:
        service.wrong("no text")
        await socket.send_bytes(encode(error_frame(45000000, {"error": "payload unmarshal"})))
        return
    await _one_text(service, request, socket, account, number, _params(frame.payload))


async def _one_text(
    service: VolcanoService,
    request: web.Request,
    socket: web.WebSocketResponse,
    account: Account,
    number: int,
    params: dict[str, Any],
) -> None:
    resource, id, plan = request.headers["X-Api-Resource-Id"], uuid.uuid4().hex, service.plan()
    record = service.record("unidirectional/stream", id, account, number, **params)
    record.texts.append(str(params.get("text", "")))

    async def send(pcm: bytes) -> None:
        sound = Frame(Kind.AUDIO, Flags.EVENT, pcm, Event.AUDIO, id, serialization=Serialization.RAW)
        await socket.send_bytes(encode(sound))

    async def mark(name: str, said: dict[str, Any]) -> None:
        await _say(socket, _MARKS[name], said, id)

    with account.place() as taken:
        refusal = plan.refuse or _objection(params, resource) or (None if taken else QUOTA)
        if refusal is not None:
            service.over(record, "refused")
            await socket.send_bytes(encode(error_frame(refusal.code, {"error": refusal.message})))
            return
        try:
            await _speak(service, record, plan, params, resource, send, mark)
        except Ended as ended:
            service.over(record, "failed")
            if ended.how in ("close", "abort"):
                await socket.close(code=1000, message=b"unexpected error")
            else:
                await _say(socket, Event.SESSION_FAILED, {"status_code": 55000000, "message": "timeout"}, id)
            return
        except ConnectionError:
            service.over(record, "dropped")
            raise
    usage = {}
    if request.headers.get("X-Control-Require-Usage-Tokens-Return"):
        usage = {"usage": {"text_words": len(params["text"])}}
    service.over(record, "finished")
    await _say(socket, Event.SESSION_FINISHED, {"status_code": _OK, "message": "ok", **usage}, id)


async def _say(socket: web.WebSocketResponse, event: Event, said: dict[str, Any], id: str) -> None:
    frame = Frame(Kind.RESPONSE, Flags.EVENT, json.dumps(said, ensure_ascii=False).encode(), event, id)
    await socket.send_bytes(encode(frame))
