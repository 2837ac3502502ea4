"""What the routes say of themselves."""

from __future__ import annotations

from gateway.dialects.detail import DetailAnswer
from gateway.dialects.orpheus_fastapi.bodies import SpeechAnswer, SpeechBody, VoicesAnswer
from gateway.errors import Unauthorized
from gateway.openapi import SPEAKING, Content, Operation, Said, Tag, json_content, refusals

TAG = Tag("orpheus_fastapi", "The API of an earlier server of Orpheus, orpheus-cpp. Its sound is 24 kHz, mono.")

_EVENTS = """\
The data of each event is JSON:
`{"chunk": 1, "audio_base64": "…", "samples": 672, "duration_ms": 28.0, "ttfa_ms": 158.2}`, the sound being 16 bit,
little-endian, and `ttfa_ms`, the time to the first sound, in the first event alone; at the end
`{"event": "complete", "total_chunks", "total_samples", "total_duration_s", "processing_time_ms"}`. What fails after the
first sound is `{"event": "error", "error", "code", "retryable"}`, and the connection is cut.
"""
_STREAM = Content("text/event-stream", str, _EVENTS)
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
