"""Who speaks, and how."""

from __future__ import annotations

from dataclasses import replace

from gateway.dialects.orpheus_fastapi.bodies import DEFAULT_VOICE, SpeechBody
from gateway.errors import UnknownVoice
from gateway.events import Pace, SpeechRequest
from gateway.runtime import Gateway
from gateway.session.session import Plan
from providers.base import ProviderError

DIALECT = "orpheus_fastapi"
ENGINE = "orpheus"
"""Asked for a voice before the others, where there is one of this id."""
SAMPLE_RATE = 24_000
"""Hz: every client takes this for granted."""
FRAME_MS = 28
"""Of sound in an event: what fits, in base64, into one that no client cuts, with a hundred bytes to spare."""


def plan(gateway: Gateway, body: SpeechBody) -> Plan:
    """Everything that the body names, found. Raises what ``Sessions.plan`` does."""
    request = SpeechRequest(
        voice=body.voice,
        provider=_speaker(gateway, body.voice),
        format="pcm16",
        sample_rate=SAMPLE_RATE,
        pace=Pace.BURST,
        frame_ms=FRAME_MS,
    )
    try:
        planned = gateway.sessions.plan(request)
    except UnknownVoice:
        if body.voice != DEFAULT_VOICE:
            raise
        planned = gateway.sessions.plan(replace(request, voice=None))
    options = body.options(planned.provider)
    return gateway.sessions.plan(replace(planned.request, options=options)) if options else planned


def _speaker(gateway: Gateway, voice: str) -> str | None:
    """The engine to ask for this voice; ``None`` leaves it to the order of the engines."""
    try:
        gateway.providers.find_voice(ENGINE, voice)
    except ProviderError:
        return None
    return ENGINE
