"""A text as XTTS can read it: in parts that are no longer than it was taught, in letters as well as in words.

Its tokenizer writes numbers out. A text full of them becomes too long for one go, and some it cannot read at all:
in Hindi any, in Czech those before a full stop, in most languages very long ones.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from providers.coqui.parts import parts

_LONGEST = 200
"""Characters, for languages in which the model would take more: the longer, the later its tone wanders off."""
_SHORTEST = 20
"""Characters that are left together, however long they are in words."""
_TRANSCRIBED = frozenset({"ja", "zh", "ko"})
"""Languages of which it reads a transcription, which is longer than the text."""
_DIGITS: Mapping[str, Sequence[str]] = {"hi": ["शून्य", "एक", "दो", "तीन", "चार", "पाँच", "छह", "सात", "आठ", "नौ"]}


class Reader:
    """``tokenizer`` is that of an XTTS, which takes fewer tokens than ``tokens``."""

    def __init__(self, tokenizer: Any, tokens: int) -> None:
        self._tokenizer = tokenizer
        self._tokens = tokens

    def parts(self, text: str, language: str) -> Iterator[str]:
        """``language`` as the tokenizer names it, without a region. Where it needs a package that is not there, whoever
        speaks it finds out."""
        # Square brackets are how its tokens are written.
        unmarked = text.replace("[", "(").replace("]", ")")
        for part in parts(unmarked, min(_LONGEST, self._limit(language))):
            yield from self._fitting(part, language)

    def _fitting(self, part: str, language: str) -> Iterator[str]:
        try:
            readable = self._readable(part, language)
            whole = len(part) <= _SHORTEST or self._fits(readable, language)
        except ImportError:
            yield part
            return
        if whole:
            yield readable
            return
        for piece in parts(part, len(part) // 2 + 1):
            yield from self._fitting(piece, language)

    def _readable(self, part: str, language: str) -> str:
        """With its numbers so that they can be read."""
        *known, last = _readings(part, language)
        for reading in known:
            try:
                self._tokenizer.encode(reading.lower(), language)
            except ImportError:
                raise
            except Exception:  # noqa: BLE001 - a number may raise anything
                continue
            return reading
        return last

    def _fits(self, part: str, language: str) -> bool:
        if len(self._tokenizer.encode(part.lower(), language)) >= self._tokens:
            return False
        in_words = self._tokenizer.preprocess_text(part.lower(), language)
        return language in _TRANSCRIBED or len(in_words) <= self._limit(language)

    def _limit(self, language: str) -> int:
        """Characters that it was taught to say in one go."""
        return int(self._tokenizer.char_limits.get(language, _LONGEST))


def _readings(text: str, language: str) -> Iterator[str]:
    """``text``, and other ways to write its numbers, each for a tokenizer that cannot read those before."""
    yield text
    # Before a full stop it takes a number for an ordinal.
    parted = re.sub(r"(?<=\d)\.(?!\d)", " .", text)
    yield parted
    apart = re.sub(r"(?<=\d)(?=\d)", " ", parted)
    yield apart
    words = _DIGITS.get(language)
    yield " ".join(re.sub(r"\d", lambda digit: f" {words[int(digit[0])]} " if words else " ", apart).split())
