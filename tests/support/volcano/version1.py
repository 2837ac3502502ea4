"""``/api/v1/tts``: one answer with all the sound, or frames with a sequence number on a WebSocket for one text."""

from __future__ import annotations

import asyncio
import base64
import json
import uuid
from typing import TYPE_CHECKING, Any

from aiohttp import WSMsgType, web

from providers.volcano.frames import Flags, Frame, Kind, Serialization, decode, encode
from tests.support.volcano.accounts import Account
from tests.support.volcano.bidirection import error_frame
from tests.support.volcano.plans import Plan, Refusal
from tests.support.volcano.speech import Manner

if TYPE_CHECKING:
    from tests.support.volcano.service import Record, VolcanoService

_OK = 3000
_LONGEST = 1024
_QUOTA = Refusal(3003, "quota exceeded for types: concurrency")


def _part(body: dict[str, Any], name: str) -> dict[str, Any]:
    found = body.get(name)
    return found if isinstance(found, dict) else {}


def _body(data: bytes) -> dict[str, Any]:
    try:
        body = json.loads(data)
    except ValueError:
        return {}
    return body if isinstance(body, dict) else {}


def _objection(service: VolcanoService, body: dict[str, Any], operation: str) -> Refusal | None:
    app, audio, asked = (_part(body, name) for name in ("app", "audio", "request"))
    text, id = asked.get("text"), asked.get("reqid")
    wanted = (app.get("token"), app.get("cluster"), _part(body, "user").get("uid"), id)
    if not all(wanted) or asked.get("operation") != operation:
        return Refusal(3001, "invalid request")
    if not service.is_new(str(id)):
        return Refusal(3006, "service interrupted: reqid was used")
    if not str(audio.get("voice_type", "")).startswith(("BV", "zh_", "en_", "S_")):
        return Refusal(3050, "voice does not exist")
    if not isinstance(text, str) or not any(map(str.isalnum, text)):
        return Refusal(3011, "illegal input text!")
    return Refusal(3010, "text is too long") if len(text.encode()) > _LONGEST else None


def _manner(body: dict[str, Any]) -> Manner:
    audio, asked = _part(body, "audio"), _part(body, "request")
    rate, format = audio.get("rate", 24000), audio.get("encoding", "pcm")
    tempo, level = float(audio.get("speed_ratio", 1.0)), float(audio.get("volume_ratio", 1.0))
    return Manner(rate, format, tempo, level, bool(asked.get("with_frontend")))


def _sound(body: dict[str, Any]) -> tuple[bytes, int, list[dict[str, Any]]]:
    """Encoded; how long it is in milliseconds; and its words."""
    how = _manner(body)
    sentence = how.sentence(_part(body, "request")["text"])
    encoder = how.encoder()
    names = {"startTime": "start_time", "endTime": "end_time", "word": "word"}
    words = [{new: word[old] for old, new in names.items()} for word in sentence.words]
    length = len(sentence.pcm) // 2 * 1000 // how.rate
    return encoder.encode(sentence.pcm) + encoder.finish(), length, words


def _status(refusal: Refusal) -> int:
    """Most say no with a status too."""
    return refusal.status if refusal.form == "status" else 200


async def http(service: VolcanoService, request: web.Request) -> web.StreamResponse:
    body, plan = _body(await request.read()), service.plan()
    id = str(_part(body, "request").get("reqid", ""))
    account = service.accounts.v1(request.headers, str(_part(body, "app").get("appid", "")))
    if isinstance(account, Refusal):
        return _no(id, account)
    record = _recorded(service, body, account, "v1")
    with account.place() as taken:
        refusal = plan.refuse or _objection(service, body, "query") or (None if taken else _QUOTA)
        if refusal is not None:
            service.over(record, "refused")
            return _no(id, refusal)
        await _wait(service, plan)
        data, length, words = _sound(body) if not plan.empty else (b"", 0, [])
    service.over(record, "finished")
    addition: dict[str, Any] = {"duration": str(length)}
    if words:
        addition["frontend"] = json.dumps({"words": words, "phonemes": []}, ensure_ascii=False)
    answer = {"reqid": id, "code": _OK, "operation": "query", "message": "Success", "sequence": -1}
    return web.json_response({**answer, "data": base64.b64encode(data).decode(), "addition": addition})


def _no(id: str, refusal: Refusal) -> web.Response:
    body = {"reqid": id, "code": refusal.code, "message": refusal.message, "sequence": -1}
    return web.json_response(body, status=_status(refusal))


def _recorded(service: VolcanoService, body: dict[str, Any], account: Account, endpoint: str) -> Record:
    record = service.record(endpoint, uuid.uuid4().hex, account, **body)
    record.texts.append(str(_part(body, "request").get("text", "")))
    return record


async def _wait(service: VolcanoService, plan: Plan) -> None:
    if plan.hold is not None:
        await plan.hold.wait()
    if latency := service.pace.latency if plan.latency is None else plan.latency:
        await asyncio.sleep(latency)


# ---- WebSocket


async def binary(service: VolcanoService, request: web.Request) -> web.StreamResponse:
    """One text, and the connection is over."""
    socket = web.WebSocketResponse(max_msg_size=1 << 24)
    await socket.prepare(request)
    message = await socket.receive(service.pace.idle)
    if message.type is WSMsgType.BINARY:
        await _one_text(service, request, socket, _body(decode(message.data).payload))
    await socket.close()
    return socket


async def _one_text(
    service: VolcanoService, request: web.Request, socket: web.WebSocketResponse, body: dict[str, Any]
) -> None:
    plan, id = service.plan(), str(_part(body, "request").get("reqid", ""))
    account = service.accounts.v1(request.headers, str(_part(body, "app").get("appid", "")))
    if isinstance(account, Refusal):
        await _refuse(socket, id, account)
        return
    record = _recorded(service, body, account, "v1/ws_binary")
    with account.place() as taken:
        refusal = plan.refuse or _objection(service, body, "submit") or (None if taken else _QUOTA)
        if refusal is not None:
            service.over(record, "refused")
            await _refuse(socket, id, refusal)
            return
        await socket.send_bytes(encode(Frame(Kind.AUDIO, serialization=Serialization.RAW)))
        await _wait(service, plan)
        data = _sound(body)[0] if not plan.empty else b""
        size = max(1, _manner(body).rate * service.pace.chunk_ms // 1000 * 2)
        pieces = [data[at : at + size] for at in range(0, len(data), size)] or [b""]
        for number, piece in enumerate(pieces, 1):
            last = number == len(pieces)
            flags = Flags.SEQUENCE | (Flags.LAST if last else Flags.NONE)
            sequence = -number if last else number
            frame = Frame(Kind.AUDIO, flags, piece, sequence=sequence, serialization=Serialization.RAW)
            await socket.send_bytes(encode(frame))
            record.sent += 1
    service.over(record, "finished")


async def _refuse(socket: web.WebSocketResponse, id: str, refusal: Refusal) -> None:
    said = {"reqid": id, "code": refusal.code, "message": refusal.message, "sequence": -1}
    await socket.send_bytes(encode(error_frame(refusal.code, said)))
