"""Turns text deltas into speakable segments, incrementally.

Not built on `sentence-stream`: it strips white space and asterisks, so that its sentences cannot be joined
to the text again, it has no maximum length, and it searches everything it holds for each delta.

The rules:
- A segment is a sentence (`sentences` says where one ends), with the white space and the emoji behind it. A
  blank line, and a line break before a list item, are ends too. What has no letter or digit is not cut off.
- A sentence of more than `max_characters` is cut after its last clause mark in the last three quarters of
  that, else after its last white space, else hard between two graphemes.
- The first segment comes early: when `first_characters` have come and the sentence has not ended, it is cut
  after the first clause mark past 20 characters; without one, after the last white space in the first three
  quarters, so that the rest is no stump; without that, at the first break that comes.
- Later sentences of less than `short_characters` are spoken with the one that follows.
- For the last two rules a wide character (ideograph, kana, Hangul) counts as three: it takes as long to say.
"""

from collections.abc import Generator
from typing import TypeVar

from gateway.pipeline import sentences
from gateway.pipeline.sentences import CONTEXT, speakable

__all__ = ["Segmenter", "speakable"]

_T = TypeVar("_T")
# A part of the scan: it yields where it must see more text, and returns what it found.
_Scan = Generator[None, None, _T]

# How far past a boundary a letter or digit is looked for, so that what follows can stand alone.
_LOOKAHEAD = 16
_SPACED_CLOSERS = frozenset("»›")
_LIST_NUMBER_MARKS = frozenset(".)、")


