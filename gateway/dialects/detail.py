"""Errors in FastAPI's form, ``{"detail": ...}``, for the APIs of servers that were written with it.

``detail`` is where their clients look: a sentence, or a list of fields where the body does not fit. ``code`` and
``retryable`` beside it are ours.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from pydantic import ValidationError
from starlette.requests import Request
from starlette.responses import Response

from gateway.dialects.body import closing
from gateway.dialects.refusal import authenticate, json_response, retry_headers
from gateway.dialects.responder import Answer
from gateway.errors import BadRequest, VoxwireError
from gateway.runtime import Gateway

Handler = Callable[[Request], Awaitable[Response | Answer]]


def refused(error: VoxwireError) -> Response:
    body = {"detail": error.message, "code": error.code, "retryable": error.retryable}
    return json_response(body, error.http_status, {**retry_headers(error), **closing(error)})


def invalid(error: ValidationError) -> Response:
    """A field of the body is missing or of the wrong kind. What the caller sent there is not repeated."""
    found = error.errors(include_input=False, include_url=False, include_context=False)
    detail = [{**one, "loc": ["body", *one["loc"]]} for one in found]
    return json_response({"detail": detail, "code": BadRequest.code, "retryable": False}, 422)


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
