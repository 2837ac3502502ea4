"""The WebSocket: requests, spoken in turn."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable
from dataclasses import replace

import orjson
import pybase64
from pydantic import ValidationError

from audio import wav
from gateway.dialects.piper_service.bodies import SynthesizeMessage
from gateway.dialects.piper_service.speaking import DIALECT, plan
from gateway.dialects.socket import Context
from gateway.errors import BadMessage, BadRequest, Overloaded, VoxwireError
from gateway.events import Audio, Command, End, Ended, Event, Failed, SpeechRequest, Start, Text
from gateway.runtime import Gateway

MAX_PENDING = 100
"""Requests that wait on one socket."""
CONTEXT = ""


class StreamDialect:
    """The voice of one socket. ``count`` is called for each request, and raises ``RateLimited``."""

    name = DIALECT
    subprotocol: str | None = None
    closes = False

    def __init__(self, gateway: Gateway, count: Callable[[], None]) -> None:
        self._gateway = gateway
        self._count = count
        self._pending: deque[tuple[SpeechRequest, str] | VoxwireError] = deque()
        """An error waits, too: it is the answer to a request, and comes in its turn."""
        self._speaking = False

    def opening(self) -> Iterable[Command]:
        return ()

    def commands(self, message: str | bytes) -> Iterable[Command]:
        if len(self._pending) >= MAX_PENDING:
            raise Overloaded(f"{MAX_PENDING} requests wait on this socket already; wait for one to be complete")
        self._pending.append(self._checked(message))
        return () if self._speaking else self._begin()

    def following(self) -> Iterable[Command]:
        self._speaking = False
        return self._begin()

    def _checked(self, message: str | bytes) -> tuple[SpeechRequest, str] | VoxwireError:
        try:
            asked = parse(message)
            self._count()
            planned = plan(self._gateway, asked)
        except VoxwireError as error:
            return error
        return replace(planned.request, voice=planned.voice.id, provider=planned.provider.id), asked.text

    def _begin(self) -> Iterable[Command]:
        while self._pending and not self._speaking:
            found = self._pending.popleft()
            if isinstance(found, VoxwireError):
                raise found
            self._speaking = True
            yield Start(CONTEXT, found[0])
            if self._speaking:
                yield Text(CONTEXT, found[1])
                yield End(CONTEXT)

    def audio(self, context: Context, frame: Audio) -> str:
        data = pybase64.b64encode_as_string(wav.header(context.rate, frame.samples) + frame.data)
        return f'{{"type":"audio_chunk","data":"{data}","sequence_id":{frame.sequence},"is_last":false}}'

    def event(self, _: Context, event: Event) -> str | None:
        if isinstance(event, Ended):
            return f'{{"type":"complete","sequence_id":{event.frames},"is_last":true}}'
        return _error(event.error) if isinstance(event, Failed) else None

    def refusal(self, error: VoxwireError, context: str | None, *, final: bool) -> str:
        if final:
            self._speaking = False
        return _error(error)

    def pong(self) -> None:
        return None

    def goaway(self, seconds: float) -> None:
        return None


def parse(message: str | bytes) -> SynthesizeMessage:
    """Raises ``BadMessage`` and ``BadRequest``."""
    try:
        data = orjson.loads(message)
    except orjson.JSONDecodeError as error:
        raise BadMessage(f"this is not JSON: {error.msg} at character {error.pos}") from None
    if not isinstance(data, dict):
        raise BadMessage("a message is a JSON object")
    if data.get("type") != "synthesize":
        raise BadRequest("unknown message type; there is: synthesize")
    try:
        return SynthesizeMessage.model_validate(data)
    except ValidationError as error:
        first = error.errors(include_input=False, include_url=False, include_context=False)[0]
        raise BadRequest(f"{first['loc'][0]}: {first['msg'][:1].lower()}{first['msg'][1:]}") from None


def _error(error: VoxwireError) -> str:
    said = {"type": "error", "message": error.message, "code": error.code, "retryable": error.retryable}
    return orjson.dumps(said).decode()
