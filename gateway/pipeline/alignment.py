"""Which word is heard when. Pure; times are seconds from the start of the context.

Engines that know give their own word times. For the others the sound of a segment is shared out among its words by
their length, which is what is known of every engine; such times are marked as estimated.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from gateway.pipeline.matching import Matcher

# Chinese and Japanese are written without spaces: there each character is a word, with the marks behind it.
_WIDE = "\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\U00020000-\U0003ffff"
_TOKEN = re.compile(rf"\s*(?:[{_WIDE}][^\w\s]*|[^\s{_WIDE}]+)\s*")
_IS_WIDE = re.compile(rf"[{_WIDE}]")
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
_WIDE_WEIGHT = 3.0


class TimedWord(NamedTuple):
    text: str
    start: float
    end: float
    estimated: bool = False


@dataclass(slots=True)
class _Span:
    """A segment, or all the text of a conversation: in pieces that each hold one word, and how far its sound has
    come."""

    pieces: list[str]
    weights: list[float]
    start: float = -1.0
    made: float = 0.0
    complete: bool = False
    ends: list[float] = field(default_factory=list)
    native: list[TimedWord] = field(default_factory=list)
    """The engine's own words, from the start of the span, that were not told yet."""
    matcher: Matcher | None = None
    """Where they are in the text, once there has been one."""
    weight: float = 0.0
    known: tuple[int, float] = (0, 0.0)
    """So many pieces are known to have taken so many seconds."""
    whole: float = 0.0
    """Until when the sound was said to be whole."""

    def extend(self, text: str) -> None:
        pieces = _TOKEN.findall(text) or ([text] if text else [])
        self.pieces += pieces
        weights = [_weight(piece) for piece in pieces]
        self.weights += weights
        self.weight += sum(weights)
        if self.matcher is not None:
            self.matcher.extend(pieces)

    @property
    def end(self) -> float:
        return self.start + self.made

    @property
    def reached(self) -> float:
        """Until when its pieces are timed."""
        return max(self.ends[-1], self.whole) if self.ends else self.start


