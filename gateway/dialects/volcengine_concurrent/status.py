"""What the clients of this API read at ``/``."""

from __future__ import annotations

from typing import Any

from gateway.admission.capacity import Capacity
from gateway.dialects.volcengine_concurrent.callers import admin_key
from gateway.errors import VoxwireError
from gateway.runtime import Gateway
from providers.base import Accounted, Limited, ProviderError

ENGINE = "volcano"


async def status(gateway: Gateway) -> dict[str, Any]:
    """Of the gateway's own account, where it has one."""
    capacity = _capacity(gateway)
    try:
        made: int | None = len(await gateway.capacities.list())
    except VoxwireError:
        made = None
    return {
        "message": "Text in over a WebSocket, speech out while it is being made",
        "concurrency_status": {
            "global_concurrency_limit": capacity.places,
            "current_available_slots": max(0, capacity.places - capacity.taken),
            "external_semaphores_count": made,
        },
        "authentication": {
            "admin_api_key": "configured" if admin_key(gateway) else "not configured",
            "user_credentials": "supported",
            "environment_variables": "fallback",
        },
    }


def _capacity(gateway: Gateway) -> Capacity:
    try:
        engine = gateway.providers.get(ENGINE)
    except ProviderError:
        return gateway.capacities.sessions
    if not isinstance(engine, Limited):
        return gateway.capacities.sessions
    account = engine.account if isinstance(engine, Accounted) else None
    return gateway.capacities.engine(engine.id, engine.places, account)
