"""The door of an earlier server of Orpheus (piyushgit011/orpheus-cpp, ``FASTAPI_README.md``), for its clients.

``docs/dialects.md`` says where this door is more than the earlier one, and what is meant where that contradicts itself.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import pybase64
from pydantic import BaseModel, ConfigDict, Field
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from gateway.clock import Clock
from gateway.dialects.body import body_limit, read_object
from gateway.dialects.detail import guarded, refused
from gateway.dialects.refusal import json_response
from gateway.dialects.responder import Answer, Form, Produce, speech
from gateway.dialects.sse import SSE_HEADERS, WHOLE, spaced, sse_event
from gateway.dialects.whole import Spoken, WholeJson, WholeWav, whole
from gateway.errors import UnknownVoice, VoxwireError
from gateway.events import Audio, Ended, Pace, SpeechRequest
from gateway.runtime import Gateway
from gateway.session.session import Plan
from providers.base import Provider, ProviderError, Tunable, Voice

DIALECT = "orpheus_fastapi"
ENGINE = "orpheus"
"""Asked for a voice before the others, where there is one of this id."""
DEFAULT_VOICE = "tara"
SAMPLE_RATE = 24_000
"""Hz: every client takes this for granted."""
FRAME_MS = 28
"""Of sound in an event: what fits, in base64, into one that no client cuts, with a hundred bytes to spare."""

ENDPOINTS = {
    "tts": "/api/tts",
    "tts_wav": "/api/tts/wav",
    "tts_stream": "/api/tts/stream",
    "voices": "/api/voices",
    "health": "/health",
}
"""For the index at ``/``, which several APIs share."""


# ---- requests


class SpeechBody(BaseModel):
    """What the three routes take. Only ``text`` must be there."""

    model_config = ConfigDict(extra="ignore")

    text: str = Field(min_length=1, max_length=5000)
    voice: str = Field(DEFAULT_VOICE, max_length=256)
    temperature: float = Field(0.3, ge=0.0, le=2.0)
    max_tokens: int = Field(512, ge=64, le=2048)
    stream: bool = True

    def options(self, provider: Provider) -> Mapping[str, Any]:
        """What the engine understands of what was sent. The defaults are the earlier server's, and not every engine's:
        they are left to it."""
        known = provider.option_names if isinstance(provider, Tunable) else frozenset[str]()
        sent = known & self.model_fields_set & {"temperature", "max_tokens"}
        return {name: getattr(self, name) for name in sent}


def plan(gateway: Gateway, body: SpeechBody) -> Plan:
    """Everything that the body names, found. Raises what ``Sessions.plan`` does."""
    request = SpeechRequest(
        voice=body.voice,
        provider=_speaker(gateway, body.voice),
        format="pcm16",
        sample_rate=SAMPLE_RATE,
        pace=Pace.BURST,
        frame_ms=FRAME_MS,
    )
    try:
        planned = gateway.sessions.plan(request)
    except UnknownVoice:
        if body.voice != DEFAULT_VOICE:
            raise
        planned = gateway.sessions.plan(replace(request, voice=None))
    options = body.options(planned.provider)
    return gateway.sessions.plan(replace(planned.request, options=options)) if options else planned


def _speaker(gateway: Gateway, voice: str) -> str | None:
    """The engine to ask for this voice; ``None`` leaves it to the order of the engines."""
    try:
        gateway.providers.find_voice(ENGINE, voice)
    except ProviderError:
        return None
    return ENGINE


# ---- answers


class Events:
    """The sound as server-sent events, while it is made."""

    dialect = DIALECT
    headers: Mapping[str, str] = SSE_HEADERS

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._began = clock.now()
        self._samples = 0

    def audio(self, frame: Audio) -> bytes:
        self._samples += frame.samples
        content = {
            "chunk": frame.sequence + 1,
            "audio_base64": pybase64.b64encode_as_string(frame.data),
            "samples": frame.samples,
            "duration_ms": _milliseconds(frame.samples / SAMPLE_RATE),
        }
        if not frame.sequence:
            content["ttfa_ms"] = self._elapsed()
        return sse_event(content, WHOLE)

    def ended(self, ended: Ended) -> bytes:
        return sse_event(
            {
                "event": "complete",
                "total_chunks": ended.frames,
                "total_samples": self._samples,
                "total_duration_s": round(self._samples / SAMPLE_RATE, 3),
                "processing_time_ms": self._elapsed(),
            }
        )

    def broken(self, error: VoxwireError) -> bytes:
        said = {"event": "error", "error": error.message, "code": error.code, "retryable": error.retryable}
        return sse_event(said)

    def refused(self, error: VoxwireError) -> Response:
        return refused(error)

    def _elapsed(self) -> float:
        """Milliseconds since the request was read."""
        return _milliseconds(self._clock.now() - self._began)


def _milliseconds(seconds: float) -> float:
    return round(seconds * 1000, 1)


def _headers(spoken: Spoken) -> Mapping[str, str]:
    return {
        "content-disposition": 'attachment; filename="tts_output.wav"',
        "x-processing-time-ms": str(round(spoken.took * 1000)),
        "x-ttfa-ms": str(round(spoken.ttfa * 1000)),
        "x-audio-duration-seconds": f"{spoken.duration:.2f}",
    }


def _figures(spoken: Spoken) -> Mapping[str, Any]:
    return {
        "duration_seconds": round(spoken.duration, 3),
        "sample_rate": spoken.sample_rate,
        "processing_time_ms": _milliseconds(spoken.took),
        "ttfa_ms": _milliseconds(spoken.ttfa),
    }


def voices(gateway: Gateway) -> list[dict[str, Any]]:
    """Orpheus' before the others."""
    found = [_voice(provider, voice) for provider, voice in gateway.providers.voices]
    return sorted(found, key=lambda voice: voice["provider"] != ENGINE)


