"""One family of errors, drawn as a tree. Whatever reaches a caller is one of these.

    VoxwireError                code                 HTTP  close  retryable
     ├─ BadRequest              bad_request …        400   1008
     │   ├─ BadMessage          bad_message          400   1007   the frame itself cannot be read
     │   ├─ UnknownVoice        unknown_voice        400
     │   ├─ UnknownProvider     unknown_provider     400
     │   ├─ BadOption           bad_option           400
     │   ├─ BadClip             bad_clip             400
     │   ├─ BadUrl              bad_url              400
     │   ├─ UnsupportedFormat   unsupported_format   400
     │   ├─ NothingToSpeak      nothing_to_speak     400
     │   ├─ TextTooLong         text_too_long        400
     │   └─ TooManyContexts     too_many_contexts    400
     ├─ Unauthorized            unauthorized         401
     ├─ UnknownSession          unknown_session      404
     ├─ UnknownContext          unknown_context      404
     ├─ UnknownLibraryVoice     voice_not_found      404
     ├─ IllegalMove             illegal_move         409
     ├─ VoiceExists             voice_exists         409
     ├─ LibraryFull             library_full         409
     ├─ RateLimited             rate_limited         429          yes
     ├─ Overloaded              overloaded           503   1013   yes
     ├─ EngineError             engine_failed …      502          as the engine says
     ├─ TimedOut                timed_out            504          yes
     └─ Internal                internal             500   1011

Messages are sentences for the caller: no path, key, stack or text of the caller's stands in one.
"""

from __future__ import annotations

from typing import ClassVar

from providers.base import MissingDependency, ProviderError


class VoxwireError(Exception):
    """``code`` is for programs, the message for people, ``retry_after`` (seconds) for both."""

    code: str = "internal"
    http_status: ClassVar[int] = 500
    close_code: ClassVar[int] = 1011
    retryable: bool = False

    def __init__(self, message: str, *, retry_after: float | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.retry_after = retry_after
        self.context: str | None = None
        """The context that the refused message named, where it could be read."""


class BadRequest(VoxwireError):
    code = "bad_request"
    http_status = 400
    close_code = 1008


class BadMessage(BadRequest):
    code = "bad_message"
    close_code = 1007


class UnknownVoice(BadRequest):
    code = "unknown_voice"


class UnknownProvider(BadRequest):
    code = "unknown_provider"


class BadOption(BadRequest):
    code = "bad_option"


class BadClip(BadRequest):
    code = "bad_clip"


class BadUrl(BadRequest):
    """Nothing can, or may, be fetched from there."""

    code = "bad_url"


class UnsupportedFormat(BadRequest):
    code = "unsupported_format"


class NothingToSpeak(BadRequest):
    code = "nothing_to_speak"


class TextTooLong(BadRequest):
    code = "text_too_long"


class TooManyContexts(BadRequest):
    code = "too_many_contexts"


class Unauthorized(VoxwireError):
    code = "unauthorized"
    http_status = 401
    close_code = 1008


class UnknownSession(VoxwireError):
    code = "unknown_session"
    http_status = 404
    close_code = 1008


class UnknownContext(VoxwireError):
    code = "unknown_context"
    http_status = 404
    close_code = 1008


class UnknownLibraryVoice(VoxwireError):
    """Of those that the caller has made, asked for as such; ``UnknownVoice`` is for whoever wants to speak with one."""

    code = "voice_not_found"
    http_status = 404
    close_code = 1008


class IllegalMove(VoxwireError):
    """A message that is right in itself came when it may not. The message says what was expected."""

    code = "illegal_move"
    http_status = 409
    close_code = 1008


class VoiceExists(VoxwireError):
    code = "voice_exists"
    http_status = 409
    close_code = 1008


class LibraryFull(VoxwireError):
    code = "library_full"
    http_status = 409
    close_code = 1008


class RateLimited(VoxwireError):
    code = "rate_limited"
    http_status = 429
    close_code = 1008
    retryable = True


class Overloaded(VoxwireError):
    code = "overloaded"
    http_status = 503
    close_code = 1013
    retryable = True


class EngineError(VoxwireError):
    code = "engine_failed"
    http_status = 502


class TimedOut(VoxwireError):
    code = "timed_out"
    http_status = 504
    retryable = True


class Internal(VoxwireError):
    """A defect of ours. What happened is in the log, under the session's id."""


class ListenerGone(Exception):
    """The caller's connection is closed, or takes nothing any more."""


_BY_CODE: dict[str, type[VoxwireError]] = {
    UnknownVoice.code: UnknownVoice,
    UnknownProvider.code: UnknownProvider,
    BadOption.code: BadOption,
    BadClip.code: BadClip,
    "engine_busy": Overloaded,
}


def from_provider(error: ProviderError) -> VoxwireError:
    """The caller's view of what an engine raised: its code, and whether another try may help."""
    kind = _BY_CODE.get(error.code, EngineError)
    seen = kind(str(error), retry_after=error.retry_after)
    if kind is EngineError:
        seen.code, seen.retryable = error.code, error.retryable
        if isinstance(error, MissingDependency):
            seen.retryable = False
    return seen
