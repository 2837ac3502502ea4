"""What the routes say of themselves."""

from __future__ import annotations

from gateway.dialects.refusal import ErrorAnswer
from gateway.dialects.voice_library.bodies import NamedVoice, VoiceAnswer, VoiceBody, VoicesAnswer, VoiceUpload
from gateway.errors import (
    Internal,
    LibraryFull,
    Overloaded,
    Unauthorized,
    UnknownLibraryVoice,
    UnknownProvider,
    VoiceExists,
)
from gateway.openapi import MAKING, READING, READING_CLIP, Content, Link, Operation, Said, Tag, json_content, refusals

TAG = Tag("voices", "The voice library: voices made from a clip or a description, owned by the key that made them.")

_PATH = "v1_voices_library_voice"
_LINKS = {name: Link(f"{name}_{_PATH}", {"voice": "$response.body#/id"}) for name in ("get", "delete")}

CREATE = Operation(
    TAG,
    "Make a voice",
    {
        201: Said("It is kept, and can be spoken with.", json_content(VoiceAnswer), links=_LINKS),
        **refusals(ErrorAnswer, *READING, *MAKING, *READING_CLIP, UnknownProvider, VoiceExists, LibraryFull),
    },
    "From a clip (a file of a form, base64, or a public address) or from a description. Takes as long as the engine"
    " takes; what is acknowledged survives a restart.",
    (*json_content(VoiceBody), Content("multipart/form-data", VoiceUpload)),
)
LIST = Operation(
    TAG,
    "The voices that the caller has made",
    {200: Said("All of them.", json_content(VoicesAnswer)), **refusals(ErrorAnswer, Unauthorized)},
)
GET = Operation(
    TAG,
    "One voice",
    {200: Said("It.", json_content(VoiceAnswer)), **refusals(ErrorAnswer, Unauthorized, UnknownLibraryVoice)},
    path=NamedVoice,
)
DELETE = Operation(
    TAG,
    "Remove a voice",
    {
        204: Said("It is gone. Whoever speaks with it now is not interrupted."),
        **refusals(ErrorAnswer, Unauthorized, UnknownLibraryVoice, Internal, Overloaded),
    },
    path=NamedVoice,
)
