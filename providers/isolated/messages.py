"""What is said in the headers of frames: engines, voices, segments and errors as JSON, and back.

Whatever does not come back as what it should be raises ``Nonsense``.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import Annotated, Any, TypeVar

from pydantic import Field, TypeAdapter, ValidationError

from providers import base
from providers.base import (
    BadClip,
    BadOption,
    Capabilities,
    EngineBusy,
    EngineFailed,
    EngineUnavailable,
    MissingDependency,
    ProviderError,
    Segment,
    UnknownProvider,
    UnknownVoice,
    Voice,
    Word,
)
from providers.isolated.frames import Frame, Nonsense

_ERRORS: Mapping[str, type[ProviderError]] = {
    kind.__name__: kind
    for kind in (
        ProviderError,
        EngineFailed,
        EngineUnavailable,
        EngineBusy,
        UnknownProvider,
        BadOption,
        BadClip,
        UnknownVoice,
    )
}
T = TypeVar("T")

_LONGEST_MESSAGE = 1000
_MISSING = MissingDependency.__name__
OFFERS = ("Tunable", "Limited", "Accounted", "Watched", "Cloning", "Designing")
"""The optional protocols that an engine may offer from another process."""
ELSEWHERE = ("Bidirectional", "Credentialed")
"""Those that it may not: such an engine is a client of a service, which needs no process of its own."""


# ---- what an engine is


@dataclass(frozen=True, slots=True)
class State:
    """What may change while an engine runs, as far as it has it."""

    places: Annotated[int, Field(ge=1)] = 1
    account: str = ""
    clones: bool = False
    designs: bool = False
    detail: str | None = None
    trouble: dict[str, Any] | None = None


@dataclass(frozen=True, slots=True)
class About:
    id: str
    capabilities: Capabilities
    voices: tuple[dict[str, Any], ...]
    offers: frozenset[str]
    option_names: frozenset[str]
    state: State = field(default_factory=State)


_ABOUT = TypeAdapter(About)
_STATE = TypeAdapter(State)
_VOICE = TypeAdapter(Voice)
_QUEUED = TypeAdapter(list[tuple[int, Annotated[float, Field(ge=0, allow_inf_nan=False)]]])


def about(engine: base.Provider, voices: Sequence[Voice]) -> dict[str, Any]:
    return {
        "id": engine.id,
        "capabilities": asdict(engine.capabilities),
        "voices": [voice(known) for known in voices],
        "offers": [name for name in (*OFFERS, *ELSEWHERE) if isinstance(engine, getattr(base, name))],
        "option_names": sorted(engine.option_names) if isinstance(engine, base.Tunable) else [],
        "state": state(engine),
    }


def state(engine: base.Provider) -> dict[str, Any]:
    found: dict[str, Any] = {"detail": getattr(engine, "detail", None)}
    if isinstance(engine, base.Limited):
        found["places"] = engine.places
    if isinstance(engine, base.Accounted):
        found["account"] = engine.account
    if isinstance(engine, base.Cloning):
        found["clones"] = engine.clones
    if isinstance(engine, base.Designing):
        found["designs"] = engine.designs
    if isinstance(engine, base.Watched):
        found["trouble"] = None if engine.trouble is None else error(engine.trouble)
    return found


def read_about(said: object) -> About:
    return _valid(_ABOUT, said)


def read_state(said: object) -> State:
    return _valid(_STATE, said)


# ---- voices and segments


def voice(known: Voice) -> dict[str, Any]:
    """Without its prompt, which travels as a payload."""
    return {key: value for key, value in asdict(replace(known, prompt=None)).items() if value is not None}


def read_voice(said: object, prompt: bytes = b"") -> Voice:
    found = _valid(_VOICE, said)
    return replace(found, prompt=prompt or None)


def read_voices(said: object) -> tuple[Voice, ...]:
    if not isinstance(said, list | tuple):
        raise Nonsense("voices that are no list")
    return tuple(map(read_voice, said))


def segment(given: Segment) -> dict[str, Any]:
    return {
        "text": given.text,
        "voice": voice(given.voice),
        "speed": given.speed,
        "language": given.language,
        "index": given.index,
        "batch": given.batch,
        "options": dict(given.options),
        "prompted": given.voice.prompt is not None,
    }


def read_segment(frame: Frame) -> Segment:
    # By hand: what checks a text for the others refuses a lone surrogate.
    said = dict(frame.header["what"])
    spoken = replace(Voice(**said.pop("voice")), prompt=frame.payload if said.pop("prompted") else None)
    return Segment(voice=spoken, **said)


def words(given: Sequence[Word]) -> list[tuple[str, int, int]]:
    return [(word.text, word.start, word.end) for word in given]


def read_words(said: object) -> tuple[Word, ...]:
    if not isinstance(said, list):
        raise Nonsense("words that are no list")
    return tuple(_word(word) for word in said)


def _word(said: object) -> Word:
    match said:
        case [str(text), int(start), int(end)]:
            return Word(text, start, end)
    raise Nonsense("a word that is none")


def read_queued(said: object) -> list[tuple[int, float]]:
    """The calls that wait for their turns, and for how many seconds nobody ahead of them has got on."""
    return _valid(_QUEUED, said)


# ---- errors


def error(raised: ProviderError) -> dict[str, Any]:
    """By the nearest class of the family that all engines share."""
    if isinstance(raised, MissingDependency):
        return {"kind": _MISSING, "message": str(raised), "fix": raised.fix}
    kind = next(kind.__name__ for kind in type(raised).__mro__ if kind.__name__ in _ERRORS)
    return {
        "kind": kind,
        "message": str(raised)[:_LONGEST_MESSAGE],
        "retry_after": raised.retry_after,
        "code": raised.code,
        "retryable": raised.retryable,
    }


def read_error(said: object, engine: str) -> ProviderError:
    """The error, as if ``engine`` had raised it here."""
    match said:
        case {"kind": "MissingDependency", "fix": str(fix)}:
            return MissingDependency(engine, fix)
        case {
            "kind": str(kind),
            "message": str(message),
            "retry_after": None | int() | float() as retry_after,
            "code": str(code),
            "retryable": bool(retryable),
        } if kind in _ERRORS and code.isidentifier() and len(message) <= _LONGEST_MESSAGE:
            found = _ERRORS[kind]
            if (code, retryable) != (found.code, found.retryable):
                # A class of the engine's own, such as Denied: its code is known here, the class is not.
                found = type(kind, (found,), {"code": code, "retryable": retryable})
            return found(message, retry_after=retry_after)
    raise Nonsense("an error that is none")


def _valid(adapter: TypeAdapter[T], said: object) -> T:
    try:
        return adapter.validate_python(said)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        raise Nonsense(f"{'.'.join(map(str, first['loc']))}: {first['msg']}") from None
