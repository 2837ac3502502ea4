"""Which word is heard when. Pure; times are seconds from the start of the context.

Engines that know give their own word times. For the others the sound of a segment is shared out among its words by
their length, which is what is known of every engine; such times are marked as estimated.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

_TOKEN = re.compile(r"\s*\S+\s*")
_PAUSE = {
    ",": 2.0,
    ";": 3.0,
    ":": 3.0,
    ".": 5.0,
    "!": 5.0,
    "?": 5.0,
    "。": 3.0,
    "，": 1.5,
    "！": 3.0,
    "？": 3.0,
}
_USUAL_RATE = 15.0
"""Weight a second before anything of this context has been timed: about 15 letters of English a second."""


class TimedWord(NamedTuple):
    text: str
    start: float
    end: float


@dataclass(slots=True)
class _Span:
    """A segment: its text in pieces that each hold one word, and how far its sound has come."""

    pieces: list[str]
    weights: list[float]
    start: float = -1.0
    made: float = 0.0
    complete: bool = False
    ends: list[float] = field(default_factory=list)
    native: list[TimedWord] = field(default_factory=list)
    """The engine's own words, from the start of the segment, that were not told yet."""
    has_native: bool = False


class Transcript:
    """The text of a context beside its sound: gives word times as the sound is made, and splits the text at
    any moment of it. The pieces of all spans joined are the text, character for character."""

    def __init__(self) -> None:
        self._spans: list[_Span] = []
        self._open = 0
        """The first span whose sound is not complete: only from there on are starts unknown."""
        self._weight = 0.0
        self._timed = 0.0

    def add(self, text: str) -> int:
        """A segment is about to be spoken. Returns its index."""
        pieces = _TOKEN.findall(text) or [text]
        start = self._end_of(len(self._spans) - 1) if self._open == len(self._spans) else -1.0
        self._spans.append(_Span(pieces, [_weight(piece) for piece in pieces], start))
        return len(self._spans) - 1

    def _end_of(self, index: int) -> float:
        return self._spans[index].start + self._spans[index].made if index >= 0 else 0.0

    def made(self, index: int, seconds: float, native: Sequence[TimedWord] = ()) -> list[TimedWord]:
        """``seconds`` more of a segment's sound exist. Returns the words whose times are known by now."""
        span = self._spans[index]
        span.made += seconds
        if native:
            span.has_native = True
            span.native.extend(native)
        return self._advance()

    def complete(self, index: int) -> list[TimedWord]:
        """A segment's sound is whole. Returns the words whose times are known by now."""
        span = self._spans[index]
        span.complete = True
        self._weight += sum(span.weights)
        self._timed += span.made
        return self._advance()

    def _advance(self) -> list[TimedWord]:
        """Go through the spans whose start is known: all the complete ones from the front, and one more."""
        words: list[TimedWord] = []
        while self._open < len(self._spans):
            span = self._spans[self._open]
            if span.start < 0.0:
                span.start = self._end_of(self._open - 1)
            words.extend(_take_native(span) if span.has_native else [])
            if span.complete or not span.has_native:
                timed = _share_out(span, self._rate())
                words.extend(timed if not span.has_native else [])
            if not span.complete:
                break
            self._open += 1
        return words

    def _rate(self) -> float:
        return self._weight / self._timed if self._timed > 0.0 else _USUAL_RATE

    def split(self, heard: float) -> tuple[str, str]:
        """The text spoken within the first ``heard`` seconds, and the rest of what was added."""
        spoken: list[str] = []
        remaining: list[str] = []
        for span in self._spans:
            for position, piece in enumerate(span.pieces):
                timed = position < len(span.ends)
                target = spoken if timed and span.ends[position] <= heard + 1e-6 and not remaining else remaining
                target.append(piece)
        return "".join(spoken), "".join(remaining)


def _weight(piece: str) -> float:
    word = piece.strip()
    return max(1.0, len(word) + _PAUSE.get(word[-1:], 0.0) + 1.0)


def _take_native(span: _Span) -> list[TimedWord]:
    # The engine's words need not be ours ("25" is two of them): their ends go to our pieces one to one, and what
    # is left of a segment's text is shared out when its sound is complete.
    words = [TimedWord(word.text, span.start + word.start, span.start + word.end) for word in span.native]
    span.native.clear()
    for word in words:
        if len(span.ends) < len(span.pieces):
            span.ends.append(word.end)
    return words


def _share_out(span: _Span, usual_rate: float) -> list[TimedWord]:
    """Time the pieces that the sound of ``span`` reaches: at the usual rate while it is being made, by what is
    left of its sound once it is whole."""
    first = len(span.ends)
    begin = span.ends[-1] if span.ends else span.start
    end = span.start + span.made
    weights = span.weights[first:]
    rest = max(end - begin, 0.0)
    words: list[TimedWord] = []
    for piece, weight in zip(span.pieces[first:], weights, strict=True):
        stop = begin + (rest * weight / sum(weights) if span.complete else weight / usual_rate)
        if not span.complete and stop > end:
            break
        span.ends.append(stop)
        words.append(TimedWord(piece.strip(), begin, stop))
        begin = stop
    return words
