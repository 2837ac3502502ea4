"""The embedded engine: ``hibari-tts``, small neural English voices that run far faster than real time on
one core.

One voice comes with the package. The others are used where their models are already in hibari's cache;
nothing is downloaded unless asked for.
"""

from __future__ import annotations

import asyncio
import re
import unicodedata
import zlib
from collections.abc import AsyncGenerator, Iterator, Sequence
from contextlib import aclosing
from typing import Any, ClassVar

import hibari
import numpy as np
from hibari import voices as catalogue
from hibari.g2p import G2P
from numpy.typing import NDArray

from providers.base import (
    SAMPLE_WIDTH,
    Capabilities,
    EngineFailed,
    EngineUnavailable,
    PcmChunk,
    Segment,
    UnknownVoice,
    Voice,
)
from providers.lane import Lane, cores

_RATE: int = hibari.SAMPLE_RATE
_PIECE = _RATE // 5 * SAMPLE_WIDTH
"""Bytes of a chunk: 200 ms, so that a cancel and a channel bounded in time have a fine grain."""
_FADE = _RATE // 500
"""Samples of the fade at either end of a sentence's sound: 2 ms."""
_SILENT = 0.01
"""Amplitude below which sound is a pause: -40 dBFS, just above the engine's hiss."""
_LEAD_IN = _RATE * 8 // 100
"""Samples kept before the first sound above that: 80 ms, for a soft consonant."""
_SENTENCE_PAUSE = _RATE * 4 // 10
_CLAUSE_PAUSE = _RATE * 16 // 100
"""Samples kept after the last: 400 ms behind a sentence, 160 ms where one was cut at a clause."""
_SENTENCE_ENDS = frozenset(".!?…")
_BEYOND_WORDS = re.compile(r"\d(?:,?\d){36,}")
_THREE_DIGITS = re.compile(r"\d{3}(?=\d)")
# Speaks once through everything that loads on first use; the last word is in no lexicon.
_WARM_UP = "Ready to speak, Voxwirian."


class Hibari:
    """``voice``: the default one. ``width``: segments made at once, at most one a core. ``download``:
    offer every voice and fetch a missing model (8 MB) when it is first spoken.
    """

    id: ClassVar[str] = "hibari"
    # The memory of a run grows with its sentence and stays with the process; 400 characters keep it near
    # 100 MB.
    capabilities: ClassVar[Capabilities] = Capabilities(
        streams=True, speed=True, deterministic=True, max_characters=400
    )

    def __init__(
        self,
        *,
        voice: str = catalogue.DEFAULT,
        width: int | None = None,
        download: bool = False,
        max_waiting: int = 256,
    ) -> None:
        self._download = download
        self._voices = {name: _voice(name) for name in _available(first=voice, download=download)}
        self._default = voice
        self._models: dict[str, Any] = {}
        self._g2p: dict[bool, G2P] = {}
        self._loading = asyncio.Lock()
        self.lane = Lane(width or cores(), self.id, max_waiting=max_waiting)

    async def start(self) -> None:
        if self._default not in self._voices:
            raise EngineUnavailable(f"engine {self.id!r} has no model for its default voice {self._default!r}")
        self.lane.open()
        warm_up = Segment(_WARM_UP, self._voices[self._default])
        async with aclosing(self.synthesize(warm_up)) as chunks:
            async for _ in chunks:
                pass

    async def close(self) -> None:
        await self.lane.close()
        self._models.clear()
        self._g2p.clear()

    async def voices(self) -> Sequence[Voice]:
        return tuple(self._voices.values())

    async def synthesize(self, segment: Segment) -> AsyncGenerator[PcmChunk, None]:
        if segment.voice.id not in self._voices:
            raise UnknownVoice(f"engine {self.id!r} has no such voice; it has: {', '.join(self._voices)}")
        model = await self._model(segment.voice.id)
        async with aclosing(self.lane.iterate(lambda: _speak(model, segment), batch=segment.batch)) as sentences:
            async for pcm in sentences:
                for start in range(0, len(pcm), _PIECE):
                    yield PcmChunk(pcm[start : start + _PIECE])

    async def _model(self, voice: str) -> Any:
        if voice in self._models:
            return self._models[voice]
        async with self._loading:
            if voice not in self._models:
                self._models[voice] = await self.lane.run(self._load, voice)
        return self._models[voice]

    def _load(self, voice: str) -> Any:
        try:
            path = catalogue.voice_path(voice, download_missing=self._download)
            british = catalogue.VOICES[voice]["british"]
            # The voices of an accent share its lexicon, which is larger than a model.
            g2p = self._g2p.get(british) or G2P(british=british)
            self._g2p[british] = g2p
            return hibari.Hibari(voice, model=path, threads=1, g2p=g2p)
        except Exception as error:
            raise EngineUnavailable(f"engine {self.id!r} cannot load its voice {voice!r}") from error


