"""All of them, under their prefixes."""

from __future__ import annotations

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute

from gateway.dialects.qwen_tts_server import base, custom_voice, operations, voice_design
from gateway.dialects.qwen_tts_server.door import Door
from gateway.dialects.qwen_tts_server.engines import models
from gateway.dialects.refusal import json_response
from gateway.openapi import ApiRoute
from gateway.runtime import Gateway


def routes(gateway: Gateway) -> list[BaseRoute]:
    door = Door(gateway)

    async def models_health(_: Request) -> Response:
        """For whoever watches the gateway: it asks for no key, as ``/health`` does not."""
        return json_response(models(gateway).model_dump())

    return [
        *custom_voice.routes(door, "/api/v1/custom-voice"),
        *voice_design.routes(door, "/api/v1/voice-design"),
        *base.routes(door, "/api/v1/base"),
        ApiRoute("/health/models", models_health, operations.MODELS),
    ]
