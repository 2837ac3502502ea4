"""The index at ``/``: the page for browsers, and for programs what is here and how it is. Several APIs share it."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict
from starlette.requests import Request
from starlette.responses import FileResponse, Response
from starlette.routing import BaseRoute, Mount
from starlette.staticfiles import StaticFiles

from gateway import __version__
from gateway.dialects import volcengine_concurrent
from gateway.dialects.orpheus_fastapi import EndpointsAnswer
from gateway.dialects.refusal import json_response
from gateway.openapi import ApiRoute, Content, Key, Operation, Said, Tag
from gateway.runtime import Gateway

TAG = Tag("index", "What is here.")


class ConcurrencyAnswer(BaseModel):
    model_config = ConfigDict(use_attribute_docstrings=True)

    global_concurrency_limit: int
    """Utterances that the gateway's own account at Volcano Engine speaks at once; where it has none, sessions of the
    gateway."""
    current_available_slots: int
    external_semaphores_count: int | None
    """None where they could not be counted."""


class AuthenticationAnswer(BaseModel):
    model_config = ConfigDict(use_attribute_docstrings=True)

    admin_api_key: Literal["configured", "not configured"]
    user_credentials: Literal["supported"]
    environment_variables: Literal["fallback"]


class IndexAnswer(BaseModel):
    """Where things are, each under the name that some API's clients read it by."""

    model_config = ConfigDict(use_attribute_docstrings=True, json_schema_serialization_defaults_required=True)

    name: Literal["voxwire"] = "voxwire"
    service: Literal["Voxwire"] = "Voxwire"
    status: Literal["healthy"] = "healthy"
    """The server answers. `/readyz` says whether an engine can serve."""
    version: str
    stream: Literal["/v1/stream"] = "/v1/stream"
    voices: Literal["/v1/voices"] = "/v1/voices"
    speech: Literal["/v1/audio/speech"] = "/v1/audio/speech"
    health: Literal["/healthz"] = "/healthz"
    metrics: Literal["/metrics"] = "/metrics"
    endpoints: EndpointsAnswer
    message: str
    """A sentence for people."""
    concurrency_status: ConcurrencyAnswer
    authentication: AuthenticationAnswer


def routes(gateway: Gateway, folder: Path) -> list[BaseRoute]:
    """``folder`` has the page and its modules."""

    async def index(request: Request) -> Response:
        if "text/html" in request.headers.get("accept", ""):
            return FileResponse(folder / "index.html", headers={"cache-control": "no-cache", "vary": "accept"})
        status = await volcengine_concurrent.status(gateway)
        said = IndexAnswer(version=__version__, endpoints=EndpointsAnswer(), **status)
        return json_response(said.model_dump(), headers={"vary": "accept"})

    return [ApiRoute("/", index, _INDEX), Mount("/static", StaticFiles(directory=folder))]


_INDEX = Operation(
    TAG,
    "What is here",
    {
        200: Said(
            "The page, for whoever accepts HTML; else JSON.",
            (Content("application/json", IndexAnswer), Content("text/html", str)),
        )
    },
    key=Key.NONE,
)
