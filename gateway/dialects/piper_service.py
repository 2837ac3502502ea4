"""The door of an earlier Piper service (DenMantm/second-brain, ``apps/tts-service``), for its clients. Any engine can
serve it.

That service spoke one request at a time, under a lock, since two at once broke its model. Here an engine has as many
places as it has models; who waits for one waits in order, and a client that goes gives its place up.

``docs/dialects.md`` says where this door is more than the earlier one.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable
from dataclasses import replace
from typing import Any, Literal

import orjson
import pybase64
from pydantic import BaseModel, ConfigDict, Field, ValidationError
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route, WebSocketRoute
from starlette.websockets import WebSocket

from audio import wav
from gateway.dialects.body import body_limit, read_object
from gateway.dialects.choice import choose
from gateway.dialects.detail import guarded, refused
from gateway.dialects.packed import PackedJson
from gateway.dialects.refusal import authenticate, json_response, refuse
from gateway.dialects.responder import Answer, FileForm, Form, Produce, speech
from gateway.dialects.socket import Context
from gateway.dialects.turns import Turns
from gateway.dialects.whole import Spoken, WholeJson, WholeWav, whole
from gateway.errors import BadMessage, BadRequest, Overloaded, TextTooLong, VoxwireError
from gateway.events import Audio, Command, End, Ended, Event, Failed, Pace, SpeechRequest, Start, Text
from gateway.runtime import Gateway
from gateway.session.session import Plan
from providers.base import Provider, Voice

DIALECT = "piper_service"
ENGINE = "piper"
"""Asked for a voice before the others, where there is one of this id."""
VOICES = ("default", "assistant", "reader")
"""The earlier service's own names: the default voice, where nobody has one of that name."""
PREFIXES = ("", "/api/tts")
"""The service's document names its routes without the second, and it serves them with it."""
FRAME_MS = 100
MAX_CHARACTERS = 10_000
MAX_PENDING = 100
"""Requests that wait on one socket."""
CONTEXT = ""


# ---- requests and answers


class SynthesizeBody(BaseModel):
    """What the two routes take. Only ``text`` must be there."""

    model_config = ConfigDict(extra="ignore")

    text: str = Field(min_length=1, max_length=MAX_CHARACTERS)
    voice: str | None = Field(None, max_length=256)
    speed: float = Field(1.0, ge=0.5, le=2.0)
    format: Literal["wav", "mp3", "webm"] = "wav"


class SynthesizeMessage(BaseModel):
    """What a client says on the socket."""

    model_config = ConfigDict(extra="ignore")

    type: Literal["synthesize"]
    text: str = Field(min_length=1, max_length=MAX_CHARACTERS)
    voice: str | None = Field(None, max_length=256)
    speed: float = Field(1.0, ge=0.5, le=2.0)


class VoiceAnswer(BaseModel):
    id: str
    name: str
    language: str
    gender: str
    """``male``, ``female``, or ``neutral``, also where it is not known."""
    provider: str


class VoicesAnswer(BaseModel):
    voices: list[VoiceAnswer]


def plan(gateway: Gateway, asked: SynthesizeBody | SynthesizeMessage, format_: str = "pcm16") -> Plan:
    """Everything that was asked for, found. Raises what ``Sessions.plan`` does, and ``TextTooLong``."""
    limit = gateway.settings.max_text_characters
    if len(asked.text) > limit:
        raise TextTooLong(f"text may have {limit} characters")
    request = SpeechRequest(
        voice=asked.voice or None, speed=asked.speed, format=format_, pace=Pace.BURST, frame_ms=FRAME_MS
    )
    return gateway.sessions.plan(choose(gateway, request, ENGINE, VOICES))


# ---- over HTTP


def _figures(duration: float, format_: str, rate: int, took: float) -> dict[str, Any]:
    """What stands behind the file. Seconds, and Hz."""
    return {
        "duration": round(duration, 3),
        "format": format_,
        "sample_rate": rate,
        "processing_time": round(took, 3),
    }


def _described(spoken: Spoken) -> dict[str, Any]:
    return _figures(spoken.duration, "wav", spoken.sample_rate, spoken.took)


def _times(spoken: Spoken) -> dict[str, str]:
    return {"x-audio-duration": f"{spoken.duration:.3f}", "x-processing-time": f"{spoken.took:.3f}"}


def packed(gateway: Gateway, body: SynthesizeBody) -> tuple[Produce, Form]:
    """The file in JSON. Raises what ``plan`` does."""
    if body.format == "wav":
        form = WholeJson(DIALECT, "audio", _described, refused)
        return whole(gateway, plan(gateway, body), body.text, DIALECT, form.tell), form
    planned, clock, began = plan(gateway, body, body.format), gateway.clock, gateway.clock.now()

    def described(ended: Ended) -> dict[str, Any]:
        return _figures(ended.audio, body.format, planned.sample_rate, clock.now() - began)

    return speech(gateway.sessions, planned, body.text, DIALECT), PackedJson(DIALECT, "audio", described, refused)


def filed(gateway: Gateway, body: SynthesizeBody) -> tuple[Produce, Form]:
    """The file alone. Raises what ``plan`` does."""
    if body.format == "wav":
        form = WholeWav(DIALECT, _times, refused)
        return whole(gateway, plan(gateway, body), body.text, DIALECT, form.tell), form
    planned = plan(gateway, body, body.format)
    headers = {"content-type": planned.format.mime.partition(";")[0]}
    return speech(gateway.sessions, planned, body.text, DIALECT), FileForm(DIALECT, headers, refused)


