"""What is asked, and what is answered in JSON."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field
from pydantic.json_schema import SkipJsonSchema

from providers.base import Provider, Tunable

DEFAULT_VOICE = "tara"


def _untold(schema: dict[str, Any]) -> None:
    """The default is not what is taken, or not what is sent."""
    del schema["default"]


# ---- requests


class SpeechBody(BaseModel):
    """What the three routes take. Only `text` must be there. Fields that are not listed are ignored."""

    model_config = ConfigDict(extra="ignore", use_attribute_docstrings=True)

    text: str = Field(min_length=1, max_length=5000)
    """Of which something can be spoken."""
    voice: str = Field(DEFAULT_VOICE, max_length=256)
    """The id of a voice, as `GET /api/voices` has them. An engine called `orpheus` is asked first. Where nobody has a
    `tara`, it means the default engine's default voice."""
    temperature: float = Field(0.3, ge=0.0, le=2.0, json_schema_extra=_untold)
    """How freely it is spoken, for engines that have such an option; the others ignore it. The engine's own unless
    set."""
    max_tokens: int = Field(512, ge=64, le=2048, json_schema_extra=_untold)
    """Where a sentence is cut, for engines that have such an option: 512 are 6 seconds of Orpheus' sound. The engine's
    own unless set."""
    stream: bool = True
    """For `/api/tts` alone: events if true, else one JSON object."""

    def options(self, provider: Provider) -> Mapping[str, Any]:
        """What the engine understands of what was sent. The defaults are the earlier server's, and not every engine's:
        they are left to it."""
        known = provider.option_names if isinstance(provider, Tunable) else frozenset[str]()
        sent = known & self.model_fields_set & {"temperature", "max_tokens"}
        return {name: getattr(self, name) for name in sent}


# ---- answers


class Figures(BaseModel):
    model_config = ConfigDict(use_attribute_docstrings=True)

    duration_seconds: float
    """Of the sound."""
    sample_rate: int
    """Hz."""
    processing_time_ms: float
    """From the request to the last sound, a wait for a place included."""
    ttfa_ms: float
    """To the first."""


class SpeechAnswer(Figures):
    """A speech, and how long it took."""

    audio_base64: str
    """A wav file."""


class ChunkEvent(BaseModel):
    """Comes while it is made."""

    model_config = ConfigDict(use_attribute_docstrings=True)

    chunk: int
    """Its number, from 1."""
    audio_base64: str
    """The samples: 24 kHz, 16 bit, little-endian, mono."""
    samples: int
    duration_ms: float
    ttfa_ms: float | SkipJsonSchema[None] = Field(None, json_schema_extra=_untold)
    """From the request to the first sound, a wait for a place included; in the first event alone."""


class CompleteEvent(BaseModel):
    """Comes at the end."""

    model_config = ConfigDict(use_attribute_docstrings=True, json_schema_serialization_defaults_required=True)

    event: Literal["complete"] = "complete"
    total_chunks: int
    total_samples: int
    total_duration_s: float
    processing_time_ms: float
    """From the request to the last sound."""


class ErrorEvent(BaseModel):
    """Comes where something fails after the first sound, before the connection is cut."""

    model_config = ConfigDict(use_attribute_docstrings=True, json_schema_serialization_defaults_required=True)

    event: Literal["error"] = "error"
    error: str
    """A sentence for people."""
    code: str
    """For programs."""
    retryable: bool
    """Another try may help."""


class VoiceAnswer(BaseModel):
    model_config = ConfigDict(use_attribute_docstrings=True)

    id: str
    """What `voice` takes."""
    name: str
    """For people."""
    description: str
    language: str
    """A BCP 47 tag; `mul` where it speaks many."""
    provider: str
    """The engine's id."""


class VoicesAnswer(BaseModel):
    model_config = ConfigDict(use_attribute_docstrings=True)

    voices: list[VoiceAnswer]
    """Orpheus' before the others."""


class EndpointsAnswer(BaseModel):
    """Where everything is, for the index at `/`, which several APIs share."""

    model_config = ConfigDict(json_schema_serialization_defaults_required=True)

    tts: Literal["/api/tts"] = "/api/tts"
    tts_wav: Literal["/api/tts/wav"] = "/api/tts/wav"
    tts_stream: Literal["/api/tts/stream"] = "/api/tts/stream"
    voices: Literal["/api/voices"] = "/api/voices"
    health: Literal["/health"] = "/health"
