"""Listening to a session, over a WebSocket."""

from __future__ import annotations

from collections.abc import Iterable

import orjson
import pybase64

from gateway.dialects.socket import Context
from gateway.dialects.tts_gateway.speaking import DIALECT
from gateway.errors import VoxwireError
from gateway.events import Audio, Command, End, Ended, Event, Failed, Start, Text
from gateway.session.sessions import Prepared

CONTEXT = ""
"""The one context of a socket has no name."""


class StreamDialect:
    """The voice of one socket, which speaks one prepared session and is then closed. What a client sends is not
    read: the earlier gateway never did."""

    name = DIALECT
    subprotocol: str | None = None
    closes = True

    def __init__(self, prepared: Prepared) -> None:
        self._prepared = prepared

    def opening(self) -> Iterable[Command]:
        yield Start(CONTEXT, self._prepared.plan.request, self._prepared.token)
        yield Text(CONTEXT, self._prepared.text)
        yield End(CONTEXT)

    def commands(self, message: str | bytes) -> Iterable[Command]:
        return ()

    def audio(self, _: Context, frame: Audio) -> str:
        data = pybase64.b64encode_as_string(frame.data)
        return f'{{"type":"audio","seq":{frame.sequence + 1},"data":"{data}"}}'

    def event(self, _: Context, event: Event) -> str | None:
        if isinstance(event, Ended):
            return '{"type":"eos"}'
        return _error(event.error) if isinstance(event, Failed) else None

    def refusal(self, error: VoxwireError, context: str | None, *, final: bool) -> str:
        return _error(error)

    def pong(self) -> None:
        return None

    def goaway(self, seconds: float) -> None:
        return None


def _error(error: VoxwireError) -> str:
    """``code`` is a number here: the HTTP status that the error would have."""
    return orjson.dumps({"type": "error", "code": error.http_status, "message": error.message}).decode()
