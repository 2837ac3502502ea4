"""All of them, under both prefixes."""

from __future__ import annotations

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, WebSocketRoute
from starlette.websockets import WebSocket

from gateway.dialects.body import body_limit, read_object
from gateway.dialects.detail import guarded
from gateway.dialects.piper_service.bodies import PongAnswer, SynthesizeBody
from gateway.dialects.piper_service.operations import BINARY, PING, SYNTHESIZE, VOICES
from gateway.dialects.piper_service.speaking import DIALECT, filed, packed, voices
from gateway.dialects.piper_service.stream import StreamDialect
from gateway.dialects.refusal import authenticate, json_response, refuse
from gateway.dialects.responder import Answer, Form, Produce
from gateway.dialects.turns import Turns
from gateway.errors import VoxwireError
from gateway.openapi import ApiRoute
from gateway.runtime import Gateway

PREFIXES = ("", "/api/tts")
"""The service's document names its routes without the second, and it serves them with it."""


def routes(gateway: Gateway) -> list[BaseRoute]:
    settings = gateway.settings
    limit = body_limit(settings)

    async def read(request: Request) -> SynthesizeBody:
        gateway.count_request(request)
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
        return json_response(PongAnswer().model_dump())

    async def stream(socket: WebSocket) -> None:
        try:
            authenticate(gateway.keys, socket)
        except VoxwireError as error:
            gateway.metrics.errors.labels(DIALECT, error.code).inc()
            await refuse(socket, error)
            return
        await Turns(socket, StreamDialect(gateway, lambda: gateway.count_request(socket)), gateway).serve()

    found: list[BaseRoute] = [
        ApiRoute("/ping", ping, PING),
        ApiRoute("/api/tts/voices", guarded(gateway, DIALECT, list_voices), VOICES),
    ]
    for prefix in PREFIXES:
        found += [
            ApiRoute(f"{prefix}/synthesize", guarded(gateway, DIALECT, synthesize), SYNTHESIZE, "POST"),
            ApiRoute(f"{prefix}/synthesize/binary", guarded(gateway, DIALECT, binary), BINARY, "POST"),
            WebSocketRoute(f"{prefix}/stream", stream),
        ]
    return found
