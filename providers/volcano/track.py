"""The sound of a conversation, from the pieces and sentences of its sessions."""

from __future__ import annotations

from collections.abc import Iterator

from providers.base import SAMPLE_WIDTH, PcmChunk, Word
from providers.volcano.answers import Sentence
from providers.volcano.text import letters

_PIECE_MS = 200
_TOLERANCE = 0.05
"""Seconds by which a sentence may begin before the one before it ends."""


class Track:
    """Cuts what comes into whole samples and pieces of at most 200 ms, and puts words on one scale: the service times
    them from the start of a session."""

    def __init__(self, rate: int) -> None:
        self._rate = rate
        self._longest = rate * _PIECE_MS // 1000 * SAMPLE_WIDTH
        self._samples = 0
        self._words: list[Word] = []
        self.begin()

    def begin(self) -> None:
        """Another session."""
        self._base = self._samples
        self._odd = b""
        self._until = 0.0
        self.letters = 0
        """Letters of the session's text that are spoken."""

    def sound(self, pcm: bytes) -> Iterator[PcmChunk]:
        """The chunks that are whole now; the first takes the words that have come."""
        pcm = self._odd + pcm
        whole = len(pcm) // SAMPLE_WIDTH * SAMPLE_WIDTH
        self._odd = pcm[whole:]
        for start in range(0, whole, self._longest):
            piece = pcm[start : min(start + self._longest, whole)]
            self._samples += len(piece) // SAMPLE_WIDTH
            yield PcmChunk(piece, self.words())

    def sentence(self, sentence: Sentence) -> None:
        """The documents time words from the start of the session. Some voices were seen to time them from the start of
        their sentence; that is then where the last one ended."""
        self.letters += letters(sentence.text)
        if not sentence.words:
            return
        begin = self._until if sentence.words[0].start < self._until - _TOLERANCE else 0.0
        for word in sentence.words:
            start, end = (self._base + round((begin + time) * self._rate) for time in (word.start, word.end))
            self._words.append(Word(word.text, start, end))
        self._until = begin + sentence.words[-1].end

    def words(self) -> tuple[Word, ...]:
        """Those that nobody was told."""
        words = tuple(self._words)
        self._words.clear()
        return words
