"""What is sent to this API."""

from __future__ import annotations

import math
from pathlib import PurePath

from pydantic import AliasChoices, BaseModel, ConfigDict, Field, SecretStr, field_validator, model_validator

from gateway.errors import UnsupportedFormat
from gateway.openapi import one_of

MAX_TASKS = 1000
MAX_CHARACTERS = 10_000
"""Of one task."""
MAX_BYTES = 16 * 1024 * 1024
"""Of one request."""
FORMATS: dict[str, str] = {
    "mp3": "mp3", "wav": "pcm16", "pcm": "pcm16", "ogg": "opus", "opus": "opus", "flac": "flac", "aac": "aac",
    "webm": "webm",
}  # fmt: skip
"""Our format, by the end of a file's name. A ``wav`` gets its header when its length is known."""


class Task(BaseModel):
    """One text. ``prompt`` asks for an answer of today's form, ``text`` for one of the older form."""

    model_config = ConfigDict(
        extra="ignore",
        use_attribute_docstrings=True,
        json_schema_extra=one_of(prompt="string", text="string"),
    )

    prompt: str | None = Field(None, max_length=MAX_CHARACTERS)
    """What is to be spoken."""
    output_filename: str | None = Field(None, max_length=256)
    """Of the file in the answer; its ending says what kind of file, ``mp3`` where there is none."""
    text: str | None = Field(None, max_length=MAX_CHARACTERS)
    """What is to be spoken, in the older form."""
    task_id: str | int | None = None
    """Comes back in the answer of the older form."""
    voice_type: str | None = Field(None, max_length=256)
    """A voice of any engine."""
    speed: float | None = Field(None, validation_alias=AliasChoices("speed", "speed_ratio"))
    """1 is the voice's own. Also ``speed_ratio``."""
    volume: float | None = Field(None, validation_alias=AliasChoices("volume", "volume_ratio"))
    """1 is the voice's own. Also ``volume_ratio``."""
    pitch: float | None = Field(None, gt=0, le=100, validation_alias=AliasChoices("pitch", "pitch_ratio"))
    """A ratio of frequencies: 2 is an octave up. Also ``pitch_ratio``."""
    encoding: str | None = Field(None, json_schema_extra={"examples": list(FORMATS)})
    """What kind of file, whatever its name says."""

    @model_validator(mode="after")
    def _said_once(self) -> Task:
        if (self.prompt is None) == (self.text is None):
            raise ValueError("a task has either a prompt or a text")
        return self

    @property
    def legacy(self) -> bool:
        return self.text is not None

    @property
    def words(self) -> str:
        return self.text if self.text is not None else self.prompt or ""

    def kind(self) -> str:
        """What the file is to be. Raises ``UnsupportedFormat``."""
        suffix = PurePath(self.output_filename or "").suffix[1:].lower()
        asked = (self.encoding or suffix or "mp3").lower()
        if asked not in FORMATS:
            raise UnsupportedFormat(f"there is no such kind of file here; there are: {', '.join(FORMATS)}")
        return asked

    def options(self) -> dict[str, float]:
        """As engines call them. Of the pitch this API knows the ratio of the frequencies, engines the semitones."""
        asked = {}
        if self.volume is not None:
            asked["volume"] = self.volume
        if self.pitch is not None:
            asked["pitch"] = round(12 * math.log2(self.pitch), 3)
        return asked


class Credentials(BaseModel):
    """The caller's own account with Volcano Engine: both, or neither."""

    model_config = ConfigDict(extra="ignore")

    volcengine_tts_appid: str = Field("", max_length=256)
    volcengine_tts_access_key: SecretStr = SecretStr("")


class BatchBody(BaseModel):
    """What ``POST /generate-batch`` takes."""

    model_config = ConfigDict(extra="ignore", use_attribute_docstrings=True)

    tasks: list[Task] = Field(min_length=1, max_length=MAX_TASKS)
    credentials: Credentials | None = None
    external_semaphore_id: str | None = Field(None, max_length=200)
    """A semaphore of ``/external-semaphores``, of which each task takes a place while it is spoken."""


class SemaphoreBody(BaseModel):
    """What ``POST /external-semaphores`` takes."""

    model_config = ConfigDict(extra="ignore", use_attribute_docstrings=True)

    semaphore_id: str = Field(min_length=1, max_length=200)
    """Its name. Not of ``.`` or ``..`` between slashes: clients resolve those before they send a path."""
    max_concurrent: int = Field(ge=1, le=1_000_000)
    """Its places."""
    description: str = Field("", max_length=1000)

    @field_validator("semaphore_id")
    @classmethod
    def _stays_in_a_path(cls, name: str) -> str:
        if {".", ".."} & set(name.split("/")):
            raise ValueError("'.' and '..' cannot stand between slashes: no client could ask for it by its path")
        return name


class NamedSemaphore(BaseModel):
    """The path of one semaphore."""

    model_config = ConfigDict(use_attribute_docstrings=True)

    name: str = Field(min_length=1)
    """Its name, as it was made; slashes may stand in it."""