def _available(*, first: str, download: bool) -> list[str]:
    names = sorted(catalogue.VOICES, key=lambda name: name != first)
    return [name for name in names if download or _cached(name)]


def _cached(name: str) -> bool:
    try:
        catalogue.voice_path(name, download_missing=False)
    except FileNotFoundError:
        return False
    return True


def _voice(name: str) -> Voice:
    row = catalogue.VOICES[name]
    return Voice(
        id=name,
        name=name.capitalize(),
        language=row["language"],
        sample_rate=_RATE,
        gender=row["gender"],
        description=f"{row['accent']} English, {row['gender']}",
    )


def _speak(model: Any, segment: Segment) -> Iterator[bytes]:
    """The PCM of each sentence. Blocking: runs on a worker of the lane."""
    text = _readable(segment.text)
    # The voice has a random part, breath and hiss. Seeded by the text, a segment sounds the same each time
    # it is made: what a cache, a resumed stream and a test rely on. One seed for all would start every
    # segment alike.
    noise = np.random.default_rng(zlib.crc32(text.encode("utf-8", "surrogatepass")))
    try:
        for phonemes in model.phonemize(text):
            # Punctuation alone makes half a second of hiss.
            if any(map(str.isalpha, phonemes)):
                sound = model.from_ids(model.ids(phonemes), segment.speed, noise)
                if sound.size:
                    yield to_pcm(_trimmed(sound, phonemes))
    except Exception as error:
        raise EngineFailed("engine 'hibari' could not speak a segment") from error


def _readable(text: str) -> str:
    """What hibari takes for a number and cannot read, made readable: digits that are no decimals (``²``, ``④``)
    as plain ones, and numbers beyond its greatest word, a decillion, in groups of three digits.
    """
    plain = "".join(str(unicodedata.digit(c)) if c.isdigit() and not c.isdecimal() else c for c in text)
    return _BEYOND_WORDS.sub(lambda number: _THREE_DIGITS.sub(r"\g<0> ", number[0].replace(",", "")), plain)


def _trimmed(sound: NDArray[np.float32], phonemes: str) -> NDArray[np.float32]:
    """The sound with less silence around it. The engine puts 0.3 s before and 0.5 s behind whatever it speaks:
    the one delays the first word, and both together are too long a pause where a sentence was cut.
    """
    loud = np.flatnonzero(np.abs(sound) > _SILENT)
    if not loud.size:
        return sound
    pause = _SENTENCE_PAUSE if phonemes.rstrip()[-1:] in _SENTENCE_ENDS else _CLAUSE_PAUSE
    return sound[max(0, int(loud[0]) - _LEAD_IN) : int(loud[-1]) + 1 + pause]


def to_pcm(sound: NDArray[np.float32]) -> bytes:
    """Float samples in -1 to 1 as s16le. Both ends are faded to zero: next to another segment they would
    click.
    """
    scaled = np.clip(sound, -1.0, 1.0) * np.float32(32767)
    fade = min(_FADE, scaled.size // 2)
    ramp = np.arange(fade, dtype=np.float32) / max(fade, 1)
    scaled[:fade] *= ramp
    scaled[scaled.size - fade :] *= ramp[::-1]
    pcm: bytes = np.rint(scaled).astype("<i2").tobytes()
    return pcm
