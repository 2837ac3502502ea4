"""OpenAI's speech API: ``POST /v1/audio/speech`` and ``GET /v1/models``. ``docs/dialects.md`` says what differs."""

from __future__ import annotations

import math
import uuid
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import replace
from typing import Any, Literal

import pybase64
from pydantic import BaseModel, ConfigDict, Field, ValidationError
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from gateway.dialects.body import body_limit, closing, read_object
from gateway.dialects.refusal import authenticate, json_response, retry_headers
from gateway.dialects.responder import Answer, FileForm, Form, speech
from gateway.dialects.sse import SSE_HEADERS, sse_event
from gateway.errors import (
    BadRequest,
    NothingToSpeak,
    RateLimited,
    TextTooLong,
    Unauthorized,
    UnknownVoice,
    UnsupportedFormat,
    VoxwireError,
)
from gateway.events import Audio, Ended, Pace, SpeechRequest
from gateway.runtime import Gateway
from gateway.session.session import Plan
from providers.base import Tunable

DIALECT = "openai"
FRAME_MS = 100
"""Length of a piece of the body in the raw formats."""

MODELS = ("gpt-4o-mini-tts", "tts-1", "tts-1-hd")
"""OpenAI's own names, also with a date behind them: the deployment's default engine. A provider's id is that one."""

VOICES = frozenset(
    ("alloy", "ash", "ballad", "cedar", "coral", "echo", "fable", "marin", "nova", "onyx", "sage", "shimmer", "verse")
)
"""OpenAI's own names. Where no engine has a voice of such a name, it means the engine's default voice."""

FORMATS: dict[str, tuple[str, int | None]] = {
    "mp3": ("mp3", None),
    "opus": ("opus", None),
    "aac": ("aac", None),
    "flac": ("flac", None),
    "wav": ("wav", None),
    # Every client takes this for 24 kHz, since nothing in the answer says so.
    "pcm": ("pcm16", 24_000),
}
"""Our format and the rate, by the name in ``response_format``; without a rate the voice's own is taken."""


_INSTRUCTIONS = "instructions"


class UnknownModel(VoxwireError):
    code = "model_not_found"
    http_status = 404


class WrongField(BadRequest):
    """One field of the body is missing, or of the wrong kind."""

    def __init__(self, name: str, message: str) -> None:
        super().__init__(f"{name}: {message}")
        self.name = name


# ---- requests


class VoiceReference(BaseModel):
    model_config = ConfigDict(extra="ignore")

    id: str = Field(min_length=1, max_length=256)


class SpeechBody(BaseModel):
    """What ``POST /v1/audio/speech`` takes. ``instructions`` are for engines that follow some."""

    model_config = ConfigDict(extra="ignore")

    input: str
    model: str | None = Field(None, max_length=256)
    voice: str | VoiceReference | None = None
    instructions: str | None = None
    response_format: str | None = None
    speed: float | None = Field(None, ge=0.25, le=4.0)
    stream_format: Literal["audio", "sse"] | None = None


def parse(data: Mapping[str, Any], max_characters: int) -> SpeechBody:
    """Raises ``WrongField`` or ``TextTooLong``."""
    try:
        body = SpeechBody.model_validate(data)
    except ValidationError as error:
        first = error.errors(include_input=False, include_url=False)[0]
        message = first["msg"]
        raise WrongField(str(first["loc"][0]), message[:1].lower() + message[1:]) from None
    if len(body.input) > max_characters:
        raise TextTooLong(f"input may have {max_characters} characters")
    return body


def plan(gateway: Gateway, body: SpeechBody) -> Plan:
    """Everything that the body names, found. Raises what ``Sessions.plan`` does, and ``UnknownModel``."""
    rendering = FORMATS.get(body.response_format or "mp3")
    if rendering is None:
        raise UnsupportedFormat(f"this response_format is not available here; available are: {', '.join(FORMATS)}")
    voice = body.voice.id if isinstance(body.voice, VoiceReference) else body.voice
    request = SpeechRequest(
        voice=voice or None,
        provider=_provider(gateway, body.model),
        model=body.model,
        speed=1.0 if body.speed is None else body.speed,
        format=rendering[0],
        sample_rate=rendering[1],
        pace=Pace.BURST,
        frame_ms=FRAME_MS,
    )
    try:
        planned = gateway.sessions.plan(request)
    except UnknownVoice:
        if voice not in VOICES:
            raise
        planned = gateway.sessions.plan(replace(request, voice=None))
    if body.instructions and isinstance(planned.provider, Tunable) and _INSTRUCTIONS in planned.provider.option_names:
        options = {_INSTRUCTIONS: body.instructions}
        planned = gateway.sessions.plan(replace(planned.request, options=options))
    return planned


