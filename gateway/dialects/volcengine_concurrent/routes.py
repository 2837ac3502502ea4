"""The routes."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

from pydantic import ValidationError
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute

from gateway.dialects.body import read_object
from gateway.dialects.detail import invalid
from gateway.dialects.refusal import authenticate, json_response
from gateway.dialects.responder import Answer, FileForm
from gateway.dialects.volcengine_concurrent import operations
from gateway.dialects.volcengine_concurrent.answers import writing_for
from gateway.dialects.volcengine_concurrent.bodies import MAX_BYTES, BatchBody, NamedSemaphore, SemaphoreBody
from gateway.dialects.volcengine_concurrent.callers import (
    AdminRequired,
    SemaphoreExists,
    SemaphoreNotFound,
    account_of,
    is_admin,
    refused,
)
from gateway.dialects.volcengine_concurrent.semaphores import (
    SemaphoreGone,
    SemaphoreMade,
    SemaphoresAnswer,
    described,
    missing,
)
from gateway.dialects.volcengine_concurrent.speaking import DIALECT, Batch
from gateway.errors import BadRequest, VoxwireError
from gateway.openapi import ApiRoute
from gateway.runtime import Gateway

Handler = Callable[[Request], Awaitable[Response | Answer]]


def routes(gateway: Gateway) -> list[BaseRoute]:
    settings = gateway.settings
    capacities = gateway.capacities

    def guarded(handle: Handler) -> Handler:
        async def endpoint(request: Request) -> Response | Answer:
            try:
                if not is_admin(gateway, request):
                    authenticate(gateway.keys, request)
                return await handle(request)
            except VoxwireError as error:
                gateway.metrics.errors.labels(DIALECT, error.code).inc()
                return refused(error, await _available(error))
            except ValidationError as error:
                gateway.metrics.errors.labels(DIALECT, BadRequest.code).inc()
                return invalid(error)

        return endpoint

    async def _available(error: VoxwireError) -> list[str] | None:
        if not isinstance(error, SemaphoreNotFound):
            return None
        return [made.name for made in await capacities.list()]

    def admin(handle: Handler) -> Handler:
        async def checked(request: Request) -> Response | Answer:
            if not is_admin(gateway, request):
                raise AdminRequired("Access denied: this needs the admin's key.")
            return await handle(request)

        return guarded(checked)

    async def read(request: Request, limit: int, *, any_type: bool = False) -> dict[str, Any]:
        return await read_object(request, limit=limit, seconds=settings.send_timeout, any_type=any_type)

    async def generate(request: Request) -> Answer:
        gateway.count_request(request)
        body = BatchBody.model_validate(await read(request, MAX_BYTES))
        account = account_of(body)
        semaphore = None
        if body.external_semaphore_id is not None:
            semaphore = await capacities.get(body.external_semaphore_id)
            if semaphore is None:
                raise missing()
        writing = writing_for(request.headers.get("accept", ""))
        produce = Batch(gateway, body, account, semaphore).produce(writing)
        form = FileForm(DIALECT, writing.headers, refused)
        return Answer(produce, form, gateway.metrics, settings.send_timeout)

    async def create(request: Request) -> Response:
        # The earlier service's own example leaves curl's type of a form on a body of JSON.
        body = SemaphoreBody.model_validate(await read(request, settings.max_message_bytes, any_type=True))
        if await capacities.get(body.semaphore_id) is not None:
            raise SemaphoreExists("There is a semaphore of this name already: delete it first.")
        await capacities.define(body.semaphore_id, body.max_concurrent, body.description)
        found = await described(capacities, body.semaphore_id)
        return json_response(SemaphoreMade(**found.model_dump()).model_dump())

    async def list_all(_: Request) -> Response:
        found = [await described(capacities, made.name) for made in await capacities.list()]
        return json_response(SemaphoresAnswer(external_semaphores=found, total_count=len(found)).model_dump())

    async def one(request: Request) -> Response:
        asked = NamedSemaphore.model_validate(request.path_params)
        return json_response((await described(capacities, asked.name)).model_dump())

    async def remove(request: Request) -> Response:
        asked = NamedSemaphore.model_validate(request.path_params)
        if not await capacities.remove(asked.name):
            raise missing()
        return json_response(SemaphoreGone(semaphore_id=asked.name).model_dump())

    return [
        ApiRoute("/generate-batch", guarded(generate), operations.GENERATE, "POST"),
        ApiRoute("/external-semaphores", admin(create), operations.CREATE, "POST"),
        ApiRoute("/external-semaphores", admin(list_all), operations.LIST),
        ApiRoute("/external-semaphores/{name:any}", admin(one), operations.GET),
        ApiRoute("/external-semaphores/{name:any}", admin(remove), operations.DELETE, "DELETE"),
    ]
