"""The gateway's own routes for the voice library: ``POST /v1/voices`` and ``/v1/voices/library``. ``docs/voices.md``
describes them. Everywhere else a voice of the library is named as any other voice is."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, ValidationError, model_validator
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from gateway.admission.auth import caller
from gateway.dialects.body import closing, read_object
from gateway.dialects.multipart import Form, is_form, read_form
from gateway.dialects.refusal import authenticate, error_response, json_response
from gateway.errors import BadRequest, VoxwireError
from gateway.library import Base64, LibraryVoice, Source, Url, Wish
from gateway.library.addresses import LONGEST_URL
from gateway.library.clip import MAX_BASE64
from gateway.library.voice import MAX_DESCRIPTION, MAX_TRANSCRIPT
from gateway.runtime import Gateway

DIALECT = "voice_library"
_AROUND = 65_536
"""Bytes that a request may have beside its clip."""
CLIP = "clip"
"""The field of a form that has the file."""


# ---- requests


class ClipBody(BaseModel):
    """Where the sound is: in here, or at an address."""

    model_config = ConfigDict(extra="forbid", hide_input_in_errors=True)

    base64: str | None = None
    url: str | None = Field(None, max_length=LONGEST_URL)

    @model_validator(mode="after")
    def _one(self) -> ClipBody:
        if (self.base64 is None) == (self.url is None):
            raise ValueError("say 'base64' or 'url', and not both")
        return self

    @property
    def source(self) -> Source:
        return Base64(self.base64) if self.base64 is not None else Url(self.url or "")


class VoiceBody(Wish):
    """What ``POST /v1/voices`` takes as JSON. A form has the same fields, and the file in ``clip``."""

    description: Annotated[str, StringConstraints(strip_whitespace=True, min_length=1)] | None = Field(
        None, max_length=MAX_DESCRIPTION
    )
    clip: ClipBody | None = None
    transcript: str | None = Field(None, max_length=MAX_TRANSCRIPT)
    """What is said in the clip. Some engines make a better voice where they know it."""

    @model_validator(mode="after")
    def _one(self) -> VoiceBody:
        if (self.description is None) == (self.clip is None):
            raise ValueError("say 'description' or 'clip', and not both")
        return self


class VoiceForm(Wish):
    """The fields of a form that has a file in ``clip``."""

    transcript: str | None = Field(None, max_length=MAX_TRANSCRIPT)


# ---- answers


class VoiceAnswer(BaseModel):
    """One voice of the library."""

    id: str
    """What it is called where it is spoken with."""
    name: str
    provider: str
    kind: Literal["cloned", "designed"]
    language: str
    sample_rate_hz: int
    gender: str | None
    description: str | None
    created: datetime
    bytes: int
    """That it takes in the library."""
    available: bool
    """Its engine is here and can speak."""


class VoicesAnswer(BaseModel):
    voices: list[VoiceAnswer]


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
        gateway.rate_limit.count(request.client.host if request.client else "")
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
        owner, voice = caller.get(), str(request.path_params["voice"])
        if request.method == "DELETE":
            await gateway.library.remove(owner, voice)
            return Response(status_code=204)
        return _json(answer(gateway, gateway.library.get(owner, voice)))

    return [
        Route("/v1/voices", guarded(create), methods=["POST"]),
        Route("/v1/voices/library", guarded(list_voices)),
        Route("/v1/voices/library/{voice}", guarded(one), methods=["GET", "DELETE"]),
    ]
