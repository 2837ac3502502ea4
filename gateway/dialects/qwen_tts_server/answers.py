"""What is answered."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

from gateway.dialects.detail import DetailAnswer

WavInBase64 = Annotated[
    str, Field(description="A wav file, in base64.", json_schema_extra={"contentEncoding": "base64"})
]
CacheStatus = Literal["hit", "miss"]


class _Answer(BaseModel):
    model_config = ConfigDict(use_attribute_docstrings=True, json_schema_serialization_defaults_required=True)


# ---- sound


class Figures(_Answer):
    """What stands behind the file in the JSON of a speech."""

    sample_rate: int
    """Hz."""
    format: Literal["wav"] = "wav"
    """Of the file."""
    generation_time: float
    """Seconds that it took to make, a wait for the engine and the making of the voice included."""
    audio_duration: float
    """Seconds of sound."""
    rtf: float
    """The real-time factor, the first by the second: less than 1 where it is made faster than it is heard."""


class MadeFigures(Figures):
    """The same of a speech whose voice is made for it."""

    cache_status: CacheStatus
    """`hit` where the voice was known from an earlier request."""


class SpeechAnswer(Figures):
    """A whole speech."""

    audio: WavInBase64


class MadeSpeechAnswer(MadeFigures):
    """A whole speech with a voice that is made for it."""

    audio: WavInBase64


class BatchRest(_Answer):
    """What stands behind the files in the JSON of a batch."""

    errors: list[DetailAnswer | None]
    """In the order of the texts: why one has no file; null where it has one."""
    sample_rate: int
    """Hz, of all the files."""
    format: Literal["wav"] = "wav"
    """Of the files."""


class BatchAnswer(BatchRest):
    """Many speeches."""

    audios: list[WavInBase64 | None]
    """In the order of the texts; null where one cannot be spoken."""


# ---- speakers and languages


class SpeakerAnswer(_Answer):
    name: str
    """What `speaker` takes."""
    description: str
    """What the voice is like, for people."""
    native_language: str
    """By its English name, or a BCP 47 tag where that has none here; or `Multilingual`."""
    provider: str
    """The engine that speaks with it."""
    sample_rate: int
    """Hz."""


class SpeakersAnswer(_Answer):
    speakers: list[SpeakerAnswer]


class LanguagesAnswer(_Answer):
    languages: list[str]
    """`Auto`, and what the speakers speak."""


# ---- clips


class PromptAnswer(_Answer):
    prompt_id: str
    """What `generate-with-prompt` takes; and `speaker` too."""
    message: str
    """For people."""


class UploadAnswer(_Answer):
    filename: str
    """As the form had it."""
    content_type: str
    """As the form had it."""
    audio_base64: Annotated[str, Field(json_schema_extra={"contentEncoding": "base64"})]
    """The file as it came, in base64: what `ref_audio_base64` takes."""
    duration: float
    """Seconds of sound."""
    message: str
    """For people."""


# ---- engines


class QueueAnswer(_Answer):
    places: int
    """Utterances that the engine speaks at once."""
    taken: int
    """Those that it speaks."""
    waiting: int
    """Those that wait for a place."""


class ErrorAnswer(_Answer):
    code: str
    """For programs."""
    message: str
    """For people."""
    retry_in: float | None
    """Seconds until it is tried again; none where it need not be tried, or was not."""


class EngineAnswer(_Answer):
    state: Literal["idle", "starting", "ready", "failed"]
    """`idle`: it is not loaded; the first who needs it loads it."""
    voices: int
    """How many it has."""
    designs_voices: bool
    """Whether it makes voices from descriptions."""
    clones_voices: bool
    """Whether it makes voices from clips."""
    load_time: float | None
    """Seconds that its last start took."""
    memory: int | None
    """Bytes by which the process grew in it; of an engine in a process of its own, all that this holds now."""
    isolated: bool
    """Whether it has a process of its own."""
    users: int
    """Utterances that hold it."""
    queue: QueueAnswer | None
    """None where it has no number of places."""
    error: ErrorAnswer | None
    """Why it cannot serve."""


class ModelsAnswer(_Answer):
    custom_voice_loaded: bool
    """An engine is loaded that speaks: `qwen`, or any where there is none of that id."""
    voice_design_loaded: bool
    """An engine is loaded that makes voices from descriptions."""
    base_loaded: bool
    """An engine is loaded that makes voices from clips."""
    tokenizer_loaded: bool
    """An engine is loaded."""
    engines: dict[str, EngineAnswer]
    """All of them, by their ids."""