def _voice(provider: Provider, voice: Voice) -> dict[str, Any]:
    return {
        "id": voice.id,
        "name": voice.name,
        "description": voice.description or f"Speaks {voice.language}",
        "language": voice.language,
        "provider": provider.id,
    }


# ---- the routes


def routes(gateway: Gateway) -> list[BaseRoute]:
    settings = gateway.settings
    limit = body_limit(settings)

    async def read(request: Request) -> SpeechBody:
        gateway.rate_limit.count(request.client.host if request.client else "")
        data = await read_object(request, limit=limit, seconds=settings.send_timeout)
        return SpeechBody.model_validate(data)

    def answer(produce: Produce, form: Form) -> Answer:
        return Answer(produce, form, gateway.metrics, settings.send_timeout)

    def streamed(body: SpeechBody) -> Answer:
        form = Events(gateway.clock)
        produce = speech(gateway.sessions, plan(gateway, body), body.text, DIALECT)
        return answer(spaced(produce, gateway.wheel, gateway.clock), form)

    def filed(body: SpeechBody, form: WholeWav) -> Answer:
        return answer(whole(gateway, plan(gateway, body), body.text, DIALECT, form.tell), form)

    async def tts(request: Request) -> Answer:
        body = await read(request)
        return streamed(body) if body.stream else filed(body, WholeJson(DIALECT, "audio_base64", _figures, refused))

    async def tts_wav(request: Request) -> Answer:
        return filed(await read(request), WholeWav(DIALECT, _headers, refused))

    async def tts_stream(request: Request) -> Answer:
        return streamed(await read(request))

    async def list_voices(_: Request) -> Response:
        return json_response({"voices": voices(gateway)})

    return [
        Route(ENDPOINTS["tts"], guarded(gateway, DIALECT, tts), methods=["POST"]),
        Route(ENDPOINTS["tts_wav"], guarded(gateway, DIALECT, tts_wav), methods=["POST"]),
        Route(ENDPOINTS["tts_stream"], guarded(gateway, DIALECT, tts_stream), methods=["POST"]),
        Route(ENDPOINTS["voices"], guarded(gateway, DIALECT, list_voices)),
    ]
