"""The duplex door, ``WS /v1/stream``: ``docs/protocol.md`` in code, in the same order."""

from __future__ import annotations

import struct
from collections.abc import Iterable
from typing import Annotated, Any, Literal

import orjson
from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError
from starlette.routing import BaseRoute, WebSocketRoute
from starlette.websockets import WebSocket

from gateway.dialects.refusal import authenticate, refuse
from gateway.dialects.socket import Connection, Context
from gateway.errors import BadMessage, BadRequest, VoxwireError
from gateway.events import (
    Audio,
    Cancel,
    Cancelled,
    Command,
    End,
    Ended,
    Event,
    Failed,
    Pace,
    Ping,
    Playhead,
    Priority,
    Queued,
    SpeechRequest,
    Start,
    Started,
    Text,
    Words,
)
from gateway.runtime import Gateway

SUBPROTOCOL = "voxwire.v1"
VERSION = 1
AUDIO = 1
HEADER = struct.Struct("!BBBxHHII")
"""version, type, flags, context number, generation, sequence, position: 16 bytes."""
assert HEADER.size == 16


FIRST = 1
"""The flag of a context's first frame."""


# ---- client messages, in the order of docs/protocol.md


class _Message(BaseModel):
    model_config = ConfigDict(extra="ignore")


ContextName = Annotated[str, Field(min_length=1, max_length=128)]


class StartMessage(_Message):
    type: Literal["start"]
    context: ContextName
    voice: str | None = None
    provider: str | None = None
    model: str | None = None
    format: str = "pcm16"
    sample_rate: int | None = None
    language: str | None = None
    speed: float = 1.0
    pace: Pace = Pace.REALTIME
    priority: Priority = Priority.INTERACTIVE
    frame_ms: int | None = Field(None, ge=10, le=200)
    pad: bool = False
    bit_rate: int | None = Field(None, ge=1)
    timestamps: bool = False
    options: dict[str, Any] = Field(default_factory=dict, max_length=32)


class TextMessage(_Message):
    type: Literal["text"]
    context: ContextName
    text: str
    flush: bool = False


class EndMessage(_Message):
    type: Literal["end"]
    context: ContextName


class CancelMessage(_Message):
    type: Literal["cancel"]
    context: ContextName
    played_ms: float | None = Field(None, ge=0)


class PlayheadMessage(_Message):
    type: Literal["playhead"]
    context: ContextName
    played_ms: float = Field(ge=0)
    underruns: int | None = Field(None, ge=0, le=1_000_000)


class PingMessage(_Message):
    type: Literal["ping"]


ClientMessage = Annotated[
    StartMessage | TextMessage | EndMessage | CancelMessage | PlayheadMessage | PingMessage,
    Field(discriminator="type"),
]
_CLIENT: TypeAdapter[ClientMessage] = TypeAdapter(ClientMessage)


def parse(message: str | bytes) -> Command:
    """One client message as a command. Raises ``BadMessage`` or ``BadRequest``, with ``context`` set where the
    message named one."""
    if isinstance(message, bytes):
        raise BadMessage("client messages are JSON in text frames; this was a binary frame")
    try:
        data = orjson.loads(message)
    except orjson.JSONDecodeError as error:
        raise BadMessage(f"this is not JSON: {error.msg} at character {error.pos}") from None
    if not isinstance(data, dict):
        raise BadMessage("a message is a JSON object")
    try:
        return _command(_CLIENT.validate_python(data))
    except ValidationError as error:
        raise _explained(error, data) from None


def _command(message: Any) -> Command:
    match message:
        case TextMessage():
            return Text(message.context, message.text, message.flush)
        case StartMessage():
            fields = message.model_dump(exclude={"type", "context"})
            return Start(message.context, SpeechRequest(**fields))
        case EndMessage():
            return End(message.context)
        case CancelMessage():
            return Cancel(message.context, message.played_ms)
        case PlayheadMessage():
            return Playhead(message.context, message.played_ms, message.underruns)
        case _:
            return Ping()


_OUT_OF_RANGE = {"greater_than_equal", "less_than_equal", "enum", "string_too_short", "string_too_long"}


