"""What the routes say of themselves."""

from __future__ import annotations

from dataclasses import replace

from audio import formats
from gateway.dialects.openai.bodies import (
    AudioDelta,
    AudioDone,
    ErrorAnswer,
    Failure,
    ModelAnswer,
    ModelsAnswer,
    NamedModel,
    SpeechBody,
)
from gateway.dialects.openai.names import FORMATS
from gateway.dialects.openai.speaking import UnknownModel
from gateway.errors import RateLimited, Unauthorized, VoxwireError
from gateway.openapi import SPEAKING, Content, Operation, Said, Tag, json_content, refusals

TAG = Tag("openai", "OpenAI's speech API, for its client libraries and whatever is built on them.")

_ID = {"X-Request-Id": "Of this request, as in the gateway's log."}
_RETRY = {"X-Should-Retry": "`true` where another try may help, else `false`: OpenAI's clients obey it."}

_SPOKEN = tuple(error for error in SPEAKING if error is not RateLimited)
"""The requests to this API are not counted."""


def _refusals(*errors: type[VoxwireError]) -> dict[int, Said]:
    found = refusals(ErrorAnswer, *errors)
    found[Unauthorized.http_status] = replace(found[Unauthorized.http_status], description="`invalid_api_key`")
    return {status: replace(said, headers={**said.headers, **_ID, **_RETRY}) for status, said in found.items()}


SPEECH = Operation(
    TAG,
    "Speak a text",
    {
        200: Said(
            "The sound, sent while it is made. What fails after the first sound cuts the connection.",
            (
                *(Content(formats.find(ours).mime, None, f"`{name}`.") for name, (ours, _) in FORMATS.items()),
                Content("text/event-stream", AudioDelta | AudioDone | Failure, "Where `stream_format` is `sse`."),
            ),
            _ID,
        ),
        **_refusals(*_SPOKEN, UnknownModel),
    },
    body=json_content(SpeechBody),
)
MODELS = Operation(
    TAG,
    "What `model` may be",
    {200: Said("All of them.", json_content(ModelsAnswer), _ID), **_refusals(Unauthorized)},
)
MODEL = Operation(
    TAG,
    "One of them",
    {200: Said("There is such a model.", json_content(ModelAnswer), _ID), **_refusals(Unauthorized, UnknownModel)},
    path=NamedModel,
)
