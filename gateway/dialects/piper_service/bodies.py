"""What is asked, and what is answered."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

MAX_CHARACTERS = 10_000

FileFormat = Literal["wav", "mp3", "webm"]


# ---- requests


class _Asked(BaseModel):
    # What a caller has sent is not repeated to it.
    model_config = ConfigDict(extra="ignore", hide_input_in_errors=True, use_attribute_docstrings=True)

    text: str = Field(min_length=1, max_length=MAX_CHARACTERS)
    """What is to be spoken."""
    voice: str | None = Field(None, max_length=256)
    """The id of a voice, whatever its case, as `GET /api/tts/voices` lists them. Without one, and with `default`,
    `assistant` or `reader` where nobody has a voice of that name: Piper's default voice, or the default engine's where
    there is no Piper."""
    speed: float = Field(1.0, ge=0.5, le=2.0)
    """2 is twice as fast. For engines that can; the others speak as fast as ever."""


class SynthesizeBody(_Asked):
    """What the two routes take."""

    format: FileFormat = "wav"
    """`webm` has Opus in it."""


class SynthesizeMessage(_Asked):
    """What a client says on the socket."""

    type: Literal["synthesize"]


# ---- answers


class Figures(BaseModel):
    """What stands behind the file in the JSON."""

    model_config = ConfigDict(use_attribute_docstrings=True)

    duration: float
    """Seconds of sound."""
    format: FileFormat
    """Of the file."""
    sample_rate: int
    """Hz."""
    processing_time: float
    """Seconds that it took to make, a wait for the engine included."""


class SpeechAnswer(Figures):
    """A whole speech."""

    audio: Annotated[str, Field(json_schema_extra={"contentEncoding": "base64"})]
    """The file, in base64."""


class VoiceAnswer(BaseModel):
    model_config = ConfigDict(use_attribute_docstrings=True)

    id: str
    """What `voice` takes."""
    name: str
    """For people."""
    language: str
    """A BCP 47 tag; `mul` where it speaks many."""
    gender: str
    """`male` or `female`; `neutral` also where it is not known."""
    provider: str
    """The engine that speaks with it."""


class VoicesAnswer(BaseModel):
    voices: list[VoiceAnswer]


class PongAnswer(BaseModel):
    model_config = ConfigDict(json_schema_serialization_defaults_required=True)

    status: Literal["pong"] = "pong"
