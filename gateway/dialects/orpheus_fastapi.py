"""The door of an earlier server of Orpheus (piyushgit011/orpheus-cpp, ``FASTAPI_README.md``), for its clients.

``docs/dialects.md`` says where this door is more than the earlier one, and what is meant where that contradicts itself.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Any

import orjson
import pybase64
from pydantic import BaseModel, ConfigDict, Field
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from audio import wav
from gateway.clock import Clock
from gateway.dialects.body import body_limit, read_object
from gateway.dialects.detail import guarded, refused
from gateway.dialects.refusal import json_response
from gateway.dialects.responder import Answer, Form, Produce, speech
from gateway.dialects.sse import SSE_HEADERS, sse_event
from gateway.dialects.whole import Spoken, whole
from gateway.errors import UnknownVoice, VoxwireError
from gateway.events import Audio, Ended, Event, Pace, SpeechRequest
from gateway.pipeline.pacing import Wheel
from gateway.runtime import Gateway
from gateway.session.session import Emit, Plan
from providers.base import Provider, ProviderError, Tunable, Voice

DIALECT = "orpheus_fastapi"
ENGINE = "orpheus"
"""Asked for a voice before the others, where there is one of this id."""
DEFAULT_VOICE = "tara"
SAMPLE_RATE = 24_000
"""Hz: every client takes this for granted."""
FRAME_MS = 60
EVENT_BYTES = 4096
"""Of every event with sound. The earlier server's example for browsers takes each piece that it reads for whole events.
A browser keeps what comes in a ring of a power of two of bytes, which a longer stream passes many times: with events of
this size no event lies across its end. 60 ms of sound are what fits into it."""
SPACING = 0.004
"""Seconds between two events, rounded up to a turn of the pacing wheel, 5 ms: twelve times the speed of listening.
Without them a client's system would hold more than the client reads at a time, and cut an event there."""

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
        first = b"" if frame.sequence else b',"ttfa_ms":%.1f' % self._elapsed()
        event = b'data: {"chunk":%d,"audio_base64":"%b","samples":%d,"duration_ms":%.1f%b}' % (
            frame.sequence + 1,
            pybase64.b64encode(frame.data),
            frame.samples,
            frame.samples * 1000 / SAMPLE_RATE,
            first,
        )
        return event.ljust(EVENT_BYTES - 2) + b"\n\n"

    def ended(self, ended: Ended) -> bytes:
        return sse_event(
            {
                "event": "complete",
                "total_chunks": ended.frames,
                "total_samples": self._samples,
                "total_duration_s": round(self._samples / SAMPLE_RATE, 3),
                "processing_time_ms": round(self._elapsed(), 1),
            }
        )

    def broken(self, error: VoxwireError) -> bytes:
        said = {"event": "error", "error": error.message, "code": error.code, "retryable": error.retryable}
        return sse_event(said)

    def refused(self, error: VoxwireError) -> Response:
        return refused(error)

    def _elapsed(self) -> float:
        """Milliseconds since the request was read."""
        return (self._clock.now() - self._began) * 1000


def spaced(produce: Produce, wheel: Wheel, clock: Clock) -> Produce:
    """``produce``, with ``SPACING`` behind every frame."""

    async def run(emit: Emit) -> None:
        due = 0.0

        async def say(event: Event) -> None:
            nonlocal due
            if due > clock.now():
                await wheel.turn(due)
            await emit(event)
            if type(event) is Audio:
                due = clock.now() + SPACING

        await produce(say)

    return run


class _Whole:
    """A file of known length: ``tell`` comes before anything else is asked."""

    dialect = DIALECT

    def __init__(self) -> None:
        self._spoken = Spoken(0, SAMPLE_RATE, 0.0, 0.0)

    def tell(self, spoken: Spoken) -> None:
        self._spoken = spoken

    def refused(self, error: VoxwireError) -> Response:
        return refused(error)

    def broken(self, _: VoxwireError) -> bytes:
        return b""

    @property
    def _head(self) -> bytes:
        return wav.header(SAMPLE_RATE, self._spoken.samples)

    def _file(self, frame: Audio) -> bytes:
        """The frame as a piece of the wav file."""
        return bytes(frame.data) if frame.sequence else self._head + frame.data

    @property
    def _size(self) -> int:
        return len(self._head) + self._spoken.samples * 2


class WavFile(_Whole):
    @property
    def headers(self) -> Mapping[str, str]:
        spoken = self._spoken
        return {
            "content-type": "audio/wav",
            "content-length": str(self._size),
            "content-disposition": 'attachment; filename="tts_output.wav"',
            "x-processing-time-ms": str(round(spoken.took * 1000)),
            "x-ttfa-ms": str(round(spoken.ttfa * 1000)),
            "x-audio-duration-seconds": f"{spoken.duration:.2f}",
        }

    def audio(self, frame: Audio) -> bytes:
        return self._file(frame)

    def ended(self, _: Ended) -> bytes:
        return b""


class JsonFile(_Whole):
    """The wav file in base64 inside an object, which is written piece by piece: it is never whole in memory."""

    _OPENING = b'{"audio_base64":"'

    def __init__(self) -> None:
        super().__init__()
        self._rest = b""
        """What is left of the file so far: base64 takes three bytes at a time."""

    @property
    def headers(self) -> Mapping[str, str]:
        base64 = (self._size + 2) // 3 * 4
        length = len(self._OPENING) + base64 + len(self._closing)
        return {"content-type": "application/json", "content-length": str(length)}

    @property
    def _closing(self) -> bytes:
        spoken = self._spoken
        figures = {
            "duration_seconds": round(spoken.duration, 3),
            "sample_rate": SAMPLE_RATE,
            "processing_time_ms": round(spoken.took * 1000, 1),
            "ttfa_ms": round(spoken.ttfa * 1000, 1),
        }
        return b'",' + orjson.dumps(figures)[1:]

    def audio(self, frame: Audio) -> bytes:
        data = self._rest + self._file(frame)
        whole_triples = len(data) // 3 * 3
        self._rest = data[whole_triples:]
        opening = b"" if frame.sequence else self._OPENING
        return opening + pybase64.b64encode(data[:whole_triples])

    def ended(self, _: Ended) -> bytes:
        return pybase64.b64encode(self._rest) + self._closing


# ---- voices


def voices(gateway: Gateway) -> list[dict[str, Any]]:
    found = [_voice(provider, voice) for provider, voice in gateway.providers.voices]
    return sorted(found, key=lambda voice: voice["provider"] != ENGINE)


def _voice(provider: Provider, voice: Voice) -> dict[str, Any]:
    parts: Iterable[str | None] = (voice.gender, voice.language, provider.id)
    return {
        "id": voice.id,
        "name": voice.name,
        "description": voice.description or ", ".join(filter(None, parts)),
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

    def filed(body: SpeechBody, form: WavFile | JsonFile) -> Answer:
        return answer(whole(gateway, plan(gateway, body), body.text, DIALECT, form.tell), form)

    async def tts(request: Request) -> Answer:
        body = await read(request)
        return streamed(body) if body.stream else filed(body, JsonFile())

    async def tts_wav(request: Request) -> Answer:
        return filed(await read(request), WavFile())

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
