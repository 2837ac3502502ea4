"""What the routes say of themselves."""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel

from gateway.dialects.detail import DetailAnswer
from gateway.dialects.qwen_tts_server.answers import (
    BatchAnswer,
    LanguagesAnswer,
    MadeSpeechAnswer,
    ModelsAnswer,
    PromptAnswer,
    SpeakersAnswer,
    SpeechAnswer,
    UploadAnswer,
)
from gateway.dialects.qwen_tts_server.bodies import (
    CloneBody,
    CreatePromptBody,
    CustomVoiceBatchBody,
    CustomVoiceBody,
    GenerateWithPromptBody,
    UploadForm,
    VoiceDesignBatchBody,
    VoiceDesignBody,
)
from gateway.dialects.qwen_tts_server.speaking import NotServed
from gateway.errors import BadClip, LibraryFull, Overloaded, Unauthorized, UnknownLibraryVoice, VoxwireError
from gateway.openapi import (
    MAKING,
    READING,
    READING_CLIP,
    SPEAKING,
    Content,
    Key,
    Operation,
    Said,
    Tag,
    json_content,
    refusals,
)

TAG = Tag(
    "qwen_tts_server",
    "The API of an earlier server of Qwen3-TTS: speech with a speaker, with a voice that is described, and with a voice"
    " like that of a clip. Any engine serves the first; the others need one that makes voices.",
)
_INVALID = {"_422": "a field is missing or of the wrong kind"}
_MADE = *MAKING, NotServed
"""What every route that makes voices can refuse with."""


def _refusals(*errors: type[VoxwireError]) -> dict[int, Said]:
    return refusals(DetailAnswer, *errors, **_INVALID)


# ---- how sound is answered

_FIGURES = {
    "X-Sample-Rate": "Hz.",
    "X-Generation-Time": "Seconds that it took to make, a wait for the engine and the making of the voice included.",
    "X-Audio-Duration": "Seconds of sound.",
    "X-RTF": "The real-time factor, the first by the second.",
}
_CACHE = {"X-Cache-Status": "`hit` where the voice was known from an earlier request, else `miss`."}
_EVENTS = """\
Events, while it is spoken, each with a name (`event:`) and one line of data (`data:`):

- `metadata`: JSON with `sample_rate` (Hz), `format` (`wav`), `provider` and `speaker`;
- `audio`: a wav file of 100 ms or less in base64. The samples of all of them, one after the other, are one stream;
- `metadata`: JSON with `sample_rate`, `generation_time` (s), `audio_duration` (s) and `rtf`;
- `done`: `complete`.

Where something goes wrong later than the first sound, `error` is the last event, JSON with `detail`, `code` and
`retryable`, and the connection is cut.
"""
_CACHE_EVENTS = "\nIn both `metadata`, `cache_status` is `hit` where the voice was known from an earlier request."
_WHOLE = "The answer begins once all is spoken, so whatever goes wrong is a status."


def _file(summary: str, body: type[BaseModel], *errors: type[VoxwireError], made: bool = False) -> Operation:
    """A whole speech; ``made``: its voice is made for it."""
    content = (
        Content("audio/wav", description="Of `response_format` `wav`: 16 bits, one channel, the voice's own rate."),
        Content("application/json", MadeSpeechAnswer if made else SpeechAnswer, "Of `response_format` `base64`."),
    )
    said = Said("The speech. The headers are those of a file.", content, {**_FIGURES, **(_CACHE if made else {})})
    return Operation(TAG, summary, {200: said, **_refusals(*SPEAKING, *errors)}, _WHOLE, json_content(body))


def _stream(summary: str, body: type[BaseModel], *errors: type[VoxwireError], made: bool = False) -> Operation:
    told = _EVENTS + _CACHE_EVENTS if made else _EVENTS
    said = Said("The speech.", (Content("text/event-stream", str, told),), {"X-Sample-Rate": "Hz."})
    return Operation(TAG, summary, {200: said, **_refusals(*SPEAKING, *errors)}, body=json_content(body))


def _batch(summary: str, description: str, body: type[BaseModel], *errors: type[VoxwireError]) -> Operation:
    said = Said("The speeches; and why, of those that failed.", json_content(BatchAnswer))
    return Operation(TAG, summary, {200: said, **_refusals(*READING, *errors)}, description, json_content(body))


def _listing(summary: str, description: str, answer: Any) -> Operation:
    said = Said(description, json_content(answer))
    return Operation(TAG, summary, {200: said, **refusals(DetailAnswer, Unauthorized)})


# ---- with a speaker

GENERATE = _file("Speak with a speaker", CustomVoiceBody)
GENERATE_STREAM = _stream("Speak with a speaker: a stream of events", CustomVoiceBody)
BATCH = _batch(
    "Speak many texts with speakers",
    "What fails fails alone. 16 texts are spoken at a time, behind whatever somebody listens to. 16 MiB a request.",
    CustomVoiceBatchBody,
)
SPEAKERS = _listing(
    "The speakers", "Those of `qwen` where it can speak, else everybody's; and the caller's own.", SpeakersAnswer
)
LANGUAGES = _listing("The languages", "Those that the speakers speak.", LanguagesAnswer)

# ---- with a voice that is described

DESIGN = _file("Speak with a voice that is described", VoiceDesignBody, *_MADE, made=True)
DESIGN_STREAM = _stream("Speak with a voice that is described: a stream of events", VoiceDesignBody, *_MADE, made=True)
DESIGN_BATCH = _batch(
    "Speak many texts with voices that are described",
    "The voices, 32 at most, are made before anything is spoken. What fails fails alone. 16 MiB a request.",
    VoiceDesignBatchBody,
    *_MADE,
)

# ---- with a voice like that of a clip

CLONE = _file("Speak with a voice like that of a clip", CloneBody, *_MADE, *READING_CLIP, made=True)
CLONE_STREAM = _stream(
    "Speak with a voice like that of a clip: a stream of events", CloneBody, *_MADE, *READING_CLIP, made=True
)
CREATE_PROMPT = Operation(
    TAG,
    "Make a voice like that of a clip, and keep it",
    {
        200: Said("It is kept.", json_content(PromptAnswer)),
        **_refusals(*READING, *_MADE, *READING_CLIP, LibraryFull),
    },
    "It is a voice of the caller's library: `GET /v1/voices/library` lists it, `DELETE` there removes it, and it can be"
    " named wherever a voice is.",
    json_content(CreatePromptBody),
)
GENERATE_WITH_PROMPT = _file("Speak with a voice that was kept", GenerateWithPromptBody, UnknownLibraryVoice)
UPLOAD = Operation(
    TAG,
    "Turn a sound file into base64",
    {
        200: Said("It is sound, and can be taken as a clip.", json_content(UploadAnswer)),
        **refusals(DetailAnswer, *READING, BadClip, Overloaded),
    },
    "The file is decoded once, so that one which is no sound is refused here. It is not kept.",
    (Content("multipart/form-data", UploadForm),),
)

# ---- engines

MODELS = Operation(TAG, "How every engine is", {200: Said("All of them.", json_content(ModelsAnswer))}, key=Key.NONE)
