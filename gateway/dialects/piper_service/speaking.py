"""What a request means: which voice of which engine, and in which form it is answered."""

from __future__ import annotations

from typing import Any

from gateway.dialects.choice import choose
from gateway.dialects.detail import refused
from gateway.dialects.packed import PackedJson
from gateway.dialects.piper_service.bodies import (
    Figures,
    FileFormat,
    SynthesizeBody,
    SynthesizeMessage,
    VoiceAnswer,
    VoicesAnswer,
)
from gateway.dialects.responder import FileForm, Form, Produce, speech
from gateway.dialects.whole import Spoken, WholeJson, WholeWav, whole
from gateway.errors import TextTooLong
from gateway.events import Ended, Pace, SpeechRequest
from gateway.runtime import Gateway
from gateway.session.session import Plan
from providers.base import Provider, Voice

DIALECT = "piper_service"
ENGINE = "piper"
"""Asked for a voice before the others, where there is one of this id."""
VOICES = ("default", "assistant", "reader")
"""The earlier service's own names: the default voice, where nobody has one of that name."""
FRAME_MS = 100


def plan(gateway: Gateway, asked: SynthesizeBody | SynthesizeMessage, format_: str = "pcm16") -> Plan:
    """Everything that was asked for, found. Raises what ``Sessions.plan`` does, and ``TextTooLong``."""
    limit = gateway.settings.max_text_characters
    if len(asked.text) > limit:
        raise TextTooLong(f"text may have {limit} characters")
    request = SpeechRequest(
        voice=asked.voice or None, speed=asked.speed, format=format_, pace=Pace.BURST, frame_ms=FRAME_MS
    )
    return gateway.sessions.plan(choose(gateway, request, ENGINE, VOICES))


# ---- the file in JSON


def _figures(duration: float, format_: FileFormat, rate: int, took: float) -> dict[str, Any]:
    figures = Figures(duration=round(duration, 3), format=format_, sample_rate=rate, processing_time=round(took, 3))
    return figures.model_dump()


def _described(spoken: Spoken) -> dict[str, Any]:
    return _figures(spoken.duration, "wav", spoken.sample_rate, spoken.took)


def packed(gateway: Gateway, body: SynthesizeBody) -> tuple[Produce, Form]:
    """A ``SpeechAnswer``, its file first. Raises what ``plan`` does."""
    if body.format == "wav":
        form = WholeJson(DIALECT, "audio", _described, refused)
        return whole(gateway, plan(gateway, body), body.text, DIALECT, form.tell), form
    planned, clock, began = plan(gateway, body, body.format), gateway.clock, gateway.clock.now()

    def described(ended: Ended) -> dict[str, Any]:
        return _figures(ended.audio, body.format, planned.sample_rate, clock.now() - began)

    return speech(gateway.sessions, planned, body.text, DIALECT), PackedJson(DIALECT, "audio", described, refused)


# ---- the file alone


def _times(spoken: Spoken) -> dict[str, str]:
    return {"x-audio-duration": f"{spoken.duration:.3f}", "x-processing-time": f"{spoken.took:.3f}"}


def filed(gateway: Gateway, body: SynthesizeBody) -> tuple[Produce, Form]:
    """The file alone. Raises what ``plan`` does."""
    if body.format == "wav":
        form = WholeWav(DIALECT, _times, refused)
        return whole(gateway, plan(gateway, body), body.text, DIALECT, form.tell), form
    planned = plan(gateway, body, body.format)
    headers = {"content-type": planned.format.mime.partition(";")[0]}
    return speech(gateway.sessions, planned, body.text, DIALECT), FileForm(DIALECT, headers, refused)


# ---- the voices


def voices(gateway: Gateway) -> VoicesAnswer:
    """Piper's before the others."""
    found = [_voice(provider, voice) for provider, voice in gateway.providers.voices]
    return VoicesAnswer(voices=sorted(found, key=lambda voice: voice.provider != ENGINE))


def _voice(provider: Provider, voice: Voice) -> VoiceAnswer:
    gender = "neutral" if voice.gender is None else voice.gender
    return VoiceAnswer(id=voice.id, name=voice.name, language=voice.language, gender=gender, provider=provider.id)
