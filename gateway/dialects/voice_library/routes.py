"""The routes."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from typing import Any

from pydantic import BaseModel, ValidationError
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute

from gateway.admission.auth import caller
from gateway.dialects.body import closing, read_object
from gateway.dialects.multipart import Form, is_form, read_form
from gateway.dialects.refusal import authenticate, error_response, json_response
from gateway.dialects.voice_library import operations
from gateway.dialects.voice_library.bodies import NamedVoice, VoiceAnswer, VoiceBody, VoiceForm, VoicesAnswer
from gateway.errors import BadRequest, VoxwireError
from gateway.library import LibraryVoice
from gateway.library.clip import MAX_BASE64
from gateway.openapi import ApiRoute
from gateway.runtime import Gateway

DIALECT = "voice_library"
_AROUND = 65_536
"""Bytes that a request may have beside its clip."""
CLIP = "clip"
"""The field of a form that has the file."""


def answer(gateway: Gateway, voice: LibraryVoice) -> VoiceAnswer:
    return VoiceAnswer(
        id=voice.id,
        name=voice.name,
        provider=voice.provider,
        kind=voice.kind,
        language=voice.language,
        sample_rate_hz=voice.sample_rate,
        gender=voice.gender,
        description=voice.description,
        created=datetime.fromtimestamp(voice.created, UTC),
        bytes=voice.size,
        available=gateway.library.usable(voice),
    )


def _json(content: BaseModel, status: int = 200) -> Response:
    return json_response(content.model_dump(mode="json"), status)


# ---- making one


async def made(gateway: Gateway, body: VoiceBody) -> LibraryVoice:
    """Raises as the library does."""
    library, owner = gateway.library, caller.get()
    if body.clip is not None:
        return await library.create_from_clip(owner, body, body.clip.source, body.transcript)
    return await library.create_from_description(owner, body, body.description or "")


async def made_of_form(gateway: Gateway, form: Form) -> LibraryVoice:
    """As ``made``, from a form with a file, or with a description."""
    if form.file is None:
        return await made(gateway, VoiceBody.model_validate(form.fields))
    if form.name != CLIP:
        raise BadRequest(f"{CLIP}: the file belongs into the field of this name")
    if "description" in form.fields:
        raise BadRequest("say 'description' or 'clip', and not both")
    body = VoiceForm.model_validate(form.fields)
    return await gateway.library.create_from_clip(caller.get(), body, form.pieces(), body.transcript)


def _wrong(error: ValidationError) -> BadRequest:
    """What is wrong with the first field that is; what the caller sent there is not repeated."""
    first = error.errors(include_input=False, include_url=False, include_context=False)[0]
    where = ".".join(str(part) for part in first["loc"])
    message = first["msg"].removeprefix("Value error, ")
    message = message[:1].lower() + message[1:]
    return BadRequest(f"{where}: {message}" if where else message)


# ---- the routes

Handler = Callable[[Request], Awaitable[Response]]


def routes(gateway: Gateway) -> list[BaseRoute]:
    settings = gateway.settings
    form_limit = settings.voice_clip_bytes + _AROUND
    json_limit = min(settings.voice_clip_bytes, MAX_BASE64) * 3 // 2 + _AROUND
    seconds = settings.voice_upload_timeout

    def guarded(handle: Handler) -> Handler:
        async def endpoint(request: Request) -> Response:
            try:
                authenticate(gateway.keys, request)
                return await handle(request)
            except ValidationError as error:
                return refused(_wrong(error))
            except VoxwireError as error:
                return refused(error)

        return endpoint

    def refused(error: VoxwireError) -> Response:
        gateway.metrics.errors.labels(DIALECT, error.code).inc()
        response = error_response(error)
        response.headers.update(closing(error))
        return response

    async def create(request: Request) -> Response:
        gateway.count_request(request)
        # Before anything is read: what waits here takes no memory.
        async with gateway.uploads.place(tenant=caller.get()):
            if is_form(request):
                async with read_form(request, limit=form_limit, seconds=seconds) as form:
                    voice = await made_of_form(gateway, form)
            else:
                data: dict[str, Any] = await read_object(request, limit=json_limit, seconds=seconds)
                voice = await made(gateway, VoiceBody.model_validate(data))
        return _json(answer(gateway, voice), 201)

    async def list_voices(_: Request) -> Response:
        found = gateway.library.list(caller.get())
        return _json(VoicesAnswer(voices=[answer(gateway, voice) for voice in found]))

    async def one(request: Request) -> Response:
        asked = NamedVoice.model_validate(request.path_params)
        return _json(answer(gateway, gateway.library.get(caller.get(), asked.voice)))

    async def remove(request: Request) -> Response:
        asked = NamedVoice.model_validate(request.path_params)
        await gateway.library.remove(caller.get(), asked.voice)
        return Response(status_code=204)

    return [
        ApiRoute("/v1/voices", guarded(create), operations.CREATE, "POST"),
        ApiRoute("/v1/voices/library", guarded(list_voices), operations.LIST),
        ApiRoute("/v1/voices/library/{voice}", guarded(one), operations.GET),
        ApiRoute("/v1/voices/library/{voice}", guarded(remove), operations.DELETE, "DELETE"),
    ]
