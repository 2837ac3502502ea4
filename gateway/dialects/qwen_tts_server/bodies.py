"""What is asked, and what is answered where it is not sound."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

from gateway.dialects.qwen_tts_server.languages import AUTO
from gateway.errors import BadRequest
from gateway.library import Base64, Source, Url
from gateway.library.addresses import LONGEST_URL
from gateway.library.voice import MAX_DESCRIPTION, MAX_TRANSCRIPT, VoiceName

MAX_TEXTS = 1000
MAX_BATCH_CHARACTERS = 10_000
"""Of one text of a batch: its sound is held until it is its turn."""

Text = Annotated[str, Field(min_length=1)]
BatchText = Annotated[str, Field(min_length=1, max_length=MAX_BATCH_CHARACTERS)]
Name = Annotated[str, Field(max_length=256)]
Instruct = Annotated[str, Field(max_length=MAX_DESCRIPTION)]


# ---- requests


class _Body(BaseModel):
    # What a caller has sent is not repeated to it, and may be megabytes.
    model_config = ConfigDict(extra="ignore", hide_input_in_errors=True)


class SpeechBody(_Body):
    """What every request for one speech has."""

    text: Text
    language: Name = AUTO
    speed: float = Field(1.0, ge=0.5, le=2.0)
    response_format: Literal["wav", "base64"] = "wav"


class CustomVoiceBody(SpeechBody):
    speaker: Name | None = None
    instruct: Instruct | None = None
    """How it is to be spoken, such as "very happy"."""


class VoiceDesignBody(SpeechBody):
    instruct: Annotated[Instruct, Field(min_length=1)]
    """What the voice is like."""


class ReferenceBody(_Body):
    """A clip, and what is said in it."""

    ref_audio_url: str | None = Field(None, max_length=LONGEST_URL)
    ref_audio_base64: str | None = None
    ref_text: str | None = Field(None, max_length=MAX_TRANSCRIPT)
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
    pass


class CreatePromptBody(ReferenceBody):
    name: VoiceName = "Prompt"
    """Of the voice, in lists."""


class GenerateWithPromptBody(SpeechBody):
    prompt_id: Name


class _Batch(_Body):
    """Lists of equal length. The answer is JSON whatever ``response_format`` says, as with the earlier server."""

    texts: list[BatchText] = Field(min_length=1, max_length=MAX_TEXTS)
    languages: list[Name] | None = None
    speed: float = Field(1.0, ge=0.5, le=2.0)
    response_format: Literal["base64", "wav", "zip"] = "base64"


class CustomVoiceBatchBody(_Batch):
    speakers: list[Name] | None = None
    instructs: list[Instruct | None] | None = None


class VoiceDesignBatchBody(_Batch):
    instructs: list[Annotated[Instruct, Field(min_length=1)]]


# ---- answers


class SpeakerAnswer(BaseModel):
    name: str
    """What ``speaker`` takes."""
    description: str
    native_language: str
    provider: str
    sample_rate: int
    """Hz."""


class SpeakersAnswer(BaseModel):
    speakers: list[SpeakerAnswer]


class LanguagesAnswer(BaseModel):
    languages: list[str]


class PromptAnswer(BaseModel):
    prompt_id: str
    message: str


class UploadAnswer(BaseModel):
    filename: str
    content_type: str
    audio_base64: str
    """The file as it came."""
    duration: float
    """Seconds."""
    message: str


class QueueAnswer(BaseModel):
    places: int
    """Utterances that the engine speaks at once."""
    taken: int
    waiting: int


class ErrorAnswer(BaseModel):
    code: str
    message: str
    retry_in: float | None
    """Seconds until it is tried again; none where it need not be tried, or was not."""


class EngineAnswer(BaseModel):
    state: str
    """``idle``, ``starting``, ``ready`` or ``failed``."""
    voices: int
    designs_voices: bool
    clones_voices: bool
    load_time: float | None
    """Seconds that its last start took."""
    memory: int | None
    """Bytes by which the process grew in it."""
    users: int
    """Utterances that hold it."""
    queue: QueueAnswer | None
    """None where it has no number of places."""
    error: ErrorAnswer | None


class ModelsAnswer(BaseModel):
    custom_voice_loaded: bool
    voice_design_loaded: bool
    base_loaded: bool
    tokenizer_loaded: bool
    engines: dict[str, EngineAnswer]
