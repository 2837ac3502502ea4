"""The door of an earlier gateway (lee-jian-hui/tts-system), so that its clients and its page work unchanged.

A session is asked for first, then listened to once over a WebSocket, in base64 inside JSON; what was spoken can be
fetched as a file for a while. ``docs/dialects.md`` says where this door is more than the earlier one.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from typing import Any

import orjson
import pybase64
from pydantic import BaseModel, ConfigDict, Field
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route, WebSocketRoute
from starlette.websockets import WebSocket

from audio import convert, formats
from audio.convert import Container
from audio.formats import AudioFormat
from gateway.admission.auth import caller
from gateway.dialects.body import body_limit, read_object
from gateway.dialects.conversion import converted
from gateway.dialects.detail import guarded, refused
from gateway.dialects.refusal import authenticate, json_response, refuse
from gateway.dialects.replay import exact, replay
from gateway.dialects.responder import Answer, FileForm, Produce, speech
from gateway.dialects.socket import Connection, Context
from gateway.errors import (
    BadRequest,
    NothingToSpeak,
    TextTooLong,
    UnknownSession,
    UnsupportedFormat,
    VoxwireError,
)
from gateway.events import Audio, Command, End, Ended, Event, Failed, Pace, SpeechRequest, Start, Text
from gateway.pipeline.segmenter import speakable
from gateway.runtime import Gateway
from gateway.session.recording import Recording
from gateway.session.session import Plan
from gateway.session.sessions import Prepared
from providers.base import Voice

DIALECT = "tts_gateway"
FRAME_MS = 100
CONTEXT = ""
"""The one context of a socket has no name."""
_ANY_LANGUAGE = frozenset({"mul", "und"})


# ---- asking for a session


class SessionBody(BaseModel):
    """What ``POST /v1/tts/sessions`` takes. Only ``text`` must be there."""

    model_config = ConfigDict(extra="ignore")

    text: str = Field(min_length=1)
    provider: str | None = Field(None, max_length=256)
    voice: str | None = Field(None, max_length=256)
    target_format: str = Field("pcm16", max_length=32)
    sample_rate_hz: int | None = Field(None, gt=0)
    language: str | None = Field(None, max_length=64)


def plan(gateway: Gateway, body: SessionBody) -> Plan:
    """Everything that the body names, found. Raises a ``VoxwireError``."""
    limit = gateway.settings.max_text_characters
    if len(body.text) > limit:
        raise TextTooLong(f"text may have {limit} characters")
    if not speakable(body.text):
        raise NothingToSpeak("text must have something that can be spoken, not only blanks, punctuation or symbols")
    planned = gateway.sessions.plan(
        SpeechRequest(
            voice=body.voice,
            provider=body.provider,
            format=body.target_format,
            sample_rate=body.sample_rate_hz,
            pace=Pace.BURST,
            frame_ms=FRAME_MS,
            record=True,
        )
    )
    # Filled in, so that the session is spoken as it was promised, whatever becomes of the defaults.
    found = replace(
        planned.request,
        voice=planned.voice.id,
        provider=planned.provider.id,
        sample_rate=planned.sample_rate,
        language=_language(body.language, planned.voice),
    )
    return replace(planned, request=found)


def _language(asked: str | None, voice: Voice) -> str | None:
    """The earlier gateway's page always asks for ``en-US``, so the region is not compared."""
    if asked is None:
        return None
    if _primary(voice.language) in _ANY_LANGUAGE:
        return asked
    if _primary(asked) != _primary(voice.language):
        raise BadRequest(f"this language is not supported by voice {voice.id!r}, which speaks {voice.language}")
    return None


def _primary(tag: str) -> str:
    return tag.replace("_", "-").partition("-")[0].lower()


# ---- listening to it