class Segmenter:
    """Cuts text into segments whose concatenation is exactly the text fed.

    Where the deltas end has no influence on the segments: the scan asks for one character after another and
    stops where the next has not come. Between two calls it holds at most `max_characters` and a short
    lookahead. A flush ends an utterance: what comes after it is segmented as by a new segmenter.
    """

    def __init__(self, *, first_characters: int = 80, max_characters: int = 300, short_characters: int = 12) -> None:
        """Lengths are in characters; `short_characters` 0 joins nothing. Raise ValueError for a bad length."""
        if first_characters < 1 or max_characters < 1 or short_characters < 0:
            raise ValueError("first_characters and max_characters must be at least 1, short_characters at least 0")
        self._max = max_characters
        self._first_weight = first_characters
        self._short = short_characters
        self._reset()

    def _reset(self) -> None:
        self._buffer = ""
        self._start = 0
        self._is_first = True
        self._is_final = False
        self._scanner = self._segments()

    @property
    def pending(self) -> int:
        """How many characters are held back."""
        return len(self._buffer) - self._start

    def feed(self, text: str) -> list[str]:
        """Add a delta; return the segments that are complete now."""
        self._buffer = self._buffer[self._start :] + text
        self._start = 0
        return self._advance()

    def flush(self) -> list[str]:
        """Return everything that has come, as segments."""
        self._is_final = True
        segments = self._advance()
        self._reset()
        return segments

    def _advance(self) -> list[str]:
        segments = []
        for segment in self._scanner:
            if segment is None:
                break
            segments.append(segment)
        return segments

    def _segments(self) -> Generator[str | None, None, None]:
        while cut := (yield from self._cut()):
            segment = self._slice(0, cut)
            self._start += cut
            self._is_first = False
            yield segment

    def _slice(self, begin: int, end: int) -> str:
        return self._buffer[self._start + max(begin, 0) : self._start + end]

    def _at(self, index: int) -> _Scan[str]:
        """The character at `index` of the segment; "" past the end of a flushed text."""
        while self._start + index >= len(self._buffer):
            if self._is_final:
                return ""
            yield
        return self._buffer[self._start + index]

    def _hard_cut(self, index: int) -> int:
        return sentences.grapheme_cut(self._slice(0, index + 1), index)

    def _cut(self) -> _Scan[int]:
        """The length of the next segment; 0 when a flushed text is used up."""
        breaks = sentences.Breaks(self._first_weight)
        index = 0
        while character := (yield from self._at(index)):
            early = breaks.early() if self._is_first else 0
            if early or index >= self._max:
                return early or breaks.late(self._max) or self._hard_cut(index)
            following = index + 1
            if not character.isalnum() and breaks.has_speech:
                if character in sentences.TERMINATORS:
                    cut, following = yield from self._sentence_end(index, breaks.weight)
                elif character in "\n\u2029":
                    cut = yield from self._line_end(index)
                else:
                    cut = 0
                if cut:
                    return cut
            breaks.pass_over(character, following - index, self._slice(index - 8, index))
            index = following
        return index

    def _sentence_end(self, mark: int, weight: int) -> _Scan[tuple[int, int]]:
        """Where the segment ends if the terminator at `mark` ends one, else 0; and where to read on."""
        end = yield from self._run(mark)
        if end > self._max:
            return 0, self._max
        gap, lines = yield from self._gap(end, with_symbols=True)
        following = yield from self._letter(gap)
        if following is None:
            return 0, end
        if not (yield from self._divides(gap, lines)):
            if weight < self._short and not self._is_first:
                return 0, end
            before, run = self._slice(mark - CONTEXT, mark), self._slice(mark, end)
            if gap == end and not (yield from self._at(end)).isspace():
                ends = sentences.ends_unspaced(before, run, following)
            elif (yield from self._goes_on(gap)):
                ends = False
            else:
                ends = sentences.ends_sentence(before, run, following, at_start=mark <= CONTEXT)
            if not ends:
                return 0, end
        return gap, end

    def _run(self, mark: int) -> _Scan[int]:
        """The end of the terminators from `mark` on, with their closers."""
        end = mark
        while end <= self._max:
            character = yield from self._at(end)
            if character.isspace() and end + 2 <= self._max and (yield from self._at(end + 1)) in _SPACED_CLOSERS:
                # French sets a space before the closing mark; without one behind it, it is a German opening mark.
                return end + 2 if (yield from self._at(end + 2)).isspace() else end
            if character not in sentences.TERMINATORS and character not in sentences.CLOSERS:
                return end
            end += 1
        return end

    def _line_end(self, index: int) -> _Scan[int]:
        gap, lines = yield from self._gap(index, with_symbols=False)
        following = yield from self._letter(gap)
        return gap if following is not None and (yield from self._divides(gap, lines)) else 0

    def _gap(self, begin: int, *, with_symbols: bool) -> _Scan[tuple[int, int]]:
        """The end of the white space (and the emoji) from `begin` on, and the line breaks in it."""
        end, lines = begin, 0
        while end < self._max and (character := (yield from self._at(end))):
            if not character.isspace() and not (with_symbols and sentences.is_symbol(character)):
                return end, lines
            lines += {"\n": 1, "\u2029": 2}.get(character, 0)
            end += 1
        yield from self._at(end)
        return max(begin, self._hard_cut(end)), lines

    def _letter(self, begin: int) -> _Scan[str | None]:
        """The first letter or digit from `begin` on; "" when none is near, None when no more text comes."""
        for index in range(begin, begin + _LOOKAHEAD):
            character = yield from self._at(index)
            if not character:
                return None
            if character.isalnum():
                return character
        return ""

    def _divides(self, begin: int, lines: int) -> _Scan[bool]:
        """Whether `lines` line breaks before `begin` part two segments: a blank line, or one before an item."""
        if lines != 1:
            return lines > 1
        index = begin
        while index < begin + 6 and (yield from self._at(index)) == "#":
            index += 1
        character = yield from self._at(index)
        if index > begin:
            return character.isspace()
        if character == "—" or sentences.is_symbol(character):
            return True
        while index < begin + 3 and (yield from self._at(index)).isdigit():
            index += 1
        if index > begin:
            character = yield from self._at(index)
            if character not in _LIST_NUMBER_MARKS:
                return False
        elif character not in sentences.LIST_BULLETS:
            return False
        return character == "、" or (yield from self._at(index + 1)).isspace()

    def _goes_on(self, index: int) -> _Scan[bool]:
        """Whether the sentence goes on after white space: ". . ." or a closer on its own."""
        character = yield from self._at(index)
        if character in sentences.CLOSERS:
            return (yield from self._at(index + 1)).isspace()
        return character in sentences.TERMINATORS
