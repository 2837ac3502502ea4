"""The phonemes of a segment in the batches in which they are spoken: sentences, and of a long first sentence its first
clause, so that there is sound soon.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

LONGEST = 510
"""Phonemes that the model takes at once."""
_LONG_START = 80
"""Phonemes of a first batch that is not parted any more: about five seconds of speech."""
_SHORT = 25
"""Phonemes of a part at least: a shorter one sounds as if it stood alone."""
_SENTENCE = re.compile(r"(?<=[.!?…])\s+")
_CLAUSE = re.compile(r"(?<=[,;:—])\s+")
_WORD = re.compile(r"\s+")


def batches(phonemes: str) -> Iterator[str]:
    """Non-empty, each of at most ``LONGEST`` phonemes."""
    for number, sentence in enumerate(_SENTENCE.split(phonemes)):
        first, rest = ("", sentence) if number else _opened(sentence)
        if first:
            yield first
        while len(rest) > LONGEST:
            cut = _cut(rest, LONGEST // 2, LONGEST) or LONGEST
            yield rest[:cut].strip()
            rest = rest[cut:].strip()
        if rest:
            yield rest


def _opened(sentence: str) -> tuple[str, str]:
    """The first clause of a long sentence, and the rest; nothing and the sentence where there is no such clause."""
    if len(sentence) <= _LONG_START:
        return "", sentence
    cut = next(
        (match.end() for match in _CLAUSE.finditer(sentence, _SHORT) if len(sentence) - match.end() >= _SHORT), None
    )
    return ("", sentence) if cut is None or cut > LONGEST else (sentence[:cut].strip(), sentence[cut:])


def _cut(sentence: str, start: int, stop: int) -> int | None:
    for mark in (_CLAUSE, _WORD):
        places = [match.end() for match in mark.finditer(sentence, start, stop)]
        if places:
            return places[-1]
    return None
