"""The routes."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute

from gateway.dialects.body import body_limit, read_object
from gateway.dialects.openai import operations
from gateway.dialects.openai.answers import DIALECT, Reply
from gateway.dialects.openai.bodies import ModelAnswer, ModelsAnswer, NamedModel, parse
from gateway.dialects.openai.speaking import models, plan, provider_of
from gateway.dialects.refusal import authenticate
from gateway.dialects.responder import Answer, speech
from gateway.errors import VoxwireError
from gateway.openapi import ApiRoute
from gateway.runtime import Gateway

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

    async def list_models(_: Request, reply: Reply) -> Response:
        return reply.json(ModelsAnswer(data=[ModelAnswer(id=name) for name in models(gateway)]))

    async def one(request: Request, reply: Reply) -> Response:
        asked = NamedModel.model_validate(request.path_params)
        provider_of(gateway, asked.model)
        return reply.json(ModelAnswer(id=asked.model))

    return [
        ApiRoute("/v1/audio/speech", guarded(speak), operations.SPEECH, "POST"),
        ApiRoute("/v1/models", guarded(list_models), operations.MODELS),
        ApiRoute("/v1/models/{model}", guarded(one), operations.MODEL),
    ]
