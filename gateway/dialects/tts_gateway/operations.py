"""What the routes say of themselves."""

from __future__ import annotations

from gateway.dialects.detail import DetailAnswer
from gateway.dialects.tts_gateway.bodies import (
    KINDS,
    FileQuery,
    NamedSession,
    SessionAnswer,
    SessionBody,
    VoicesAnswer,
    VoicesQuery,
)
from gateway.errors import (
    BadMessage,
    BadRequest,
    EngineError,
    Internal,
    NothingToSpeak,
    Overloaded,
    RateLimited,
    TextTooLong,
    TimedOut,
    Unauthorized,
    UnknownProvider,
    UnknownSession,
    UnknownVoice,
    UnsupportedFormat,
)
from gateway.openapi import Content, Link, Operation, Said, Tag, json_content, refusals

TAG = Tag(
    "tts_gateway",
    "The API of an earlier gateway, tts-system: a session is asked for, listened to over a WebSocket, and what was"
    " spoken can be fetched as a file.",
)


def _files() -> tuple[Content, ...]:
    names: dict[str, list[str]] = {}
    for name, kind in KINDS.items():
        names.setdefault(kind.mime.partition(";")[0], []).append(f"`{name}`")
    return tuple(Content(media, None, ", ".join(named)) for media, named in sorted(names.items()))


_LISTENING = """\
It is listened to once, over the WebSocket at `ws_url`: messages `{"type": "audio", "seq": 1, "data": "<base64>"}`,
whose pieces make one file in `target_format`, then `{"type": "eos"}`; or `{"type": "error", "code", "message"}`, whose
`code` is an HTTP status.
"""
_KEEPING = """\
Nothing is spoken a second time. While the session speaks, the file follows it to its end. If nobody has listened yet,
it is spoken now, and nobody can listen to it afterwards. It is kept for `VOXWIRE_RECORDING_TTL` seconds (600 unless
set); a speech that was cut short, or is too long to keep, has none.
"""

VOICES = Operation(
    TAG,
    "All voices",
    {
        200: Said("Those that can be spoken with now.", json_content(VoicesAnswer)),
        **refusals(DetailAnswer, Unauthorized),
    },
    query=VoicesQuery,
)
CREATE = Operation(
    TAG,
    "Ask for a session",
    {
        201: Said(
            "It waits for its listener: `VOXWIRE_SESSION_TTL` seconds, 300 unless set.",
            json_content(SessionAnswer),
            links={"file": Link("get_v1_tts_sessions_session_file", {"session": "$response.body#/session_id"})},
        ),
        **refusals(
            DetailAnswer,
            *(BadMessage, BadRequest, UnknownVoice, UnknownProvider, UnsupportedFormat, NothingToSpeak, TextTooLong),
            *(Unauthorized, RateLimited, EngineError, Overloaded),
            _422="a field is missing or of the wrong kind",
        ),
    },
    _LISTENING,
    json_content(SessionBody),
)
FILE = Operation(
    TAG,
    "What a session has spoken",
    {
        200: Said(
            "The sound. What fails after the first sound cuts the connection.",
            _files(),
            {"Content-Disposition": "A name for the file."},
        ),
        **refusals(
            DetailAnswer,
            *(UnsupportedFormat, UnknownVoice, UnknownProvider, Unauthorized, UnknownSession),
            *(Internal, EngineError, Overloaded, TimedOut),
        ),
    },
    _KEEPING,
    path=NamedSession,
    query=FileQuery,
)