class StreamDialect:
    """The voice of one socket, which speaks one prepared session and is then closed. What a client sends is not
    read: the earlier gateway never did."""

    name = DIALECT
    subprotocol: str | None = None
    closes = True

    def __init__(self, prepared: Prepared) -> None:
        self._prepared = prepared

    def opening(self) -> Iterable[Command]:
        yield Start(CONTEXT, self._prepared.plan.request, self._prepared.token)
        yield Text(CONTEXT, self._prepared.text)
        yield End(CONTEXT)

    def commands(self, message: str | bytes) -> Iterable[Command]:
        return ()

    def audio(self, _: Context, frame: Audio) -> str:
        data = pybase64.b64encode_as_string(frame.data)
        return f'{{"type":"audio","seq":{frame.sequence + 1},"data":"{data}"}}'

    def event(self, _: Context, event: Event) -> str | None:
        if isinstance(event, Ended):
            return '{"type":"eos"}'
        return _error(event.error) if isinstance(event, Failed) else None

    def refusal(self, error: VoxwireError, context: str | None, *, final: bool) -> str:
        return _error(error)

    def pong(self) -> None:
        return None

    def goaway(self, seconds: float) -> None:
        return None


def _error(error: VoxwireError) -> str:
    """``code`` is a number here: the HTTP status that the error would have."""
    return orjson.dumps({"type": "error", "code": error.http_status, "message": error.message}).decode()


# ---- the file


def file_of(gateway: Gateway, session: str, name: str | None) -> Answer:
    """What a session has spoken, is speaking or, where nobody has listened to it yet, speaks now, and only now.
    Raises a ``VoxwireError``."""
    chosen = _kind(name) if name else None
    if isinstance(chosen, Container):
        gateway.conversions.check()
    recording = gateway.recordings.find(session)
    if recording is None:
        return _spoken_now(gateway, gateway.sessions.take(session), chosen)
    if recording.closed and not recording.complete:
        raise UnknownSession("there is no whole file of this session: its speech was cut short, or too long to keep")
    return _recorded(gateway, session, recording, chosen or formats.find(recording.request.format))


def _kind(name: str) -> AudioFormat | Container:
    """Where both can make it, the format: its encoder starts at once and runs in this process."""
    kinds: dict[str, AudioFormat | Container] = {**convert.CONTAINERS, **formats.FORMATS}
    if name not in kinds:
        raise UnsupportedFormat(f"there is no such format; there are: {', '.join(kinds)}")
    return kinds[name]


def _stream_of(chosen: AudioFormat | Container) -> AudioFormat:
    """What a session has to speak for such a file."""
    return formats.FORMATS["pcm16"] if isinstance(chosen, Container) else chosen


def _spoken_now(gateway: Gateway, prepared: Prepared, chosen: AudioFormat | Container | None) -> Answer:
    planned = prepared.plan
    if chosen is not None:
        stream = _stream_of(chosen)
        rate = _rate(stream, planned.request, planned.voice.sample_rate)
        planned = gateway.sessions.plan(replace(planned.request, format=stream.name, sample_rate=rate))
    produce = speech(gateway.sessions, planned, prepared.text, DIALECT, prepared.token)
    form = _form(prepared.token, chosen or planned.format)
    return _answer(gateway, _filed(gateway, produce, chosen, planned.sample_rate), form)


def _recorded(gateway: Gateway, session: str, recording: Recording, chosen: AudioFormat | Container) -> Answer:
    stream = _stream_of(chosen)
    rate = _rate(stream, recording.request, recording.sample_rate)
    produce = replay(recording, stream, rate, gateway.pool)
    form = _form(session, chosen)
    if chosen is stream:
        form = exact(form, recording, stream, rate)
    return _answer(gateway, _filed(gateway, produce, chosen, rate), form)


def _filed(gateway: Gateway, produce: Produce, chosen: AudioFormat | Container | None, rate: int) -> Produce:
    return converted(produce, chosen, rate, gateway.conversions) if isinstance(chosen, Container) else produce


