"""``/openapi.json``, and ``/docs`` to read it."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from pathlib import Path

import orjson
from starlette.requests import Request
from starlette.responses import FileResponse, Response
from starlette.routing import BaseRoute, Route

from gateway.openapi.document import document


def routes(told: Sequence[BaseRoute], page: Path, *, key_required: bool, address: str | None = None) -> list[BaseRoute]:
    """``page`` is the HTML file, which reads the document."""
    made = b""

    def make() -> bytes:
        return orjson.dumps(document(told, key_required=key_required, address=address))

    async def openapi(_: Request) -> Response:
        nonlocal made
        if not made:
            # Tens of milliseconds of pydantic's work, so on a thread; once, or a few times where several ask at first.
            made = await asyncio.to_thread(make)
        return Response(made, media_type="application/json", headers={"cache-control": "no-cache"})

    async def docs(_: Request) -> Response:
        return FileResponse(page, headers={"cache-control": "no-cache"})

    return [Route("/openapi.json", openapi), Route("/docs", docs)]
