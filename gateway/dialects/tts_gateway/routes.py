"""The routes."""

from __future__ import annotations

from pydantic import BaseModel
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, WebSocketRoute
from starlette.websockets import WebSocket

from audio import formats
from gateway.admission.auth import caller
from gateway.dialects.body import body_limit, read_object
from gateway.dialects.detail import guarded
from gateway.dialects.refusal import authenticate, json_response, refuse
from gateway.dialects.responder import Answer
from gateway.dialects.socket import Connection
from gateway.dialects.tts_gateway import operations
from gateway.dialects.tts_gateway.bodies import (
    FileQuery,
    NamedSession,
    SessionAnswer,
    SessionBody,
    VoiceAnswer,
    VoicesAnswer,
    VoicesQuery,
)
from gateway.dialects.tts_gateway.file import file_of
from gateway.dialects.tts_gateway.speaking import DIALECT, plan
from gateway.dialects.tts_gateway.stream import StreamDialect
from gateway.errors import VoxwireError
from gateway.openapi import ApiRoute
from gateway.runtime import Gateway
from providers.base import Voice


def voices(gateway: Gateway, wanted: VoicesQuery) -> VoicesAnswer:
    """The engines', and behind them those of the library that are the caller's."""
    engines = [(owner.id, voice) for owner, voice in gateway.providers.voices]
    own = [
        (kept.provider, kept.spoken()) for kept in gateway.library.known(caller.get()) if gateway.library.usable(kept)
    ]
    return VoicesAnswer(
        voices=[
            _voice(owner, voice)
            for owner, voice in (*engines, *own)
            if (not wanted.provider or owner == wanted.provider)
            and (not wanted.language or voice.language == wanted.language)
        ]
    )


def _voice(provider: str, voice: Voice) -> VoiceAnswer:
    return VoiceAnswer(
        id=voice.id,
        name=voice.name,
        language=voice.language,
        provider=provider,
        sample_rate_hz=voice.sample_rate,
        supported_formats=list(formats.FORMATS),
    )


def _json(content: BaseModel, status: int = 200) -> Response:
    return json_response(content.model_dump(), status)


def _stream_url(gateway: Gateway, request: Request, session: str) -> str:
    # Behind a proxy the scheme is right where the server trusts that proxy's X-Forwarded-Proto; it is uvicorn that
    # decides so, by FORWARDED_ALLOW_IPS, and nothing here looks at the header.
    base = gateway.settings.public_url or str(request.base_url)
    scheme, _, rest = base.rstrip("/").partition("://")
    return f"{'wss' if scheme in {'https', 'wss'} else 'ws'}://{rest}/v1/tts/stream/{session}"


def routes(gateway: Gateway) -> list[BaseRoute]:
    settings = gateway.settings
    limit = body_limit(settings)

    async def create(request: Request) -> Response:
        gateway.count_request(request)
        data = await read_object(request, limit=limit, seconds=settings.send_timeout)
        body = SessionBody.model_validate(data)
        planned = plan(gateway, body)
        gateway.sessions.check(planned)
        prepared = gateway.sessions.prepare(planned, body.text)
        gateway.metrics.seed_sessions.labels(prepared.plan.provider.id, "created").inc()
        url = _stream_url(gateway, request, prepared.token)
        return _json(SessionAnswer(session_id=prepared.token, ws_url=url), 201)

    async def file(request: Request) -> Response | Answer:
        if request.method == "HEAD":
            # It would have to speak to know the answer.
            return Response(status_code=405, headers={"allow": "GET"})
        asked = NamedSession.model_validate(request.path_params)
        query = FileQuery.model_validate(dict(request.query_params))
        return file_of(gateway, asked.session, query.format)

    async def list_voices(request: Request) -> Response:
        return _json(voices(gateway, VoicesQuery.model_validate(dict(request.query_params))))

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
        ApiRoute("/v1/voices", guarded(gateway, DIALECT, list_voices), operations.VOICES),
        ApiRoute("/v1/tts/sessions", guarded(gateway, DIALECT, create), operations.CREATE, "POST"),
        ApiRoute("/v1/tts/sessions/{session}/file", guarded(gateway, DIALECT, file), operations.FILE),
        WebSocketRoute("/v1/tts/stream/{session}", stream),
    ]
