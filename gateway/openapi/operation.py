"""How a route says what it takes and answers.

The types are those that validate and that are answered with, so what is written cannot part from what is done.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from enum import Enum
from typing import Any

from pydantic import BaseModel
from pydantic.config import JsonDict, JsonValue
from starlette.convertors import Convertor, register_url_convertor
from starlette.requests import Request
from starlette.routing import Route

from gateway.errors import (
    BadClip,
    BadMessage,
    BadOption,
    BadRequest,
    BadUrl,
    EngineError,
    Internal,
    NothingToSpeak,
    Overloaded,
    RateLimited,
    TextTooLong,
    TimedOut,
    Unauthorized,
    UnknownProvider,
    UnknownVoice,
    UnsupportedFormat,
    VoxwireError,
)

READING: tuple[type[VoxwireError], ...] = (BadMessage, BadRequest, Unauthorized, RateLimited, Internal)
"""What every route that takes a body can refuse with."""
SPEAKING: tuple[type[VoxwireError], ...] = (
    *READING,
    UnknownVoice,
    UnknownProvider,
    BadOption,
    UnsupportedFormat,
    NothingToSpeak,
    TextTooLong,
    EngineError,
    Overloaded,
    TimedOut,
)
"""What every route that speaks can."""
MAKING: tuple[type[VoxwireError], ...] = (BadOption, EngineError, Overloaded, TimedOut)
"""What making a voice can be refused with."""
READING_CLIP: tuple[type[VoxwireError], ...] = (BadClip, BadUrl)
"""What a clip to make it from can."""


class Key(Enum):
    """What a route asks a caller to show."""

    NONE = "none"
    CALLER = "caller"
    """An API key, where the deployment has any."""
    EITHER = "either"
    """The same, or the admin's."""
    ADMIN = "admin"
    """The admin's, always."""


@dataclass(frozen=True, slots=True)
class Tag:
    """One API: its operations stand together, and so do the names of its types."""

    name: str
    """Short, of letters, digits, ``-`` and ``_``: it stands before the names of the types."""
    description: str


@dataclass(frozen=True, slots=True)
class Content:
    """One form of a body."""

    media: str
    """The media type, without parameters; ``audio/*`` stands for several."""
    type: Any = None
    """What pydantic validates it with or makes it from: a model, or any other type. ``None``: bytes, such as sound.
    Of ``text/event-stream``, the data of each: ``str``, or what it is as JSON."""
    description: str = ""


@dataclass(frozen=True, slots=True)
class Link:
    """What can be done with an answer."""

    operation: str
    """The id of an operation: its method and its path, as ``get_v1_voices_library_voice``."""
    parameters: Mapping[str, str]
    """Of that operation; from where, as OpenAPI writes it: ``$response.body#/id``."""


@dataclass(frozen=True, slots=True)
class Said:
    """What one status means."""

    description: str
    content: tuple[Content, ...] = ()
    headers: Mapping[str, str] = field(default_factory=dict)
    """Of headers that a program would read: what stands in them."""
    links: Mapping[str, Link] = field(default_factory=dict)
    """By a name for each."""


@dataclass(frozen=True, slots=True)
class Operation:
    """What one method of a route does."""

    tag: Tag
    summary: str
    """A few words, as a heading."""
    answers: Mapping[int, Said]
    description: str = ""
    """Markdown."""
    body: tuple[Content, ...] = ()
    """What it takes, in any of these forms."""
    path: type[BaseModel] | None = None
    """A field for each part of the path. Parts that have none are strings."""
    query: type[BaseModel] | None = None
    """A field for each parameter."""
    key: Key = Key.CALLER


class _Any(Convertor[str]):
    """The rest of a path, whatever it is: of Starlette's ``path`` a line break is no part."""

    regex = r"[\s\S]*"

    def convert(self, value: str) -> str:
        return value

    def to_string(self, value: str) -> str:
        return value


register_url_convertor("any", _Any())


class ApiRoute(Route):
    """A route for one method, which says what it does."""

    def __init__(
        self, path: str, endpoint: Callable[[Request], Awaitable[Any]], operation: Operation, method: str = "GET"
    ) -> None:
        super().__init__(path, endpoint, methods=[method])
        self.method = method.lower()
        self.operation = operation


def json_content(type_: Any, description: str = "") -> tuple[Content, ...]:
    return (Content("application/json", type_, description),)


def one_of(**kinds: str) -> JsonDict:
    """The schema's part of a rule that one of these fields is there, and is no null; a kind is JSON's name of it. The
    model checks the same in words of its own. Below an ``allOf``, because generators of clients take a ``oneOf`` beside
    fields for all that there is, and forget the fields."""
    ways: list[JsonValue] = [{"required": [name], "properties": {name: {"type": kind}}} for name, kind in kinds.items()]
    return {"allOf": [{"oneOf": ways}]}


def at_least_one_of(*names: str) -> JsonDict:
    """As ``one_of``; several may be there, and a null is as good."""
    ways: list[JsonValue] = [{"required": [name]} for name in names]
    return {"allOf": [{"anyOf": ways}]}


def refusals(form: Any, *errors: type[VoxwireError], **statuses: str) -> dict[int, Said]:
    """The answers for ``errors``, by their statuses; ``form`` is the type of their body.

    ``statuses`` are further ones, such as ``_422="a field is missing or of the wrong kind"``.
    """
    meanings: dict[int, list[str]] = {}
    for error in errors:
        meanings.setdefault(error.http_status, []).append(f"`{error.code}`")
    for status, meaning in statuses.items():
        meanings.setdefault(int(status.lstrip("_")), []).append(meaning)
    return {
        status: Said(", ".join(dict.fromkeys(meanings[status])), json_content(form), _advice(status))
        for status in sorted(meanings)
    }


def _advice(status: int) -> dict[str, str]:
    return {"Retry-After": "Whole seconds, where it is known."} if status in {429, 503} else {}
