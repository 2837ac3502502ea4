"""How sound and errors are answered."""

from __future__ import annotations

import math
import uuid
from collections.abc import Mapping

import pybase64
from pydantic import BaseModel
from starlette.responses import Response

from gateway.dialects.body import closing
from gateway.dialects.openai.bodies import AudioDone, ErrorAnswer, ErrorFields, Failure, SpeechBody, Usage, WrongField
from gateway.dialects.openai.speaking import UnknownModel
from gateway.dialects.refusal import json_response, retry_headers
from gateway.dialects.responder import FileForm, Form
from gateway.dialects.sse import SSE_HEADERS, sse_event
from gateway.errors import (
    BadOption,
    NothingToSpeak,
    TextTooLong,
    Unauthorized,
    UnknownVoice,
    UnsupportedFormat,
    VoxwireError,
)
from gateway.events import Audio, Ended
from gateway.session.session import Plan

DIALECT = "openai"

_PARAMETERS: dict[type[VoxwireError], str] = {
    UnknownVoice: "voice",
    UnknownModel: "model",
    UnsupportedFormat: "response_format",
    TextTooLong: "input",
    NothingToSpeak: "input",
    # No other option is passed on.
    BadOption: "instructions",
}
_CODES: dict[type[VoxwireError], str] = {Unauthorized: "invalid_api_key"}


def error_fields(error: VoxwireError) -> ErrorFields:
    return ErrorFields(
        message=error.message,
        type="server_error" if error.http_status >= 500 else "invalid_request_error",
        param=error.name if isinstance(error, WrongField) else _PARAMETERS.get(type(error)),
        code=_CODES.get(type(error), error.code),
    )


class Reply:
    """The answers to one request, which all carry its id: that of its session, too, and so the one in the log."""

    def __init__(self) -> None:
        self.token = uuid.uuid4().hex
        self.headers = {"x-request-id": self.token}

    def json(self, content: BaseModel) -> Response:
        return json_response(content.model_dump(), headers=self.headers)

    def refused(self, error: VoxwireError) -> Response:
        # Without the second the client library would try a failed engine again whatever we know of it.
        advice = {**retry_headers(error), **closing(error), "x-should-retry": str(error.retryable).lower()}
        content = ErrorAnswer(error=error_fields(error)).model_dump()
        return json_response(content, error.http_status, {**self.headers, **advice})

    def form(self, spoken: Plan, body: SpeechBody) -> Form:
        if body.stream_format == "sse":
            return Events(self, body.input)
        return FileForm(DIALECT, {**self.headers, "content-type": spoken.format.mime}, self.refused)


class Events:
    """The audio as server-sent events."""

    dialect = DIALECT

    def __init__(self, reply: Reply, text: str) -> None:
        self.headers: Mapping[str, str] = {**reply.headers, **SSE_HEADERS}
        self._text = text
        self.refused = reply.refused

    def audio(self, frame: Audio) -> bytes:
        # An ``AudioDelta``, whose base64 is long and needs no escapes.
        return b'data: {"type":"speech.audio.delta","audio":"%b"}\n\n' % pybase64.b64encode(frame.data)

    def ended(self, ended: Ended) -> bytes:
        return sse_event(AudioDone(usage=usage(self._text, ended.audio)).model_dump())

    def broken(self, error: VoxwireError) -> bytes:
        return sse_event(Failure(error=error_fields(error)).model_dump())


def usage(text: str, seconds: float) -> Usage:
    read, made = math.ceil(len(text) / 4), math.ceil(seconds * 20)
    return Usage(input_tokens=read, output_tokens=made, total_tokens=read + made)
