"""How an error is answered over HTTP, and how a WebSocket is refused before it is accepted."""

from __future__ import annotations

import math
from collections.abc import Mapping
from contextlib import suppress
from typing import Any

import orjson
from pydantic import BaseModel, ConfigDict
from starlette.requests import HTTPConnection
from starlette.responses import Response
from starlette.websockets import WebSocket, WebSocketDisconnect

from gateway.admission.auth import Keys, caller, presented
from gateway.errors import VoxwireError


class ErrorFields(BaseModel):
    model_config = ConfigDict(use_attribute_docstrings=True)

    code: str
    """For programs."""
    message: str
    """A sentence for people."""
    retryable: bool
    """Another try may help."""


class ErrorAnswer(BaseModel):
    """The gateway's own form of an error."""

    error: ErrorFields


def json_response(content: Any, status: int = 200, headers: Mapping[str, str] | None = None) -> Response:
    return Response(orjson.dumps(content), status, headers, "application/json")


def retry_headers(error: VoxwireError) -> dict[str, str]:
    """``Retry-After`` in whole seconds, rounded up, where it is known."""
    return {} if error.retry_after is None else {"retry-after": str(max(1, math.ceil(error.retry_after)))}


def error_response(error: VoxwireError) -> Response:
    """The gateway's own form, ``ErrorAnswer``."""
    body = ErrorFields(code=error.code, message=error.message, retryable=error.retryable)
    return json_response(ErrorAnswer(error=body).model_dump(), error.http_status, retry_headers(error))


def authenticate(keys: Keys, connection: HTTPConnection) -> str:
    """The tenant who calls, for whom every session of this task and of its children then takes its places. Raises
    ``Unauthorized`` unless the request carries a known key, or none is needed."""
    tenant = keys.check(presented(connection.headers, connection.query_params))
    caller.set(tenant)
    return tenant


async def refuse(socket: WebSocket, error: VoxwireError) -> None:
    """Refuse a WebSocket with an HTTP status, so that a client sees what is wrong and does not just reconnect."""
    with suppress(WebSocketDisconnect):
        if "websocket.http.response" in socket.scope.get("extensions", {}):
            await socket.send_denial_response(error_response(error))
        else:
            await socket.close(error.close_code)
