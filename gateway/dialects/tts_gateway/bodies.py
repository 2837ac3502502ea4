"""What is asked, and what is answered where it is not sound."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict, Field

from audio import convert, formats
from audio.convert import Container
from audio.formats import AudioFormat

KINDS: dict[str, AudioFormat | Container] = {**convert.CONTAINERS, **formats.FORMATS}
"""What a file can be, by name. Where both can make it, the format: its encoder starts at once and runs in this
process."""

# ---- requests


class SessionBody(BaseModel):
    """What is to be spoken, and how. Fields that are not listed are ignored."""

    model_config = ConfigDict(extra="ignore", use_attribute_docstrings=True)

    text: str = Field(min_length=1)
    """At most as many characters as the deployment allows (`VOXWIRE_MAX_TEXT_CHARACTERS`, 100,000 unless set), of which
    something can be spoken."""
    provider: str | None = Field(None, max_length=256)
    """An engine's id, as `GET /v1/voices` has them. Unless set, the first that has the voice."""
    voice: str | None = Field(None, max_length=256)
    """The id of a voice, as `GET /v1/voices` has them. The engine's default voice unless set."""
    target_format: str = Field("pcm16", max_length=32, json_schema_extra={"enum": [*formats.FORMATS]})
    """What the stream is in, and the file unless it is asked for in another one."""
    sample_rate_hz: int | None = Field(None, gt=0)
    """One that the format has. The voice's own, or the nearest that the format has, unless set."""
    language: str | None = Field(None, max_length=64)
    """A BCP 47 tag. Only its first part is compared with the voice's; a voice of any language speaks it."""


class VoicesQuery(BaseModel):
    model_config = ConfigDict(use_attribute_docstrings=True)

    provider: str | None = None
    """Only voices of this engine."""
    language: str | None = None
    """Only voices of exactly this language, such as `en-US`."""


class NamedSession(BaseModel):
    model_config = ConfigDict(use_attribute_docstrings=True)

    session: str = Field(min_length=1)
    """Its id, from `POST /v1/tts/sessions`; or the token of a session at `/v1/stream` that was recorded."""


class FileQuery(BaseModel):
    model_config = ConfigDict(use_attribute_docstrings=True)

    format: str | None = Field(None, json_schema_extra={"enum": [*KINDS]})
    """What the file shall be. As the session was asked for, unless set."""


# ---- answers


class SessionAnswer(BaseModel):
    model_config = ConfigDict(use_attribute_docstrings=True)

    session_id: str
    ws_url: str
    """Where its one listener connects. A client that needs a key and cannot send headers adds `?api_key=`."""


class VoiceAnswer(BaseModel):
    model_config = ConfigDict(use_attribute_docstrings=True)

    id: str
    """What `voice` takes, wherever a voice is named."""
    name: str
    """For people."""
    language: str
    """A BCP 47 tag; `mul` where it speaks many."""
    provider: str
    """The engine's id."""
    sample_rate_hz: int
    """Its own: what it has without a conversion."""
    supported_formats: list[str]


class VoicesAnswer(BaseModel):
    model_config = ConfigDict(use_attribute_docstrings=True)

    voices: list[VoiceAnswer]
    """Those of the engines, then those that the caller has made."""
