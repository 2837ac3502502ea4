"""Which phonemes belong to which word of the text.

espeak-ng reads a sentence and not words: "25" becomes two of them, and "of the" one. So each word is also read alone,
and what was read is laid beside the sentence.
"""

from __future__ import annotations

import unicodedata
from bisect import bisect_left, bisect_right
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from difflib import SequenceMatcher
from itertools import accumulate, pairwise
from typing import NamedTuple

Phonemes = Sequence[str]

_STRESS = frozenset("ˈˌ")
_LEAST_ALIKE = 0.5
"""Below this the two readings have too little in common to tell anything."""
_MOST_PAIRS = 15_000
"""Of a letter of the one and the same letter of the other, all of which are looked at again and again: 300 characters
of prose have a third of it. Beyond it, in a page of numbers or in a script that is spelt out, it would take a second.
"""


class Place(NamedTuple):
    """Phonemes ``start`` to ``stop`` of a sentence."""

    sentence: int
    start: int
    stop: int


def places(
    words: Sequence[str], sentences: Sequence[Phonemes], read: Callable[[str], Sequence[Phonemes]]
) -> list[Place | None] | None:
    """Where each of ``words`` is in ``sentences``; ``None`` for one that is not spoken, and for all of them together
    where it cannot be told. ``read`` gives the phonemes of a text by sentence.
    """
    alone = [_letters(reading) for reading in _readings(words, read)]
    letters = list(_sounded(sentences))
    starts = [position for position, letter in enumerate(letters) if letter.begins]
    cuts = _cuts(alone, "".join(letter.character for letter in letters), starts)
    if cuts is None:
        return None
    return [_place(letters[start:stop], sentences) for start, stop in pairwise(cuts)]


def _readings(words: Sequence[str], read: Callable[[str], Sequence[Phonemes]]) -> list[list[Phonemes]]:
    """Every word read alone; in one go as paragraphs, if it comes out even, since a call costs more than a word."""
    speakable = [any(map(str.isalnum, word)) for word in words]
    together = list(read("\n\n".join(word for word, speaks in zip(words, speakable, strict=True) if speaks)))
    if len(together) == sum(speakable):
        found = iter(together)
        return [[next(found)] if speaks else [] for speaks in speakable]
    return [list(read(word)) if speaks else [] for word, speaks in zip(words, speakable, strict=True)]


def _is_letter(character: str) -> bool:
    """Of the phonetic alphabet: a letter, a tone, or a mark on one."""
    return character not in _STRESS and unicodedata.category(character)[0] in "LNM"


def _letters(reading: Sequence[Phonemes]) -> list[str]:
    """The words of a reading, each as its letters."""
    text = " ".join("".join(sentence) for sentence in reading)
    kept = "".join(c if _is_letter(c) else "" if c in _STRESS else " " for c in text)
    return kept.split()


class _Letter(NamedTuple):
    character: str
    sentence: int
    place: int
    begins: bool
    """It is the first of a word."""


def _sounded(sentences: Sequence[Phonemes]) -> Iterator[_Letter]:
    """The letters of the sentences, without stresses, spaces and marks."""
    for number, sentence in enumerate(sentences):
        begins = True
        for index, phoneme in enumerate(sentence):
            for character in phoneme:
                if _is_letter(character):
                    yield _Letter(character, number, index, begins)
                    begins = False
                elif character not in _STRESS:
                    begins = True


def _cuts(alone: Sequence[Sequence[str]], spoken: str, starts: Sequence[int]) -> list[int] | None:
    """The position in ``spoken`` at which each word begins, and its end."""
    counts = [len(words) for words in alone]
    if sum(counts) == len(starts):
        ends = [*starts, len(spoken)]
        return [ends[count] for count in accumulate(counts, initial=0)]
    read = "".join("".join(words) for words in alone)
    counts_read, counts_spoken = Counter(read), Counter(spoken)
    if sum(count * counts_spoken[letter] for letter, count in counts_read.items()) > _MOST_PAIRS:
        return None
    matcher = SequenceMatcher(None, read, spoken, autojunk=False)
    blocks = [(a, b, size) for a, b, size in matcher.get_matching_blocks() if size]
    if matcher.ratio() < _LEAST_ALIKE:
        return None
    lengths = (sum(map(len, words)) for words in alone)
    inner = [_across(position, blocks, starts, len(spoken)) for position in accumulate(lengths, initial=0)]
    return [0, *accumulate(inner[1:-1], max), len(spoken)]


def _across(position: int, blocks: Sequence[tuple[int, int, int]], starts: Sequence[int], end: int) -> int:
    """Where a position of the one text is in the other: as far into a block that both have; between two of them, where
    a word begins.
    """
    number = bisect_right(blocks, position, key=lambda block: block[0]) - 1
    low = 0
    if number >= 0:
        a, b, size = blocks[number]
        if position < a + size:
            return b + position - a
        low = b + size
    high = blocks[number + 1][1] if number + 1 < len(blocks) else end
    at = bisect_left(starts, low)
    return starts[at] if at < len(starts) and starts[at] <= high else low


def _place(letters: Sequence[_Letter], sentences: Sequence[Phonemes]) -> Place | None:
    """From the first letter, with the stress before it, to the last in the same sentence."""
    if not letters:
        return None
    _, number, start, _ = letters[0]
    stop = next(letter.place for letter in reversed(letters) if letter.sentence == number) + 1
    while start and sentences[number][start - 1] in _STRESS:
        start -= 1
    return Place(number, start, stop)