def _explained(error: ValidationError, data: dict[str, Any]) -> VoxwireError:
    """The first thing that is wrong, as a sentence; the caller's own values are not repeated."""
    first = error.errors(include_input=False, include_url=False)[0]
    path = [str(part) for part in first["loc"][1:]] or ["type"]
    kind = BadRequest if first["type"] in _OUT_OF_RANGE else BadMessage
    reason = first["msg"][0].lower() + first["msg"][1:]
    if first["type"] == "union_tag_invalid":
        reason = f"there is no such message; there are: {first['ctx']['expected_tags']}"
    explained = kind(f"{'.'.join(path)}: {reason}")
    context = data.get("context")
    explained.context = context if isinstance(context, str) else None
    return explained


# ---- server events


class NativeDialect:
    """One connection's voice in the native protocol."""

    name = "native"
    closes = False

    def __init__(self, subprotocol: str | None) -> None:
        self.subprotocol = subprotocol

    def opening(self) -> Iterable[Command]:
        return ()

    def commands(self, message: str | bytes) -> Iterable[Command]:
        return (parse(message),)

    def audio(self, context: Context, frame: Audio) -> tuple[bytes, bytes | memoryview]:
        flags = FIRST if frame.sequence == 0 else 0
        return (
            HEADER.pack(
                VERSION,
                AUDIO,
                flags,
                context.number,
                context.generation,
                frame.sequence,
                frame.position & 0xFFFFFFFF,
            ),
            frame.data,
        )

    def event(self, context: Context, event: Event) -> str | None:
        return _render(_fields(context, event))

    def refusal(self, error: VoxwireError, context: str | None, *, final: bool) -> str:
        return _render(_error_fields(error, context, final=final))

    def pong(self) -> str:
        return '{"type":"pong"}'

    def goaway(self, seconds: float) -> str:
        return _render({"type": "goaway", "deadline_ms": round(seconds * 1000)})


def _fields(context: Context, event: Event) -> dict[str, Any]:
    name = context.name
    match event:
        case Queued():
            eta = None if event.eta is None else round(event.eta * 1000)
            return {"type": "queued", "context": name, "position": event.position, "eta_ms": eta}
        case Started():
            return {
                "type": "started",
                "context": name,
                "number": context.number,
                "generation": context.generation,
                "token": event.token,
                "provider": event.provider,
                "voice": event.voice,
                "format": event.format,
                "sample_rate": event.sample_rate,
            }
        case Words():
            words = [word._asdict() for word in event.words]
            return {"type": "words", "context": name, "words": words, "estimated": event.estimated}
        case Ended():
            ttfa = None if event.ttfa is None else round(event.ttfa * 1000, 1)
            audio = round(event.audio * 1000, 1)
            return {
                "type": "ended",
                "context": name,
                "audio_ms": audio,
                "ttfa_ms": ttfa,
                "frames": event.frames,
            }
        case Cancelled():
            return {
                "type": "cancelled",
                "context": name,
                "stop_ms": round(event.stop * 1000, 1),
                "text_spoken": event.text_spoken,
                "text_remaining": event.text_remaining,
            }
        case Failed():
            return _error_fields(event.error, name, final=True)
        case Audio():
            raise AssertionError("audio is not an event in JSON")


def _error_fields(error: VoxwireError, context: str | None, *, final: bool) -> dict[str, Any]:
    fields: dict[str, Any] = {"type": "error"}
    if context is not None:
        fields["context"] = context
    fields |= {"code": error.code, "message": error.message, "retryable": error.retryable, "final": final}
    if error.retry_after is not None:
        fields["retry_after_ms"] = round(error.retry_after * 1000)
    return fields


def _render(fields: dict[str, Any]) -> str:
    return orjson.dumps(fields).decode()


# ---- the route


def routes(gateway: Gateway) -> list[BaseRoute]:
    async def stream(socket: WebSocket) -> None:
        try:
            authenticate(gateway.keys, socket)
            dialect = NativeDialect(_subprotocol(socket))
        except VoxwireError as error:
            await refuse(socket, error)
            return
        await Connection(socket, dialect, gateway).serve()

    return [WebSocketRoute("/v1/stream", stream)]


def _subprotocol(socket: WebSocket) -> str | None:
    offered = socket.scope.get("subprotocols", [])
    if not offered:
        return None
    if SUBPROTOCOL not in offered:
        raise BadRequest(f"this door speaks the subprotocol {SUBPROTOCOL}")
    return SUBPROTOCOL