def _answer(gateway: Gateway, produce: Produce, form: FileForm) -> Answer:
    return Answer(produce, form, gateway.metrics, gateway.settings.send_timeout)


def _rate(chosen: AudioFormat, request: SpeechRequest, own: int) -> int:
    """The rate that the session was asked for, where the format of the file has it."""
    asked = own if request.sample_rate is None else request.sample_rate
    return chosen.nearest_rate(asked)


def _form(session: str, chosen: AudioFormat | Container) -> FileForm:
    disposition = f'inline; filename="speech-{session[:8]}.{chosen.extension}"'
    return FileForm(DIALECT, {"content-type": chosen.mime, "content-disposition": disposition}, refused)


# ---- other answers


def voices(gateway: Gateway, provider: str | None, language: str | None) -> list[dict[str, Any]]:
    """The engines', and behind them those of the library that are the caller's."""
    engines = [(owner.id, voice) for owner, voice in gateway.providers.voices]
    own = [
        (kept.provider, kept.spoken()) for kept in gateway.library.known(caller.get()) if gateway.library.usable(kept)
    ]
    return [
        _voice(owner, voice)
        for owner, voice in (*engines, *own)
        if (not provider or owner == provider) and (not language or voice.language == language)
    ]


def _voice(provider: str, voice: Voice) -> dict[str, Any]:
    return {
        "id": voice.id,
        "name": voice.name,
        "language": voice.language,
        "provider": provider,
        "sample_rate_hz": voice.sample_rate,
        "supported_formats": list(formats.FORMATS),
    }


def _stream_url(gateway: Gateway, request: Request, session: str) -> str:
    # Behind a proxy the scheme is right where the server trusts that proxy's X-Forwarded-Proto; it is uvicorn that
    # decides so, by FORWARDED_ALLOW_IPS, and nothing here looks at the header.
    base = gateway.settings.public_url or str(request.base_url)
    scheme, _, rest = base.rstrip("/").partition("://")
    return f"{'wss' if scheme in {'https', 'wss'} else 'ws'}://{rest}/v1/tts/stream/{session}"


# ---- the routes


def routes(gateway: Gateway) -> list[BaseRoute]:
    settings = gateway.settings
    limit = body_limit(settings)

    async def create(request: Request) -> Response:
        gateway.rate_limit.count(request.client.host if request.client else "")
        data = await read_object(request, limit=limit, seconds=settings.send_timeout)
        body = SessionBody.model_validate(data)
        planned = plan(gateway, body)
        gateway.sessions.check(planned)
        prepared = gateway.sessions.prepare(planned, body.text)
        gateway.metrics.seed_sessions.labels(prepared.plan.provider.id, "created").inc()
        url = _stream_url(gateway, request, prepared.token)
        return json_response({"session_id": prepared.token, "ws_url": url}, 201)

    async def file(request: Request) -> Response | Answer:
        if request.method == "HEAD":
            # It would have to speak to know the answer.
            return Response(status_code=405, headers={"allow": "GET"})
        return file_of(gateway, request.path_params["session"], request.query_params.get("format"))

    async def list_voices(request: Request) -> Response:
        query = request.query_params
        return json_response({"voices": voices(gateway, query.get("provider"), query.get("language"))})

    async def stream(socket: WebSocket) -> None:
        try:
            authenticate(gateway.keys, socket)
            prepared = gateway.sessions.take(socket.path_params["session"])
        except VoxwireError as error:
            gateway.metrics.errors.labels(DIALECT, error.code).inc()
            await refuse(socket, error)
            return
        await Connection(socket, StreamDialect(prepared), gateway).serve()

    return [
        Route("/v1/voices", guarded(gateway, DIALECT, list_voices)),
        Route("/v1/tts/sessions", guarded(gateway, DIALECT, create), methods=["POST"]),
        Route("/v1/tts/sessions/{session}/file", guarded(gateway, DIALECT, file)),
        WebSocketRoute("/v1/tts/stream/{session}", stream),
    ]
