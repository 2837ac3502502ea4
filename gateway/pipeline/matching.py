"""Finds an engine's words in the text that it was given.

The two need not be the same: "25" is spoken as "twenty five", marks are left out, and an engine that counts
characters has a word for each of them. Only letters and digits are compared, whatever their case.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence
from difflib import SequenceMatcher
from itertools import accumulate, islice

_SLACK = 8
"""Characters of text that an engine may have left out, beside as many as it speaks."""


class Matcher:
    """Goes through a text that grows, word by word; ``pieces`` each hold one word of it."""

    __slots__ = ("_at", "_ends", "_text")

    def __init__(self) -> None:
        self._text = ""
        self._ends: list[int] = []
        """Where each piece ends in ``_text``."""
        self._at = 0

    def extend(self, pieces: Sequence[str]) -> None:
        plain = [_plain(piece) for piece in pieces]
        # What is accumulated begins with the length so far, which is no piece's end.
        self._ends += islice(accumulate(map(len, plain), initial=len(self._text)), 1, None)
        self._text += "".join(plain)

    def match(self, words: Sequence[str]) -> dict[int, tuple[int, bool]]:
        """Where ``words``, spoken after all words before, are in the text.

        For each piece that one of them is in, the last word in it, and whether the piece ends with that word.
        """
        plain = [_plain(word) for word in words]
        spoken = "".join(plain)
        starts = list(accumulate(map(len, plain), initial=0))
        found: dict[int, tuple[int, bool]] = {}
        for here, there in self._pairs(spoken):
            piece = bisect_right(self._ends, here)
            found[piece] = bisect_right(starts, there) - 1, here + 1 == self._ends[piece]
            self._at = here + 1
        return found

    def _pairs(self, spoken: str) -> list[tuple[int, int]]:
        """Positions in the text, and in ``spoken``, of the characters that are the same."""
        at = self._at
        if self._text.startswith(spoken, at):
            return [(at + offset, offset) for offset in range(len(spoken))]
        window = self._text[at : at + 2 * len(spoken) + _SLACK]
        blocks = SequenceMatcher(None, window, spoken, autojunk=False).get_matching_blocks()
        return [(at + here + n, there + n) for here, there, size in blocks for n in range(size)]


def _plain(text: str) -> str:
    return "".join(filter(str.isalnum, text)).casefold()
