"""The composition root: settings in, an ASGI application out. Nothing imports this but the server and the tests."""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.middleware.cors import CORSMiddleware
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute

from gateway import health, index
from gateway.config import Settings
from gateway.dialects import (
    native,
    openai,
    orpheus_fastapi,
    piper_service,
    qwen_tts_server,
    tts_gateway,
    voice_library,
    volcengine_concurrent,
)
from gateway.dialects.refusal import error_response
from gateway.errors import VoxwireError
from gateway.openapi.routes import routes as openapi_routes
from gateway.runtime import Gateway
from gateway.unrouted import unrouted

log = logging.getLogger(__name__)

DIALECTS: tuple[Callable[[Gateway], list[BaseRoute]], ...] = (
    native.routes,
    tts_gateway.routes,
    voice_library.routes,
    openai.routes,
    orpheus_fastapi.routes,
    volcengine_concurrent.routes,
    piper_service.routes,
    qwen_tts_server.routes,
)


def create_app(settings: Settings | None = None, gateway: Gateway | None = None) -> Starlette:
    """The application. ``gateway`` is given by tests that bring engines or a clock of their own."""
    gateway = gateway or Gateway(settings or Settings())

    @asynccontextmanager
    async def lifespan(_: Starlette) -> AsyncIterator[None]:
        await gateway.start()
        try:
            yield
        finally:
            await gateway.close()

    routes: list[BaseRoute] = [*health.routes(gateway), *index.routes(gateway, _web_folder())]
    for dialect in DIALECTS:
        routes.extend(dialect(gateway))
    page, key_required, address = _web_folder() / "docs.html", gateway.keys.required, gateway.settings.public_url
    routes.extend(openapi_routes(tuple(routes), page, key_required=key_required, address=address))
    middleware = []
    if gateway.settings.cors_origins:
        middleware.append(
            Middleware(
                CORSMiddleware,
                allow_origins=gateway.settings.cors_origins,
                allow_methods=["*"],
                allow_headers=["*"],
                expose_headers=["*"],
            )
        )
    app = Starlette(
        routes=routes,
        middleware=middleware,
        lifespan=lifespan,
        exception_handlers={VoxwireError: _on_error, HTTPException: unrouted},
    )
    app.state.gateway = gateway
    return app


async def _on_error(_: Request, error: Exception) -> Response:
    assert isinstance(error, VoxwireError)
    return error_response(error)


def _web_folder() -> Path:
    here = Path(__file__).parent
    packaged = here / "_web"
    return packaged if packaged.is_dir() else here.parent / "web"
