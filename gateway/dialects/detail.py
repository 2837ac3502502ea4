"""Errors in FastAPI's form, ``{"detail": ...}``, for the APIs of servers that were written with it.

``detail`` is where their clients look: a sentence, or a list of fields where the body does not fit. ``code`` and
``retryable`` beside it are ours.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from pydantic import BaseModel, ConfigDict, ValidationError
from starlette.requests import Request
from starlette.responses import Response

from gateway.dialects.body import closing
from gateway.dialects.refusal import authenticate, json_response, retry_headers
from gateway.dialects.responder import Answer
from gateway.errors import BadRequest, VoxwireError
from gateway.runtime import Gateway

Handler = Callable[[Request], Awaitable[Response | Answer]]


class FieldError(BaseModel):
    """One field that does not fit."""

    model_config = ConfigDict(use_attribute_docstrings=True)

    type: str
    """The rule that it breaks."""
    loc: list[str | int]
    """Where it is, from ``body`` on."""
    msg: str


class DetailAnswer(BaseModel):
    """An error."""

    model_config = ConfigDict(use_attribute_docstrings=True)

    detail: str | list[FieldError]
    """A sentence, or the fields that do not fit."""
    code: str
    """For programs."""
    retryable: bool
    """Another try may help."""


def told(error: VoxwireError) -> DetailAnswer:
    return DetailAnswer(detail=error.message, code=error.code, retryable=error.retryable)


def refused(error: VoxwireError) -> Response:
    return json_response(told(error).model_dump(), error.http_status, {**retry_headers(error), **closing(error)})


def invalid(error: ValidationError) -> Response:
    """A field of the body is missing or of the wrong kind. What the caller sent there is not repeated."""
    found = error.errors(include_input=False, include_url=False, include_context=False)
    detail = [FieldError(type=one["type"], loc=["body", *one["loc"]], msg=one["msg"]) for one in found]
    return json_response(DetailAnswer(detail=detail, code=BadRequest.code, retryable=False).model_dump(), 422)


def guarded(gateway: Gateway, dialect: str, handle: Handler) -> Handler:
    """``handle`` for callers with a key, whose errors are counted and answered."""

    async def endpoint(request: Request) -> Response | Answer:
        try:
            authenticate(gateway.keys, request)
            return await handle(request)
        except VoxwireError as error:
            gateway.metrics.errors.labels(dialect, error.code).inc()
            return refused(error)
        except ValidationError as error:
            gateway.metrics.errors.labels(dialect, BadRequest.code).inc()
            return invalid(error)

    return endpoint
