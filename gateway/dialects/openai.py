"""OpenAI's speech API: ``POST /v1/audio/speech`` and ``GET /v1/models``. ``docs/dialects.md`` says what differs."""

from __future__ import annotations

import math
import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

import orjson
import pybase64
from pydantic import BaseModel, ConfigDict, Field, ValidationError
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from gateway.dialects.body import body_limit, read_object
from gateway.dialects.refusal import authenticate, json_response, retry_headers
from gateway.dialects.responder import Answer, FileForm, Form, speech
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

DIALECT = "openai"
FRAME_MS = 100
"""Length of a piece of an answer in a raw format: nobody cuts it off in mid-sentence to the millisecond."""

MODELS = ("gpt-4o-mini-tts", "tts-1", "tts-1-hd")
"""OpenAI's own names. They all mean the deployment's default engine; a provider's id means that provider."""

VOICES = frozenset(
    {
        "alloy",
        "ash",
        "ballad",
        "cedar",
        "coral",
        "echo",
        "fable",
        "marin",
        "nova",
        "onyx",
        "sage",
        "shimmer",
        "verse",
    }
)
"""OpenAI's own names. Where no engine has a voice of such a name, it means the default voice."""


@dataclass(frozen=True, slots=True)
class _Rendering:
    format: str
    media_type: str
    sample_rate: int | None = None


FORMATS = {
    "mp3": _Rendering("mp3", "audio/mpeg"),
    "opus": _Rendering("opus", "audio/ogg"),
    "wav": _Rendering("wav", "audio/wav"),
    # Every client takes this for 24 kHz, since nothing in the answer says so.
    "pcm": _Rendering("pcm16", "audio/pcm", 24_000),
}


class UnknownModel(VoxwireError):
    code = "model_not_found"
    http_status = 404


# ---- requests


class VoiceReference(BaseModel):
    model_config = ConfigDict(extra="ignore")

    id: str = Field(min_length=1, max_length=256)


class SpeechBody(BaseModel):
    """What ``POST /v1/audio/speech`` takes. ``instructions`` is for models that follow some; it is not read."""

    model_config = ConfigDict(extra="ignore")

    input: str
    model: str | None = Field(None, max_length=256)
    voice: str | VoiceReference | None = None
    instructions: str | None = None
    response_format: str | None = None
    speed: float | None = None
    stream_format: Literal["audio", "sse"] | None = None


def parse(data: Mapping[str, Any]) -> SpeechBody:
    """Raises ``BadRequest`` with the field's name as its ``context``."""
    try:
        return SpeechBody.model_validate(data)
    except ValidationError as error:
        first = error.errors(include_input=False, include_url=False)[0]
        field = str(first["loc"][0]) if first["loc"] else ""
        explained = BadRequest(f"{field}: {first['msg'][0].lower()}{first['msg'][1:]}")
        explained.context = field or None
        raise explained from None


class _Speech:
    """A request, checked: what to speak, and how to answer."""

    def __init__(self, gateway: Gateway, body: SpeechBody) -> None:
        limit = gateway.settings.max_text_characters
        if len(body.input) > limit:
            raise TextTooLong(f"input may have {limit} characters")
        self.text = body.input
        self.rendering = _rendering(body.response_format or "mp3")
        self.plan = _plan(gateway, body, self.rendering)
        self.events = body.stream_format == "sse"


def _rendering(name: str) -> _Rendering:
    found = FORMATS.get(name)
    if found is None:
        raise UnsupportedFormat(f"response_format is not available here; available are: {', '.join(FORMATS)}")
    return found


def _plan(gateway: Gateway, body: SpeechBody, rendering: _Rendering) -> Plan:
    voice = body.voice.id if isinstance(body.voice, VoiceReference) else body.voice
    request = SpeechRequest(
        voice=voice or None,
        provider=_provider(gateway, body.model),
        model=body.model,
        speed=1.0 if body.speed is None else body.speed,
        format=rendering.format,
        sample_rate=rendering.sample_rate,
        pace=Pace.BURST,
        frame_ms=FRAME_MS,
    )
    try:
        return gateway.sessions.plan(request)
    except UnknownVoice:
        if voice not in VOICES:
            raise
    return gateway.sessions.plan(replace(request, voice=None))


