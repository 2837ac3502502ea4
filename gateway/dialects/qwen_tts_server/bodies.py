"""What is asked."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

from gateway.dialects.qwen_tts_server.languages import AUTO
from gateway.errors import BadRequest
from gateway.library import Base64, Source, Url
from gateway.library.addresses import LONGEST_URL
from gateway.library.voice import MAX_DESCRIPTION, MAX_TRANSCRIPT, VoiceName
from gateway.openapi import at_least_one_of

MAX_TEXTS = 1000
MAX_BATCH_CHARACTERS = 10_000
"""Of one text of a batch: its sound is held until it is its turn."""

Text = Annotated[str, Field(min_length=1)]
BatchText = Annotated[str, Field(min_length=1, max_length=MAX_BATCH_CHARACTERS)]
Name = Annotated[str, Field(max_length=256)]
Instruct = Annotated[str, Field(max_length=MAX_DESCRIPTION)]
Described = Annotated[str, Field(min_length=1, max_length=MAX_DESCRIPTION)]


class _Body(BaseModel):
    # What a caller has sent is not repeated to it, and may be megabytes.
    model_config = ConfigDict(extra="ignore", hide_input_in_errors=True, use_attribute_docstrings=True)


# ---- one speech


class SpeechBody(_Body):
    """What every request for one speech has."""

    text: Text
    """What is to be spoken."""
    language: Name = AUTO
    """`Auto`, the English name of a language as `/api/v1/custom-voice/languages` lists them, or a BCP 47 tag. An engine
    that speaks a single language does not look at it."""
    speed: float = Field(1.0, ge=0.5, le=2.0)
    """2 is twice as fast. For engines that can; the others speak as fast as ever."""
    response_format: Literal["wav", "base64"] = "wav"
    """`base64` is JSON with the wav file in it. A stream has events, whatever is said here."""


class CustomVoiceBody(SpeechBody):
    """Speech with a speaker."""

    speaker: Name | None = None
    """The name of a speaker or the id of any voice, whatever its case. Without one, and with Qwen3-TTS's own nine where
    nobody has a voice of that name: the default voice."""
    instruct: Instruct | None = None
    """How it is to be spoken, such as "very happy". For engines that can; the others do not look at it."""


class VoiceDesignBody(SpeechBody):
    """Speech with a voice that is described."""

    instruct: Described
    """What the voice is like, such as "a deep, calm voice of an old man"."""


# ---- clips


class ReferenceBody(_Body):
    """A clip, and what is said in it."""

    model_config = ConfigDict(json_schema_extra=at_least_one_of("ref_audio_url", "ref_audio_base64"))

    ref_audio_url: str | None = Field(None, max_length=LONGEST_URL)
    """A public http(s) address of a sound file. This, or `ref_audio_base64`."""
    ref_audio_base64: str | None = None
    """A sound file in base64, as a data URL or not. At most 4 MiB, decoded."""
    ref_text: str | None = Field(None, max_length=MAX_TRANSCRIPT)
    """What is said in the clip. Must be there unless `x_vector_only_mode` is true."""
    x_vector_only_mode: bool = False
    """Make the voice of the sound alone; what is said in it is then not needed, and not used."""

    def source(self) -> Source:
        """Raises ``BadRequest``."""
        if self.ref_audio_url and self.ref_audio_base64:
            raise BadRequest("send ref_audio_url or ref_audio_base64, and not both")
        if self.ref_audio_url:
            return Url(self.ref_audio_url)
        if not self.ref_audio_base64:
            raise BadRequest("Either ref_audio_url or ref_audio_base64 must be provided")
        text = self.ref_audio_base64
        return Base64(text.partition(",")[2] if text.startswith("data:") else text)

    def transcript(self) -> str | None:
        """Raises ``BadRequest``."""
        if self.x_vector_only_mode:
            return None
        if not self.ref_text:
            raise BadRequest("ref_text is required when x_vector_only_mode is False")
        return self.ref_text


class CloneBody(SpeechBody, ReferenceBody):
    """Speech with a voice like that of a clip."""


class CreatePromptBody(ReferenceBody):
    """A voice like that of a clip, to be kept."""

    name: VoiceName = "Prompt"
    """What the voice is called in lists."""


class GenerateWithPromptBody(SpeechBody):
    """Speech with a voice that was kept."""

    prompt_id: Name
    """As `create-prompt` gave it; or the id of any other voice in the caller's library."""


class UploadForm(BaseModel):
    """A form with a clip."""

    model_config = ConfigDict(use_attribute_docstrings=True)

    file: bytes
    """A sound file of any common kind."""


# ---- many at once


class _Batch(_Body):
    """Lists of equal length."""

    texts: list[BatchText] = Field(min_length=1, max_length=MAX_TEXTS)
    """What is to be spoken."""
    languages: list[Name] | None = Field(None, max_length=MAX_TEXTS)
    """One for each text, or left out, which means `Auto`."""
    speed: float = Field(1.0, ge=0.5, le=2.0)
    """2 is twice as fast, of all of them. For engines that can."""
    response_format: Literal["base64", "wav", "zip"] = "base64"
    """The answer is JSON whatever is said here, as with the earlier server."""


class CustomVoiceBatchBody(_Batch):
    """Speech with speakers. The lists are as long as `texts`."""

    speakers: list[Name] | None = Field(None, max_length=MAX_TEXTS)
    """One for each text, or left out, which means the default voice."""
    instructs: list[Instruct | None] | None = Field(None, max_length=MAX_TEXTS)
    """How each text is to be spoken; null where nothing is said of it."""


class VoiceDesignBatchBody(_Batch):
    """Speech with voices that are described, 32 different ones at most. The lists are as long as `texts`."""

    instructs: list[Described] = Field(max_length=MAX_TEXTS)
    """What the voice of each text is like."""
