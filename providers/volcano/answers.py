"""What the service says beside its sound: sentences with their words, and how a session went. Whatever is not as it
should be counts as not said."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import orjson

from providers.volcano.errors import OK, Refusal

_LONGEST = 4 * 1024 * 1024
"""Bytes of one JSON object of a stream."""


@dataclass(frozen=True, slots=True)
class Heard:
    """A word and its times, in seconds as the service counts them."""

    text: str
    start: float
    end: float


@dataclass(frozen=True, slots=True)
class Sentence:
    """One sentence is spoken: ``text`` as it was given."""

    text: str
    words: tuple[Heard, ...] = ()


def table(payload: bytes | str) -> Mapping[str, Any]:
    """A JSON object; empty where it is none."""
    try:
        value = orjson.loads(payload)
    except orjson.JSONDecodeError:
        return {}
    return value if isinstance(value, dict) else {}


def sentence(said: Mapping[str, Any]) -> Sentence:
    """The payload of a sentence's end, or of a subtitle."""
    text = said.get("text")
    return Sentence(text if isinstance(text, str) else "", words(said, "word", "startTime", "endTime"))


def words(said: Mapping[str, Any], text: str, start: str, end: str) -> tuple[Heard, ...]:
    """The list ``words`` of ``said``, whose fields are called so."""
    listed = said.get("words")
    found = []
    for word in listed if isinstance(listed, list) else ():
        if isinstance(word, dict):
            said_text, began, ended = word.get(text), _time(word.get(start)), _time(word.get(end))
            if isinstance(said_text, str) and began is not None and ended is not None:
                found.append(Heard(said_text, began, max(began, ended)))
    return tuple(found)


def _time(value: object) -> float | None:
    return float(value) if isinstance(value, int | float) and 0 <= value < 86_400_000 else None


def refusal(said: Mapping[str, Any], status: int | None = None) -> Refusal:
    """What an answer says of itself: flat, or wrapped in a header, by either of two names for the code."""
    header = said.get("header")
    if isinstance(header, dict):
        said = header
    code = said.get("status_code", said.get("code", 0))
    message = said.get("message", said.get("error", ""))
    return Refusal(
        code if isinstance(code, int) else 0,
        message if isinstance(message, str) else "",
        status if status is None or status >= 400 else None,
    )


def failed(said: Mapping[str, Any]) -> Refusal | None:
    """Why a session is over, unless it went well."""
    found = refusal(said)
    return found if found.code not in (0, OK) else None


class Objects:
    """JSON objects from a stream of bytes, wherever it is cut: the service writes them one behind the other, with a
    line break between two or without."""

    # A string that is not whole yet is one quotation mark.
    _TOKEN = re.compile(rb'"[^"\\]*(?:\\.[^"\\]*)*"|["{}\[\]]', re.DOTALL)

    def __init__(self) -> None:
        self._pending = b""
        self._begin = 0
        """Where the object begins."""
        self._at = 0
        """Up to where it was looked through."""
        self._depth = 0

    def feed(self, data: bytes) -> Iterator[Mapping[str, Any]]:
        """Those that are whole now. Raises ``ValueError`` for what is no JSON, or too much of it."""
        self._pending += data
        if len(self._pending) > _LONGEST:
            raise ValueError("an object is too long")
        while (token := self._TOKEN.search(self._pending, self._at)) is not None:
            mark = token[0]
            if mark == b'"':
                self._at = token.start()
                break
            self._at = token.end()
            if mark in (b"{", b"["):
                if self._depth == 0:
                    self._begin = token.start()
                self._depth += 1
            elif mark in (b"}", b"]"):
                self._depth -= 1
                if self._depth == 0:
                    yield table(self._cut())
                elif self._depth < 0:
                    raise ValueError("an object ends that has not begun")
        else:
            self._at = len(self._pending)

    def _cut(self) -> bytes:
        found = self._pending[self._begin : self._at]
        self._pending = self._pending[self._at :]
        self._at = 0
        return found