class Transcript:
    """The text of a context beside its sound: gives word times as the sound is made, and splits the text at
    any moment of it. The pieces of all spans joined are the text, character for character.

    ``native``: the engine gives word times, so that none are told by estimate before a span's sound is whole.
    """

    def __init__(self, *, native: bool = False) -> None:
        self._native = native
        self._spans: list[_Span] = []
        self._open = 0
        """The first span whose sound is not complete: only from there on are starts unknown."""
        self._weight = 0.0
        self._timed = 0.0

    # ---- text

    def add(self, text: str) -> int:
        """A segment is about to be spoken. Returns its index."""
        start = self._end_of(len(self._spans) - 1) if self._open == len(self._spans) else -1.0
        span = _Span([], [], start)
        span.extend(text)
        self._spans.append(span)
        return len(self._spans) - 1

    def extend(self, index: int, text: str) -> int:
        """More text for a span whose sound goes on. Returns how many pieces it has now."""
        span = self._spans[index]
        span.extend(text)
        return len(span.pieces)

    def _end_of(self, index: int) -> float:
        return self._spans[index].end if index >= 0 else 0.0

    # ---- sound

    def made(self, index: int, seconds: float, native: Sequence[TimedWord] = ()) -> list[TimedWord]:
        """``seconds`` more of a segment's sound exist. Returns the words whose times are known by now."""
        span = self._spans[index]
        span.made += seconds
        span.native.extend(native)
        return self._advance()

    def reached(self, index: int, pieces: int, native: Sequence[TimedWord] = ()) -> list[TimedWord]:
        """The sound of the first ``pieces`` of a span is whole; none says nothing new of it. Returns the words whose
        times are known by now."""
        span = self._spans[index]
        span.native.extend(native)
        words = self._advance()
        if not pieces:
            return words
        # Where the engine's words say how far that sound goes, more may have been made for what follows.
        end = span.end if span.matcher is None else max(span.reached, span.start)
        timed = _share_out(span, end, pieces)
        span.whole = end
        self._learn(span, pieces, end)
        return words + (timed if span.matcher is None else [])

    def complete(self, index: int) -> list[TimedWord]:
        """A segment's sound is whole. Returns the words whose times are known by now."""
        span = self._spans[index]
        span.complete = True
        self._learn(span, len(span.pieces), span.start + span.made)
        return self._advance()

    def owed(self, index: int) -> float:
        """Seconds of sound, about, that the text of a span is still to have."""
        span = self._spans[index]
        return span.weight / self._rate - span.made

    def _advance(self) -> list[TimedWord]:
        """Go through the spans whose start is known: all the complete ones from the front, and one more."""
        words: list[TimedWord] = []
        while self._open < len(self._spans):
            span = self._spans[self._open]
            if span.start < 0.0:
                span.start = self._end_of(self._open - 1)
            if span.native:
                words.extend(self._take_native(span))
            if span.complete:
                timed = _share_out(span, span.end, len(span.pieces))
                words.extend(timed if span.matcher is None else [])
            elif not self._native and span.matcher is None:
                words.extend(_pass(span, self._rate))
            if not span.complete:
                break
            self._open += 1
        return words

    def _take_native(self, span: _Span) -> list[TimedWord]:
        """Tell the engine's words as they are, and time our pieces by those that they are found in."""
        if span.matcher is None:
            span.matcher = Matcher()
            span.matcher.extend(span.pieces)
        words = [TimedWord(word.text, span.start + word.start, span.start + word.end) for word in span.native]
        span.native.clear()
        found = span.matcher.match([word.text for word in words])
        for piece, (word, whole) in sorted(found.items()):
            # What lies before it and was not found was left out, or is among the words before it.
            while len(span.ends) < piece:
                span.ends.append(max(span.reached, words[word].start))
            if whole and len(span.ends) == piece:
                span.ends.append(max(span.reached, words[word].end))
        if span.ends:
            self._learn(span, len(span.ends), span.ends[-1])
        return words

    def _learn(self, span: _Span, pieces: int, end: float) -> None:
        """The rate of this voice, by the first ``pieces`` of a span, which are over at ``end``."""
        before, seconds = span.known
        if pieces > before:
            self._weight += sum(span.weights[before:pieces])
            self._timed += end - span.start - seconds
            span.known = pieces, end - span.start

    @property
    def _rate(self) -> float:
        return self._weight / self._timed if self._timed > 0.0 else _USUAL_RATE

    # ---- what was heard

    def split(self, heard: float) -> tuple[str, str]:
        """The text spoken within the first ``heard`` seconds, and the rest of what was added."""
        spoken: list[str] = []
        remaining: list[str] = []
        for span in self._spans:
            ends = span.ends
            if self._native and span.start >= 0.0:
                # The engine's words may come behind their sound. What is heard already is not "not spoken".
                ends = ends + _passed(span, self._rate)
            for position, piece in enumerate(span.pieces):
                timed = position < len(ends)
                target = spoken if timed and ends[position] <= heard + 1e-6 and not remaining else remaining
                target.append(piece)
        return "".join(spoken), "".join(remaining)


def _weight(piece: str) -> float:
    word = piece.strip()
    length = _WIDE_WEIGHT if _IS_WIDE.match(word) else len(word) + 1.0
    return max(1.0, length + _PAUSE.get(word[-1:], 0.0))


def _share_out(span: _Span, end: float, pieces: int) -> list[TimedWord]:
    """Time the pieces up to that many by what is left of the sound that ends at ``end``."""
    first = len(span.ends)
    begin = span.reached
    rest = max(end - begin, 0.0)
    whole = sum(span.weights[first:pieces])
    return [_time(span, begin := begin + rest * span.weights[n] / whole) for n in range(first, pieces)]


def _pass(span: _Span, rate: float) -> list[TimedWord]:
    """Time the pieces that the sound reaches, at the usual rate."""
    return [_time(span, end) for end in _passed(span, rate)]


def _passed(span: _Span, rate: float) -> list[float]:
    """When the pieces end that the sound reaches and that are not timed yet."""
    ends: list[float] = []
    stop = span.reached
    for n in range(len(span.ends), len(span.pieces)):
        stop += span.weights[n] / rate
        if stop > span.end:
            break
        ends.append(stop)
    return ends


def _time(span: _Span, end: float) -> TimedWord:
    """The next piece ends then."""
    word = TimedWord(span.pieces[len(span.ends)].strip(), span.reached, end, estimated=True)
    span.ends.append(end)
    return word
