"""Who speaks, and how."""

from __future__ import annotations

from dataclasses import replace

from gateway.dialects.tts_gateway.bodies import SessionBody
from gateway.errors import BadRequest, NothingToSpeak, TextTooLong
from gateway.events import Pace, SpeechRequest
from gateway.pipeline.segmenter import speakable
from gateway.runtime import Gateway
from gateway.session.session import Plan
from providers.base import Voice

DIALECT = "tts_gateway"
FRAME_MS = 100


def plan(gateway: Gateway, body: SessionBody) -> Plan:
    """Everything that the body names, found. Raises a ``VoxwireError``."""
    limit = gateway.settings.max_text_characters
    if len(body.text) > limit:
        raise TextTooLong(f"text may have {limit} characters")
    if not speakable(body.text):
        raise NothingToSpeak("text must have something that can be spoken, not only blanks, punctuation or symbols")
    planned = gateway.sessions.plan(
        SpeechRequest(
            voice=body.voice,
            provider=body.provider,
            format=body.target_format,
            sample_rate=body.sample_rate_hz,
            pace=Pace.BURST,
            frame_ms=FRAME_MS,
            language=body.language,
            record=True,
        )
    )
    # Filled in, so that the session is spoken as it was promised, whatever becomes of the defaults.
    found = replace(
        planned.request,
        voice=planned.voice.id,
        provider=planned.provider.id,
        sample_rate=planned.sample_rate,
        language=_language(body.language, planned.voice),
    )
    return replace(planned, request=found)


def _language(asked: str | None, voice: Voice) -> str | None:
    """What the engine is told: a voice of one language needs no telling. Raises ``BadRequest``."""
    if asked is None or voice.multilingual:
        return asked
    if voice.speaks(asked):
        return None
    raise BadRequest(f"this language is not supported by voice {voice.id!r}, which speaks {voice.language}")
