"""Is it alive, may it be given work, and what has it done: ``/healthz``, ``/readyz`` and ``/metrics``; and ``/health``,
which the clients of earlier servers ask."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from prometheus_client import CONTENT_TYPE_LATEST
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from gateway import __version__
from gateway.dialects.refusal import json_response
from gateway.runtime import Gateway
from providers.running import State


def routes(gateway: Gateway) -> list[BaseRoute]:
    async def healthz(_: Request) -> Response:
        """Answers as long as the event loop turns; says how each engine is."""
        return json_response({"status": "ok", "version": __version__, "engines": _engines(gateway)})

    async def readyz(_: Request) -> Response:
        """503 until the engines are warm, when none of them can serve, and while the gateway drains."""
        ready = _ready(gateway)
        status = "ready" if ready else "draining" if gateway.sessions.draining else "not ready"
        said = {"status": status, "engines": _engines(gateway), **_redis(gateway)}
        return json_response(said, 200 if ready else 503)

    async def health(_: Request) -> Response:
        """As ``readyz``, in the words of several servers before this one; each client knows some of them."""
        ready = _ready(gateway)
        said = {
            "status": "healthy" if ready else "unhealthy",
            "version": __version__,
            "timestamp": datetime.fromtimestamp(gateway.clock.wall(), UTC).isoformat(),
            "client_initialized": ready,
        }
        return json_response(said, 200 if ready else 503)

    async def metrics(_: Request) -> Response:
        return Response(await gateway.scrape(), media_type=CONTENT_TYPE_LATEST)

    return [
        Route("/healthz", healthz),
        Route("/readyz", readyz),
        Route("/health", health),
        Route("/metrics", metrics),
    ]


def _ready(gateway: Gateway) -> bool:
    # An engine that is not loaded is by the first who asks for it; until somebody does, nothing else would load it.
    able = {State.READY, State.IDLE}
    return gateway.ready and any(status.state in able for status in gateway.providers.status.values())


def _redis(gateway: Gateway) -> dict[str, str]:
    # Said, and no reason not to be ready: all gateways lose it at once, and then none would be left for the engines
    # that do not need it and for whoever speaks.
    leases = gateway.capacities.leases
    return {} if leases is None else {"redis": "up" if leases.up else "down"}


def _engines(gateway: Gateway) -> dict[str, dict[str, Any]]:
    return {
        name: {
            "state": status.state.value,
            **({"code": status.code, "message": status.message} if status.code else {}),
        }
        for name, status in gateway.providers.status.items()
    }
