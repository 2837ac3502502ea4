"""A segment of text into PCM and timed words, a window at a time. Blocking: runs on the lane's threads."""

from __future__ import annotations

import zlib
from collections import deque
from collections.abc import Iterator, Sequence
from contextlib import nullcontext
from dataclasses import replace
from itertools import accumulate
from pathlib import Path
from threading import Lock
from typing import Any

import numpy as np
from piper import PiperVoice
from piper.config import PhonemeType, PiperConfig
from piper.const import BOS, EOS, PAD

from providers.base import PcmChunk, Segment, Word
from providers.piper.model import Model, Scales, Sentence
from providers.piper.text import words, written_out
from providers.piper.words import Place, places
from providers.sound import Edges, to_pcm

_LONGEST = 500
"""Phonemes that are spoken as one sentence. The memory of the frontend grows with their square; 400 characters of a
language are fewer, 400 digits are more."""
SPEEDS = (0.25, 4.0)
_SENTENCE_ENDS = frozenset(".!?。！？")
_TIMED = (PhonemeType.ESPEAK, PhonemeType.TEXT)
"""Ways into phonemes whose phonemes are ids one by one, and that are quick. Of the others no word is timed, nor in
Arabic, where a model puts in the vowels first.
"""


class Reader:
    """A voice as it is loaded: text into phonemes and ids by Piper, ids into sound by ``model``. ``folder`` is for what
    Piper's way into phonemes downloads, in Chinese.
    """

    def __init__(self, config: PiperConfig, model: Model, folder: Path) -> None:
        self.config = config
        self.model = model
        # Piper's class holds the model too; of it, only the way from text to ids is used.
        session: Any = None
        self._piper: Any = PiperVoice(session=session, config=config, download_dir=folder)
        self._turn = Lock()

    def phonemes(self, text: str) -> list[list[str]]:
        """By sentence, as espeak-ng parts them."""
        # espeak-ng has a lock of its own. The other ways load their models when they are first gone.
        with nullcontext() if self.config.espeak_voice != "ar" and self.config.phoneme_type in _TIMED else self._turn:
            found: list[list[str]] = self._piper.phonemize(text)
        return found

    def ids(self, phonemes: Sequence[str]) -> tuple[list[int], list[int]]:
        """The ids of a sentence, and at which of them each phoneme begins. One that the voice lacks is silent."""
        known = self.config.phoneme_id_map
        if self.config.phoneme_type is PhonemeType.PINYIN:
            return list(self._piper.phonemes_to_ids(list(phonemes))), []
        ids, begins = [*known[BOS], *known[PAD]], []
        for phoneme in phonemes:
            begins.append(len(ids))
            if phoneme in known:
                ids += (*known[phoneme], *known[PAD])
        begins.append(len(ids))
        return [*ids, *known[EOS]], begins

    @property
    def english(self) -> bool:
        return str(self.config.espeak_voice).startswith("en")


def speak(reader: Reader, segment: Segment, speaker: int | None, volume: float) -> Iterator[PcmChunk]:
    """The sound of ``segment``; every word comes with the sound that it begins in."""
    text = words(segment.text)
    written = written_out(text, english=reader.english)
    sentences = [part for sentence in reader.phonemes(" ".join(written)) for part in _bounded(sentence)]
    timetable = _Timetable(reader, text, written, sentences)
    # Seeded by the text, a segment sounds the same each time it is made: what a cache, a resumed stream and a test rely
    # on. One seed for all would start every segment alike.
    random = np.random.default_rng(zlib.crc32(" ".join(text).encode()))
    speed = min(max(segment.speed, SPEEDS[0]), SPEEDS[1])
    scales = Scales(reader.config.noise_scale, reader.config.length_scale / speed, reader.config.noise_w_scale)
    made = 0
    for number, phonemes in enumerate(sentences):
        # Marks alone would make half a second of hiss.
        if not any(map(str.isalnum, "".join(phonemes))):
            continue
        ids, begins = reader.ids(phonemes)
        sentence = reader.model.sentence(ids, scales, speaker, random)
        timetable.sentence(number, sentence, begins)
        edges = Edges(reader.config.sample_rate, whole=_last_mark(phonemes) in _SENTENCE_ENDS)
        begun, windowed, total = made, 0, sentence.frames * reader.model.hop
        for window in reader.model.sound(sentence):
            windowed += window.size
            last = windowed == total
            sound = edges.push(window, last=last)
            made += sound.size
            if sound.size:
                yield PcmChunk(to_pcm(sound, volume), timetable.due(begun - edges.skipped, made, last=last))


def _bounded(phonemes: Sequence[str]) -> Iterator[Sequence[str]]:
    """In parts that are not too long, between words where there is a space."""
    while len(phonemes) > _LONGEST:
        spaces = [index for index in range(_LONGEST // 2, _LONGEST) if phonemes[index] == " "]
        cut = spaces[-1] + 1 if spaces else _LONGEST
        yield phonemes[:cut]
        phonemes = phonemes[cut:]
    yield phonemes


def _last_mark(phonemes: Sequence[str]) -> str:
    return next((phoneme for phoneme in reversed(phonemes) if not phoneme.isspace()), "")


class _Timetable:
    """When which word of a segment is heard."""

    def __init__(
        self, reader: Reader, text: Sequence[str], written: Sequence[str], sentences: Sequence[Sequence[str]]
    ) -> None:
        found: list[Place | None] | None = None
        if reader.config.phoneme_type in _TIMED and reader.config.espeak_voice != "ar":
            found = places(written, sentences, reader.phonemes)
        self._hop = reader.model.hop
        self._untimed = deque(zip(text, found or (), strict=bool(found)))
        self._timed: deque[Word] = deque()

    def sentence(self, number: int, sentence: Sentence, begins: Sequence[int]) -> None:
        """What a sentence's ids last is known: time its words, in samples from its start."""
        times = [0, *accumulate(int(frames) * self._hop for frames in sentence.lengths)]
        while self._untimed and (self._untimed[0][1] is None or self._untimed[0][1].sentence == number):
            text, place = self._untimed.popleft()
            if place is None:
                # Not spoken, but a word of the text: it takes no time.
                at = self._timed[-1].end if self._timed else 0
                self._timed.append(Word(text, at, at))
            else:
                self._timed.append(Word(text, times[begins[place.start]], times[begins[place.stop]]))

    def due(self, start: int, made: int, *, last: bool) -> tuple[Word, ...]:
        """The words that begin before sample ``made`` of the segment, and with the ``last`` sound of a sentence all of
        its words; ``start`` is the sample at which it begins.
        """
        words = []
        while self._timed and (last or self._timed[0].start + start < made):
            word = self._timed.popleft()
            begin, end = (
                min(max(0, at + start), made) if last else max(0, at + start) for at in (word.start, word.end)
            )
            words.append(replace(word, start=begin, end=end))
        return tuple(words)
