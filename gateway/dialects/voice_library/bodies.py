"""What is sent to these routes, and what they answer."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, model_validator

from gateway.library import Base64, Source, Url, Wish
from gateway.library.addresses import LONGEST_URL
from gateway.library.voice import MAX_DESCRIPTION, MAX_TRANSCRIPT
from gateway.openapi import one_of

Transcript = Annotated[
    str | None,
    Field(
        max_length=MAX_TRANSCRIPT,
        description="What is said in the clip. Some engines make a better voice where they know it.",
    ),
]


class ClipBody(BaseModel):
    """Where the sound is: in here, or at an address."""

    model_config = ConfigDict(
        extra="forbid",
        hide_input_in_errors=True,
        use_attribute_docstrings=True,
        json_schema_extra=one_of(base64="string", url="string"),
    )

    base64: str | None = None
    """A sound file of any common kind."""
    url: str | None = Field(None, max_length=LONGEST_URL)
    """A public http(s) address of one."""

    @model_validator(mode="before")
    @classmethod
    def _few(cls, data: Any) -> Any:
        # Each unknown field would be an error of its own, and there may be half a million.
        if isinstance(data, dict) and len(data) > len(cls.model_fields):
            raise ValueError("say 'base64' or 'url', and nothing else")
        return data

    @model_validator(mode="after")
    def _one(self) -> ClipBody:
        if (self.base64 is None) == (self.url is None):
            raise ValueError("say 'base64' or 'url', and not both")
        return self

    @property
    def source(self) -> Source:
        return Base64(self.base64) if self.base64 is not None else Url(self.url or "")


class VoiceBody(Wish):
    """A voice to make, from a description or from a clip."""

    model_config = ConfigDict(
        use_attribute_docstrings=True, json_schema_extra=one_of(description="string", clip="object")
    )

    description: Annotated[str, StringConstraints(strip_whitespace=True, min_length=1)] | None = Field(
        None, max_length=MAX_DESCRIPTION
    )
    """What the voice is to be like, such as "a calm old man"."""
    clip: ClipBody | None = None
    transcript: Transcript = None

    @model_validator(mode="after")
    def _one(self) -> VoiceBody:
        if (self.description is None) == (self.clip is None):
            raise ValueError("say 'description' or 'clip', and not both")
        return self


class VoiceForm(Wish):
    """The fields of a form that has a file in ``clip``."""

    transcript: Transcript = None


class VoiceUpload(VoiceForm):
    """A voice to make from a file. A form without a file has the fields of a JSON body."""

    model_config = ConfigDict(use_attribute_docstrings=True)

    clip: bytes
    """A sound file of any common kind."""


# ---- answers


class VoiceAnswer(BaseModel):
    """One voice of the library."""

    model_config = ConfigDict(use_attribute_docstrings=True)

    id: str
    """What it is called where it is spoken with."""
    name: str
    provider: str
    """The engine that speaks with it."""
    kind: Literal["cloned", "designed"]
    language: str
    """A BCP 47 tag; ``mul`` where it speaks many."""
    sample_rate_hz: int
    gender: str | None
    description: str | None
    created: datetime
    bytes: int
    """That it takes in the library."""
    available: bool
    """Its engine is here and can speak."""


class VoicesAnswer(BaseModel):
    voices: list[VoiceAnswer]


class NamedVoice(BaseModel):
    """The path of one voice."""

    model_config = ConfigDict(use_attribute_docstrings=True)

    voice: str = Field(min_length=1)
    """Its id."""