def _provider(gateway: Gateway, model: str | None) -> str | None:
    """The engine that a model's name means; ``None`` is the default one. Raises ``UnknownModel``."""
    if not model or model in MODELS or model.startswith(tuple(f"{name}-" for name in MODELS)):
        return None
    if model in gateway.providers.status:
        return model
    raise UnknownModel(f"there is no such model; there are: {', '.join(_models(gateway))}")


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
_CODES: dict[type[VoxwireError], str] = {Unauthorized: "invalid_api_key", RateLimited: "rate_limit_exceeded"}
_TYPES = {429: "rate_limit_error"}


def error_fields(error: VoxwireError) -> dict[str, Any]:
    """An error in OpenAI's form, less the envelope."""
    status = error.http_status
    kind = _TYPES.get(status, "server_error" if status >= 500 else "invalid_request_error")
    return {
        "message": error.message,
        "type": kind,
        "param": error.context or _PARAMETERS.get(type(error)),
        "code": _CODES.get(type(error), error.code),
    }


class _Events:
    """The audio as server-sent events."""

    dialect = DIALECT

    def __init__(self, text: str, refused: Any, headers: Mapping[str, str]) -> None:
        self._text = text
        self.refused = refused
        self.headers = {**headers, "content-type": "text/event-stream; charset=utf-8", "cache-control": "no-cache"}

    def audio(self, frame: Audio) -> bytes:
        return b'data: {"type":"speech.audio.delta","audio":"%b"}\n\n' % pybase64.b64encode(frame.data)

    def ended(self, ended: Ended) -> bytes:
        usage = _usage(self._text, ended.audio)
        return b"data: %b\n\n" % orjson.dumps({"type": "speech.audio.done", "usage": usage})

    def broken(self, error: VoxwireError) -> bytes:
        return b"data: %b\n\n" % orjson.dumps({"type": "error", "error": error_fields(error)})


def _usage(text: str, seconds: float) -> dict[str, int]:
    """Estimates, as no tokens are involved: four characters of text a token, and twenty tokens a second of sound."""
    read, made = math.ceil(len(text) / 4), math.ceil(seconds * 20)
    return {"input_tokens": read, "output_tokens": made, "total_tokens": read + made}


def _refusal(error: VoxwireError, headers: Mapping[str, str]) -> Response:
    answer = {**headers, **retry_headers(error), "x-should-retry": "true" if error.retryable else "false"}
    return json_response({"error": error_fields(error)}, error.http_status, answer)


# ---- the routes


def routes(gateway: Gateway) -> list[BaseRoute]:
    settings = gateway.settings
    limit = body_limit(settings)

    async def speak(request: Request) -> Response | Answer:
        token = uuid.uuid4().hex
        headers = {"x-request-id": token}

        def refused(error: VoxwireError) -> Response:
            return _refusal(error, headers)

        try:
            authenticate(gateway.keys, request)
            data = await read_object(request, limit=limit, timeout=settings.send_timeout)
            spoken = _Speech(gateway, parse(data))
        except VoxwireError as error:
            gateway.metrics.errors.labels(DIALECT, error.code).inc()
            return refused(error)
        form: Form
        if spoken.events:
            form = _Events(spoken.text, refused, headers)
        else:
            form = FileForm(DIALECT, {**headers, "content-type": spoken.rendering.media_type}, refused)
        produce = speech(gateway.sessions, spoken.plan, spoken.text, DIALECT, token)
        return Answer(produce, form, gateway.metrics, settings.send_timeout)

    async def models(request: Request) -> Response:
        return _listing(gateway, request, lambda: {"object": "list", "data": [_model(m) for m in _models(gateway)]})

    async def model(request: Request) -> Response:
        name = request.path_params["model"]

        def find() -> dict[str, Any]:
            _provider(gateway, name)
            return _model(name)

        return _listing(gateway, request, find)

    return [
        Route("/v1/audio/speech", speak, methods=["POST"]),
        Route("/v1/models", models),
        Route("/v1/models/{model}", model),
    ]
