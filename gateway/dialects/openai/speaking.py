"""Who speaks, and how."""

from __future__ import annotations

from dataclasses import replace

from gateway.dialects.openai.bodies import SpeechBody, VoiceReference
from gateway.dialects.openai.names import FORMATS, MODELS, VOICES
from gateway.errors import UnknownVoice, UnsupportedFormat, VoxwireError
from gateway.events import Pace, SpeechRequest
from gateway.runtime import Gateway
from gateway.session.session import Plan
from providers.base import Tunable

FRAME_MS = 100
"""Length of a piece of the body in the raw formats."""
_INSTRUCTIONS = "instructions"


class UnknownModel(VoxwireError):
    code = "model_not_found"
    http_status = 404


def plan(gateway: Gateway, body: SpeechBody) -> Plan:
    """Everything that the body names, found. Raises what ``Sessions.plan`` does, and ``UnknownModel``."""
    rendering = FORMATS.get(body.format)
    if rendering is None:
        raise UnsupportedFormat(f"this response_format is not available here; available are: {', '.join(FORMATS)}")
    voice = body.voice.id if isinstance(body.voice, VoiceReference) else body.voice
    request = SpeechRequest(
        voice=voice or None,
        provider=provider_of(gateway, body.model),
        model=body.model,
        speed=1.0 if body.speed is None else body.speed,
        format=rendering[0],
        sample_rate=rendering[1],
        pace=Pace.BURST,
        frame_ms=FRAME_MS,
    )
    try:
        planned = gateway.sessions.plan(request)
    except UnknownVoice:
        if voice not in VOICES:
            raise
        planned = gateway.sessions.plan(replace(request, voice=None))
    if body.instructions and isinstance(planned.provider, Tunable) and _INSTRUCTIONS in planned.provider.option_names:
        options = {_INSTRUCTIONS: body.instructions}
        planned = gateway.sessions.plan(replace(planned.request, options=options))
    return planned


def provider_of(gateway: Gateway, model: str | None) -> str | None:
    """The engine that a model's name means; ``None`` is the default one. Raises ``UnknownModel``."""
    if not model or model in MODELS or model.startswith(tuple(f"{name}-" for name in MODELS)):
        return None
    if model in gateway.providers.status:
        return model
    raise UnknownModel(f"there is no such model here; there are: {', '.join(models(gateway))}")


def models(gateway: Gateway) -> list[str]:
    return [*MODELS, *gateway.providers.status]