def voices(gateway: Gateway) -> VoicesAnswer:
    """Piper's before the others."""
    found = [_voice(provider, voice) for provider, voice in gateway.providers.voices]
    return VoicesAnswer(voices=sorted(found, key=lambda voice: voice.provider != ENGINE))


def _voice(provider: Provider, voice: Voice) -> VoiceAnswer:
    gender = "neutral" if voice.gender is None else voice.gender
    return VoiceAnswer(id=voice.id, name=voice.name, language=voice.language, gender=gender, provider=provider.id)


# ---- over a WebSocket


class StreamDialect:
    """The voice of one socket: requests, spoken in turn. ``count`` is called for each, and raises ``RateLimited``."""

    name = DIALECT
    subprotocol: str | None = None
    closes = False

    def __init__(self, gateway: Gateway, count: Callable[[], None]) -> None:
        self._gateway = gateway
        self._count = count
        self._pending: deque[tuple[SpeechRequest, str] | VoxwireError] = deque()
        """An error waits, too: it is the answer to a request, and comes in its turn."""
        self._speaking = False

    def opening(self) -> Iterable[Command]:
        return ()

    def commands(self, message: str | bytes) -> Iterable[Command]:
        if len(self._pending) >= MAX_PENDING:
            raise Overloaded(f"{MAX_PENDING} requests wait on this socket already; wait for one to be complete")
        self._pending.append(self._checked(message))
        return () if self._speaking else self._begin()

    def following(self) -> Iterable[Command]:
        self._speaking = False
        return self._begin()

    def _checked(self, message: str | bytes) -> tuple[SpeechRequest, str] | VoxwireError:
        try:
            asked = parse(message)
            self._count()
            planned = plan(self._gateway, asked)
        except VoxwireError as error:
            return error
        return replace(planned.request, voice=planned.voice.id, provider=planned.provider.id), asked.text

    def _begin(self) -> Iterable[Command]:
        while self._pending and not self._speaking:
            found = self._pending.popleft()
            if isinstance(found, VoxwireError):
                raise found
            self._speaking = True
            yield Start(CONTEXT, found[0])
            if self._speaking:
                yield Text(CONTEXT, found[1])
                yield End(CONTEXT)

    def audio(self, context: Context, frame: Audio) -> str:
        data = pybase64.b64encode_as_string(wav.header(context.rate, frame.samples) + frame.data)
        return f'{{"type":"audio_chunk","data":"{data}","sequence_id":{frame.sequence},"is_last":false}}'

    def event(self, _: Context, event: Event) -> str | None:
        if isinstance(event, Ended):
            return f'{{"type":"complete","sequence_id":{event.frames},"is_last":true}}'
        return _error(event.error) if isinstance(event, Failed) else None

    def refusal(self, error: VoxwireError, context: str | None, *, final: bool) -> str:
        if final:
            self._speaking = False
        return _error(error)

    def pong(self) -> None:
        return None

    def goaway(self, seconds: float) -> None:
        return None


def parse(message: str | bytes) -> SynthesizeMessage:
    """Raises ``BadMessage`` and ``BadRequest``."""
    try:
        data = orjson.loads(message)
    except orjson.JSONDecodeError as error:
        raise BadMessage(f"this is not JSON: {error.msg} at character {error.pos}") from None
    if not isinstance(data, dict):
        raise BadMessage("a message is a JSON object")
    if data.get("type") != "synthesize":
        raise BadRequest("unknown message type; there is: synthesize")
    try:
        return SynthesizeMessage.model_validate(data)
    except ValidationError as error:
        first = error.errors(include_input=False, include_url=False, include_context=False)[0]
        raise BadRequest(f"{first['loc'][0]}: {first['msg'][:1].lower()}{first['msg'][1:]}") from None


def _error(error: VoxwireError) -> str:
    said = {"type": "error", "message": error.message, "code": error.code, "retryable": error.retryable}
    return orjson.dumps(said).decode()


# ---- the routes


def routes(gateway: Gateway) -> list[BaseRoute]:
    settings = gateway.settings
    limit = body_limit(settings)

    async def read(request: Request) -> SynthesizeBody:
        gateway.rate_limit.count(request.client.host if request.client else "")
        return SynthesizeBody.model_validate(await read_object(request, limit=limit, seconds=settings.send_timeout))

    def answer(produce: Produce, form: Form) -> Answer:
        return Answer(produce, form, gateway.metrics, settings.send_timeout)

    async def synthesize(request: Request) -> Answer:
        return answer(*packed(gateway, await read(request)))

    async def binary(request: Request) -> Answer:
        return answer(*filed(gateway, await read(request)))

    async def list_voices(_: Request) -> Response:
        return json_response(voices(gateway).model_dump())

    async def ping(_: Request) -> Response:
        return json_response({"status": "pong"})

    async def stream(socket: WebSocket) -> None:
        try:
            authenticate(gateway.keys, socket)
        except VoxwireError as error:
            gateway.metrics.errors.labels(DIALECT, error.code).inc()
            await refuse(socket, error)
            return
        address = socket.client.host if socket.client else ""
        await Turns(socket, StreamDialect(gateway, lambda: gateway.rate_limit.count(address)), gateway).serve()

    found: list[BaseRoute] = [
        Route("/ping", ping),
        Route("/api/tts/voices", guarded(gateway, DIALECT, list_voices)),
    ]
    for prefix in PREFIXES:
        found += [
            Route(f"{prefix}/synthesize", guarded(gateway, DIALECT, synthesize), methods=["POST"]),
            Route(f"{prefix}/synthesize/binary", guarded(gateway, DIALECT, binary), methods=["POST"]),
            WebSocketRoute(f"{prefix}/stream", stream),
        ]
    return found
