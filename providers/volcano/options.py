"""What a request may ask of the service beside its text and voice, and how each protocol says it."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from providers.base import BadOption

Text = Field(None, min_length=1, max_length=300)


class Options(BaseModel):
    """``docs/engines/volcano.md`` has a row for each."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)

    volume: float = Field(1.0, ge=0.5, le=2.0)
    pitch: float = Field(0.0, ge=-12, le=12)
    emotion: str | None = Field(None, min_length=1, max_length=40, pattern=r"^[\w -]+$")
    emotion_scale: float | None = Field(None, ge=1, le=5)
    instruction: str | None = Text
    dialect: str | None = Field(None, pattern=r"^[\w-]{1,40}$")
    explicit_language: str | None = Field(None, pattern=r"^[\w-]{1,40}$")
    silence_ms: int | None = Field(None, ge=0, le=30_000)
    filter_markdown: bool = False
    model: Literal["seed-tts-1.1", "seed-tts-2.0-standard", "seed-tts-2.0-expressive"] | None = None


def check(options: Mapping[str, Any]) -> Options:
    """Raises ``BadOption``, which names the option and not its value."""
    try:
        return Options.model_validate(dict(options))
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        name = str(first["loc"][0]) if first["loc"] else "options"
        if name not in Options.model_fields:
            known = ", ".join(Options.model_fields)
            raise BadOption(f"engine 'volcano' has no such option; it has: {known}") from None
        raise BadOption(f"option {name!r} of engine 'volcano': {first['msg']}") from None


def percent(ratio: float) -> int:
    """A ratio as version 3 writes it: 100 is twice as much, -50 half."""
    return round((min(2.0, max(0.5, ratio)) - 1.0) * 100)


def ratio(semitones: float) -> float:
    """A pitch as version 1 writes it."""
    return round(math.pow(2.0, semitones / 12.0), 3)
