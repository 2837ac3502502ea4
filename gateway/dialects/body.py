"""Reading the JSON body of a request: bounded in bytes and in time, and every way it can be wrong told apart."""

from __future__ import annotations

import asyncio
from typing import Any

import orjson
from starlette.requests import ClientDisconnect, Request

from gateway.config import Settings
from gateway.errors import BadMessage, VoxwireError

_BYTES_A_CHARACTER = 12
"""A character outside the basic plane, written as two ``\\uXXXX`` escapes, as many JSON encoders do."""


class Unread(BadMessage):
    """The rest of the body was not waited for."""


def closing(error: VoxwireError) -> dict[str, str]:
    """The header that ends the connection, where the client may send its body for ever. Not where it has said how
    long the body is: it could then lose the answer, which comes while it still writes."""
    return {"connection": "close"} if isinstance(error, Unread) else {}


def body_limit(settings: Settings) -> int:
    """Bytes of the longest text that is taken, however it is escaped, and of as much around it as a message may
    have."""
    return settings.max_message_bytes + settings.max_text_characters * _BYTES_A_CHARACTER


async def read_object(request: Request, *, limit: int, seconds: float, any_type: bool = False) -> dict[str, Any]:
    """The JSON object that the request carries. Raises ``BadMessage``.

    ``any_type`` takes one that is not called JSON, for routes whose callers prove who they are in another header: a
    page of another site could send that without asking.
    """
    kind = request.headers.get("content-type", "application/json").partition(";")[0].strip().lower()
    if not any_type and kind != "application/json" and not kind.endswith("+json"):
        raise BadMessage("the body must be JSON: send it with 'Content-Type: application/json'")
    body = await _read(request, limit, seconds)
    try:
        data = orjson.loads(body)
    except orjson.JSONDecodeError as error:
        raise BadMessage(f"the body is not JSON in UTF-8: {error.msg} at character {error.pos}") from None
    if not isinstance(data, dict):
        raise BadMessage("the body must be a JSON object")
    return data


async def _read(request: Request, limit: int, seconds: float) -> bytearray:
    length = request.headers.get("content-length", "")
    if length.isdecimal() and int(length) > limit:
        raise BadMessage(f"the body has more than {limit} bytes")
    body = bytearray()
    try:
        async with asyncio.timeout(seconds):
            async for piece in request.stream():
                body += piece
                if len(body) > limit:
                    raise Unread(f"the body has more than {limit} bytes")
    except TimeoutError:
        raise Unread(f"the body did not come within {seconds:g} seconds") from None
    except ClientDisconnect:
        # Nobody reads the answer; the request just ends as any other wrong one does.
        raise BadMessage("the connection was closed before the whole body had come") from None
    return body
