"""Is it alive, may it be given work, and what has it done: ``/healthz``, ``/readyz`` and ``/metrics``; and ``/health``,
which the clients of earlier servers ask."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Literal

from prometheus_client import CONTENT_TYPE_LATEST
from pydantic import BaseModel, Field
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute

from gateway import __version__
from gateway.dialects.refusal import json_response
from gateway.openapi import ApiRoute, Content, Key, Operation, Said, Tag, json_content
from gateway.runtime import Gateway
from providers.status import State

TAG = Tag("health", "Is it alive, may it be given work, and what has it done.")


class EngineAnswer(BaseModel):
    state: State
    code: str | None = None
    """Why it cannot serve, for programs."""
    message: str | None = None
    """The same for people."""


class AliveAnswer(BaseModel):
    status: Literal["ok"] = "ok"
    version: str
    engines: dict[str, EngineAnswer]


class ReadyAnswer(BaseModel):
    status: Literal["ready", "draining", "not ready"]
    engines: dict[str, EngineAnswer]
    redis: Literal["up", "down"] | None = None
    """Where the deployment has one."""


class HealthAnswer(BaseModel):
    """``readyz`` in the words of several servers before this one; each client knows some of them."""

    status: Literal["healthy", "unhealthy"]
    version: str
    timestamp: str = Field(json_schema_extra={"format": "date-time"})
    client_initialized: bool


def routes(gateway: Gateway) -> list[BaseRoute]:
    async def healthz(_: Request) -> Response:
        return _json(AliveAnswer(version=__version__, engines=_engines(gateway)))

    async def readyz(_: Request) -> Response:
        ready = _ready(gateway)
        status: Literal["ready", "draining", "not ready"]
        status = "ready" if ready else "draining" if gateway.sessions.draining else "not ready"
        said = ReadyAnswer(status=status, engines=_engines(gateway), redis=_redis(gateway))
        return _json(said, 200 if ready else 503)

    async def health(_: Request) -> Response:
        ready = _ready(gateway)
        said = HealthAnswer(
            status="healthy" if ready else "unhealthy",
            version=__version__,
            timestamp=datetime.fromtimestamp(gateway.clock.wall(), UTC).isoformat(),
            client_initialized=ready,
        )
        return _json(said, 200 if ready else 503)

    async def metrics(_: Request) -> Response:
        return Response(await gateway.scrape(), media_type=CONTENT_TYPE_LATEST)

    return [
        ApiRoute("/healthz", healthz, _HEALTHZ),
        ApiRoute("/readyz", readyz, _READYZ),
        ApiRoute("/health", health, _HEALTH),
        ApiRoute("/metrics", metrics, _METRICS),
    ]


_HEALTHZ = Operation(
    TAG,
    "Is it alive",
    {200: Said("The event loop turns; and how each engine is.", json_content(AliveAnswer))},
    key=Key.NONE,
)
_READYZ = Operation(
    TAG,
    "May it be given work",
    {
        200: Said("An engine can serve.", json_content(ReadyAnswer)),
        503: Said("The engines are not warm yet, none of them can serve, or it drains.", json_content(ReadyAnswer)),
    },
    key=Key.NONE,
)
_HEALTH = Operation(
    TAG,
    "May it be given work, as the clients of earlier servers ask",
    {
        200: Said("An engine can serve.", json_content(HealthAnswer)),
        503: Said("As with `/readyz`.", json_content(HealthAnswer)),
    },
    key=Key.NONE,
)
_METRICS = Operation(
    TAG,
    "What it has done",
    {200: Said("Figures for Prometheus.", (Content("text/plain", str),))},
    key=Key.NONE,
)


def _json(content: BaseModel, status: int = 200) -> Response:
    return json_response(content.model_dump(mode="json", exclude_none=True), status)


def _ready(gateway: Gateway) -> bool:
    # An engine that is not loaded is by the first who asks for it; until somebody does, nothing else would load it.
    able = {State.READY, State.IDLE}
    return gateway.ready and any(status.state in able for status in gateway.providers.status.values())


def _redis(gateway: Gateway) -> Literal["up", "down"] | None:
    # Said, and no reason not to be ready: all gateways lose it at once, and then none would be left for the engines
    # that do not need it and for whoever speaks.
    leases = gateway.capacities.leases
    return None if leases is None else "up" if leases.up else "down"


def _engines(gateway: Gateway) -> dict[str, EngineAnswer]:
    return {
        name: EngineAnswer(
            state=status.state, code=status.code or None, message=status.message if status.code else None
        )
        for name, status in gateway.providers.status.items()
    }
