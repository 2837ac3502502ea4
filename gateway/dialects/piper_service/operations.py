"""What the routes say of themselves. The socket is no part of OpenAPI; ``docs/dialects.md`` has it."""

from __future__ import annotations

from gateway.dialects.detail import DetailAnswer
from gateway.dialects.piper_service.bodies import PongAnswer, SpeechAnswer, SynthesizeBody, VoicesAnswer
from gateway.errors import Unauthorized
from gateway.openapi import SPEAKING, Content, Key, Operation, Said, Tag, json_content, refusals

TAG = Tag(
    "piper_service",
    "The API of an earlier Piper service: a text in JSON is answered with a file, alone or in JSON. Any engine serves"
    " it. Its WebSocket is `/stream`. The routes are also there under `/api/tts`.",
)
_REFUSALS = refusals(DetailAnswer, *SPEAKING, _422="a field is missing or of the wrong kind")
_WAV = "A `wav` begins once all is spoken."
_OTHERS = "`mp3` and `webm` come while they are made; what goes wrong then cuts the connection."

SYNTHESIZE = Operation(
    TAG,
    "Speak a text: a file in JSON",
    {200: Said("The speech.", json_content(SpeechAnswer)), **_REFUSALS},
    f"{_WAV} {_OTHERS}",
    json_content(SynthesizeBody),
)
BINARY = Operation(
    TAG,
    "Speak a text: a file",
    {
        200: Said(
            "The speech, in the format that was asked for, at the voice's own sample rate.",
            (
                Content("audio/wav", description="16 bits, one channel."),
                Content("audio/mpeg"),
                Content("audio/webm", description="Opus."),
            ),
            {
                "X-Audio-Duration": "Seconds of sound, of a wav.",
                "X-Processing-Time": "Seconds that a wav took to make, a wait for the engine included.",
            },
        ),
        **_REFUSALS,
    },
    f"{_WAV} {_OTHERS}",
    json_content(SynthesizeBody),
)
VOICES = Operation(
    TAG,
    "The voices",
    {200: Said("Those of an engine called `piper` before the others.", json_content(VoicesAnswer))}
    | refusals(DetailAnswer, Unauthorized),
)
PING = Operation(TAG, "Is it there", {200: Said("It is.", json_content(PongAnswer))}, key=Key.NONE)
