"""What the routes say of themselves."""

from __future__ import annotations

from gateway.dialects.detail import DetailAnswer
from gateway.dialects.orpheus_fastapi.bodies import (
    ChunkEvent,
    CompleteEvent,
    ErrorEvent,
    SpeechAnswer,
    SpeechBody,
    VoicesAnswer,
)
from gateway.errors import Unauthorized
from gateway.openapi import SPEAKING, Content, Operation, Said, Tag, json_content, refusals

TAG = Tag("orpheus_fastapi", "The API of an earlier server of Orpheus, orpheus-cpp. Its sound is 24 kHz, mono.")

_STREAM = Content("text/event-stream", ChunkEvent | CompleteEvent | ErrorEvent)
_REFUSALS = refusals(DetailAnswer, *SPEAKING, _422="a field is missing or of the wrong kind")

SPEECH = Operation(
    TAG,
    "Speak a text, as events or as JSON",
    {
        200: Said(
            "Events, sent while it is made; JSON, once all is spoken, where `stream` is false.",
            (_STREAM, *json_content(SpeechAnswer)),
        ),
        **_REFUSALS,
    },
    body=json_content(SpeechBody),
)
WAV = Operation(
    TAG,
    "Speak a text, as a wav file",
    {
        200: Said(
            "The file, once all is spoken.",
            (Content("audio/wav"),),
            {
                "Content-Disposition": "A name for the file.",
                "X-Processing-Time-Ms": "From the request to the last sound, a wait for a place included.",
                "X-TTFA-Ms": "To the first.",
                "X-Audio-Duration-Seconds": "Of the sound.",
            },
        ),
        **_REFUSALS,
    },
    body=json_content(SpeechBody),
)
STREAM = Operation(
    TAG,
    "Speak a text, as events",
    {200: Said("Sent while it is made.", (_STREAM,)), **_REFUSALS},
    body=json_content(SpeechBody),
)
VOICES = Operation(
    TAG,
    "All voices",
    {
        200: Said("Those that can be spoken with now.", json_content(VoicesAnswer)),
        **refusals(DetailAnswer, Unauthorized),
    },
)
