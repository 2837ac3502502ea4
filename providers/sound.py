"""Windows of sound into PCM: what is silent at either end of a sentence is cut to a known pause, as it is at the other
engines, and both ends are faded to zero, since next to another segment they would click.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float32]

_SILENT = 0.01
"""Amplitude below which sound is a pause: -40 dBFS."""
_LEAD_IN = 0.08
"""Seconds kept before the first sound above that, for a soft consonant."""
_SENTENCE_PAUSE = 0.4
_CLAUSE_PAUSE = 0.16
"""Seconds kept after the last: behind a sentence, and where one was cut."""
_FADE = 0.002


class Edges:
    """One sentence's sound on its way. What may yet turn out to be its end is held back."""

    def __init__(self, rate: int, *, whole: bool) -> None:
        """``rate`` in Hz; ``whole``: a sentence ends here, and not only a clause."""
        self.skipped = 0
        """Samples of silence that were cut off at the beginning."""
        self._lead_in = round(rate * _LEAD_IN)
        self._fade = round(rate * _FADE)
        self._pause = round(rate * (_SENTENCE_PAUSE if whole else _CLAUSE_PAUSE))
        self._room = self._pause
        """How many samples may leave before the next loud one comes."""
        self._held = np.empty(0, np.float32)
        self._begun = False

    def push(self, sound: Floats, *, last: bool = False) -> Floats:
        """More of it; returns what can leave, all of it with the ``last``."""
        sound = np.concatenate((self._held, sound))
        loud = np.flatnonzero(np.abs(sound) > _SILENT)
        if not self._begun:
            if not last and (not loud.size or sound.size < 2 * self._fade):
                self._held = sound
                return sound[:0]
            self._begun = True
            if loud.size:
                self.skipped = max(0, int(loud[0]) - self._lead_in)
                sound, loud = sound[self.skipped :], loud - self.skipped
            self._faded(sound[: self._fade])
        room = int(loud[-1]) + 1 + self._pause if loud.size else self._room
        end = min(sound.size, room) if last else max(0, min(sound.size - self._fade, room))
        self._held, self._room = sound[end:], room - end
        if last:
            self._faded(sound[max(0, end - self._fade) : end][::-1])
        return sound[:end]

    def _faded(self, sound: Floats) -> None:
        """In place, from zero."""
        sound *= np.arange(sound.size, dtype=np.float32) / np.float32(self._fade)


def to_pcm(sound: Floats, volume: float) -> bytes:
    """Samples from -1 to 1 as s16le; what is too loud is clipped."""
    pcm: bytes = np.rint(np.clip(sound * np.float32(volume), -1.0, 1.0) * 32767).astype("<i2").tobytes()
    return pcm
