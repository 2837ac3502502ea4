"""What is asked, and what is answered where it is not sound."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from gateway.dialects.openai.names import DEFAULT_FORMAT, FORMATS, MODELS, VOICES
from gateway.errors import BadRequest, TextTooLong

Name = Annotated[str, Field(max_length=256)]


class WrongField(BadRequest):
    """One field of the body is missing, or of the wrong kind."""

    def __init__(self, name: str, message: str) -> None:
        super().__init__(f"{name}: {message}")
        self.name = name


# ---- requests


class VoiceReference(BaseModel):
    """A voice by its id, as OpenAI has it for voices that are made."""

    model_config = ConfigDict(extra="ignore", use_attribute_docstrings=True)

    id: str = Field(min_length=1, max_length=256)
    """As `voice` is, where that is a string."""


class SpeechBody(BaseModel):
    """What is to be spoken, and how. Fields that are not listed are ignored."""

    model_config = ConfigDict(extra="ignore", use_attribute_docstrings=True)

    input: str = Field(json_schema_extra={"minLength": 1})
    """The text. At most as many characters as the deployment allows (`VOXWIRE_MAX_TEXT_CHARACTERS`, 100,000 unless
    set), of which something can be spoken."""
    model: Name | None = Field(None, examples=[*MODELS])
    """One of OpenAI's names, also with a date behind it, or nothing: the deployment's default engine. An engine's id,
    as `GET /v1/models` lists them: that engine."""
    voice: str | VoiceReference | None = Field(None, examples=[*VOICES])
    """The id of a voice in `GET /v1/voices`. OpenAI's own names, where no engine has a voice of that name, and nothing
    mean the engine's default voice."""
    instructions: str | None = None
    """How it is to be spoken, for engines that follow such; the others ignore it."""
    response_format: Annotated[str, Field(json_schema_extra={"enum": [*FORMATS]})] | None = None
    """`opus` is Ogg, `aac` is ADTS. `pcm` is 24 kHz, 16 bit, little-endian, mono; the others have the voice's own rate,
    or the nearest that the format has. `mp3` unless set."""
    speed: float | None = Field(None, ge=0.25, le=4.0)
    """1 is the voice's own, and what is taken unless set; for engines that can."""
    stream_format: Literal["audio", "sse"] | None = None
    """`audio`, unless set: the file and nothing else, while it is made. `sse`: events, each with a piece of it."""

    @property
    def format(self) -> str:
        return self.response_format or DEFAULT_FORMAT


class NamedModel(BaseModel):
    model_config = ConfigDict(use_attribute_docstrings=True)

    model: str = Field(min_length=1, examples=[*MODELS])
    """As `model` in a request for speech."""


def parse(data: Mapping[str, Any], max_characters: int) -> SpeechBody:
    """Raises ``WrongField`` or ``TextTooLong``."""
    try:
        body = SpeechBody.model_validate(data)
    except ValidationError as error:
        first = error.errors(include_input=False, include_url=False)[0]
        message = first["msg"]
        raise WrongField(str(first["loc"][0]), message[:1].lower() + message[1:]) from None
    if len(body.input) > max_characters:
        raise TextTooLong(f"input may have {max_characters} characters")
    return body


# ---- answers

_ANSWER = ConfigDict(use_attribute_docstrings=True, json_schema_serialization_defaults_required=True)


class ModelAnswer(BaseModel):
    """A name that `model` can have."""

    model_config = _ANSWER

    id: str
    object: Literal["model"] = "model"
    created: int = 0
    """No time is known: always 0."""
    owned_by: Literal["voxwire"] = "voxwire"


class ModelsAnswer(BaseModel):
    model_config = _ANSWER

    object: Literal["list"] = "list"
    data: list[ModelAnswer]
    """OpenAI's names, which all mean the default engine, then the engines' ids, the default's first."""


class ErrorFields(BaseModel):
    model_config = ConfigDict(use_attribute_docstrings=True)

    message: str
    """A sentence for people."""
    type: Literal["invalid_request_error", "server_error"]
    """`server_error` where the status is 500 or above."""
    param: str | None
    """The field that is wrong, where it is one."""
    code: str
    """For programs."""


class ErrorAnswer(BaseModel):
    """An error in OpenAI's form."""

    error: ErrorFields


# ---- the data of events


class AudioDelta(BaseModel):
    """Comes while it is made."""

    model_config = _ANSWER

    type: Literal["speech.audio.delta"] = "speech.audio.delta"
    audio: str
    """A piece of the file, in base64."""


class Usage(BaseModel):
    """Estimates, for no tokens are involved here: one for four characters, and twenty a second of sound."""

    input_tokens: int
    output_tokens: int
    total_tokens: int


class AudioDone(BaseModel):
    """Comes at the end."""

    model_config = _ANSWER

    type: Literal["speech.audio.done"] = "speech.audio.done"
    usage: Usage


class Failure(BaseModel):
    """Comes where something fails after the first sound, before the connection is cut."""

    model_config = _ANSWER

    type: Literal["error"] = "error"
    error: ErrorFields