def _provider(gateway: Gateway, model: str | None) -> str | None:
    """The engine that a model's name means; ``None`` is the default one. Raises ``UnknownModel``."""
    if not model or model in MODELS or model.startswith(tuple(f"{name}-" for name in MODELS)):
        return None
    if model in gateway.providers.status:
        return model
    raise UnknownModel(f"there is no such model here; there are: {', '.join(_models(gateway))}")


def _models(gateway: Gateway) -> list[str]:
    return [*MODELS, *gateway.providers.status]


# ---- answers

_PARAMETERS: dict[type[VoxwireError], str] = {
    UnknownVoice: "voice",
    UnknownModel: "model",
    UnsupportedFormat: "response_format",
    TextTooLong: "input",
    NothingToSpeak: "input",
}
_TYPES = {429: "rate_limit_error"}
_CODES: dict[type[VoxwireError], str] = {Unauthorized: "invalid_api_key", RateLimited: "rate_limit_exceeded"}


def error_fields(error: VoxwireError) -> dict[str, Any]:
    """An error in OpenAI's form, less the envelope."""
    status = error.http_status
    kind = "server_error" if status >= 500 else _TYPES.get(status, "invalid_request_error")
    return {
        "message": error.message,
        "type": kind,
        "param": error.name if isinstance(error, WrongField) else _PARAMETERS.get(type(error)),
        "code": _CODES.get(type(error), error.code),
    }


class Reply:
    """The answers to one request, which all carry its id: that of its session, too, and so the one in the log."""

    def __init__(self) -> None:
        self.token = uuid.uuid4().hex
        self.headers = {"x-request-id": self.token}

    def json(self, content: Any) -> Response:
        return json_response(content, headers=self.headers)

    def refused(self, error: VoxwireError) -> Response:
        # Without the second the client library would try a failed engine again whatever we know of it.
        advice = {**retry_headers(error), **closing(error), "x-should-retry": str(error.retryable).lower()}
        return json_response({"error": error_fields(error)}, error.http_status, {**self.headers, **advice})

    def form(self, spoken: Plan, body: SpeechBody) -> Form:
        if body.stream_format == "sse":
            return Events(self, body.input)
        return FileForm(DIALECT, {**self.headers, "content-type": spoken.format.mime}, self.refused)


class Events:
    """The audio as server-sent events."""

    dialect = DIALECT

    def __init__(self, reply: Reply, text: str) -> None:
        self.headers: Mapping[str, str] = {**reply.headers, **SSE_HEADERS}
        self._text = text
        self.refused = reply.refused

    def audio(self, frame: Audio) -> bytes:
        return b'data: {"type":"speech.audio.delta","audio":"%b"}\n\n' % pybase64.b64encode(frame.data)

    def ended(self, ended: Ended) -> bytes:
        return sse_event({"type": "speech.audio.done", "usage": usage(self._text, ended.audio)})

    def broken(self, error: VoxwireError) -> bytes:
        return sse_event({"type": "error", "error": error_fields(error)})


def usage(text: str, seconds: float) -> dict[str, int]:
    """Estimates, for no tokens are involved here: one for four characters, and twenty a second of sound."""
    read, made = math.ceil(len(text) / 4), math.ceil(seconds * 20)
    return {"input_tokens": read, "output_tokens": made, "total_tokens": read + made}


# ---- the routes

Handler = Callable[[Request, Reply], Awaitable[Response | Answer]]


def routes(gateway: Gateway) -> list[BaseRoute]:
    settings = gateway.settings
    limit = body_limit(settings)

    def guarded(handle: Handler) -> Callable[[Request], Awaitable[Response | Answer]]:
        async def endpoint(request: Request) -> Response | Answer:
            reply = Reply()
            try:
                authenticate(gateway.keys, request)
                return await handle(request, reply)
            except VoxwireError as error:
                gateway.metrics.errors.labels(DIALECT, error.code).inc()
                return reply.refused(error)

        return endpoint

    async def speak(request: Request, reply: Reply) -> Answer:
        data = await read_object(request, limit=limit, seconds=settings.send_timeout)
        body = parse(data, settings.max_text_characters)
        planned = plan(gateway, body)
        produce = speech(gateway.sessions, planned, body.input, DIALECT, reply.token)
        return Answer(produce, reply.form(planned, body), gateway.metrics, settings.send_timeout)

    async def models(_: Request, reply: Reply) -> Response:
        return reply.json({"object": "list", "data": [_model(name) for name in _models(gateway)]})

    async def model(request: Request, reply: Reply) -> Response:
        name: str = request.path_params["model"]
        _provider(gateway, name)
        return reply.json(_model(name))

    return [
        Route("/v1/audio/speech", guarded(speak), methods=["POST"]),
        Route("/v1/models", guarded(models)),
        Route("/v1/models/{model}", guarded(model)),
    ]


def _model(name: str) -> dict[str, Any]:
    return {"id": name, "object": "model", "created": 0, "owned_by": "voxwire"}
