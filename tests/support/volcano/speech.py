"""Text in, sentences of a tone out, as the service's parameters ask for it."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from audio import formats
from audio.stream import AudioStream
from tests.support.volcano.plans import Refusal

RATES = (8000, 16000, 22050, 24000, 32000, 44100, 48000)
MS_PER_CHARACTER = 60
_FORMATS = {"pcm": "pcm16", "wav": "wav", "mp3": "mp3", "ogg_opus": "opus"}
_SENTENCE = re.compile(r"[^。！？.!?\n]*[。！？.!?\n]+")
_WORD = re.compile(r"[\u3040-\u30ff\u4e00-\u9fff]|[^\s\u3040-\u30ff\u4e00-\u9fff]+")
_HERTZ = 400
_FADE_MS = 5


class Refused(Exception):
    """The request is not as it should be."""

    def __init__(self, code: int, message: str, form: str = "event") -> None:
        super().__init__(message)
        self.refusal = Refusal(code, message, form)  # type: ignore[arg-type]


@dataclass(frozen=True, slots=True)
class Sentence:
    text: str
    pcm: bytes
    words: list[dict[str, Any]]
    """Seconds, from where the sentence begins."""


@dataclass(frozen=True, slots=True)
class Manner:
    """How a session speaks."""

    rate: int
    format: str
    tempo: float
    level: float
    timed: bool

    def encoder(self) -> AudioStream:
        return formats.find(_FORMATS[self.format]).open(self.rate, self.rate)

    def sentence(self, text: str) -> Sentence:
        characters = len(text.strip())
        count = round(self.rate * characters * MS_PER_CHARACTER / 1000 / self.tempo)
        return Sentence(text, _tone(count, self.rate, self.level), self._words(text, count) if self.timed else [])

    def _words(self, text: str, count: int) -> list[dict[str, Any]]:
        found = _WORD.findall(text)
        total, at, words = sum(map(len, found)), 0, []
        for word in found:
            start, at = at, at + len(word)
            times = (round(position / total * count / self.rate, 4) for position in (start, at))
            words.append({"confidence": 0.9, **dict(zip(("startTime", "endTime"), times, strict=True)), "word": word})
        return words


def manner(params: Mapping[str, Any], resource: str) -> Manner:
    """From ``req_params``. Raises ``Refused``."""
    speaker, audio = params.get("speaker"), params.get("audio_params", {})
    if not isinstance(speaker, str) or not speaker:
        raise Refused(45002000, "TTS invalid speaker")
    if not fits(speaker, resource):
        raise Refused(55000000, "resource ID is mismatched with speaker related resource")
    if not isinstance(audio, dict):
        raise Refused(45000000, "payload unmarshal: audio_params")
    _read_additions(params.get("additions", "{}"))
    rate, format = audio.get("sample_rate", 24000), audio.get("format", "mp3")
    if rate not in RATES or format not in _FORMATS:
        raise Refused(45000001, "[Invalid argument] audio_params")
    second = resource.endswith("-2.0")
    timed = audio.get("enable_subtitle" if second else "enable_timestamp", False)
    return Manner(rate, format, _percent(audio, "speech_rate"), _percent(audio, "loudness_rate"), bool(timed))


def fits(speaker: str, resource: str) -> bool:
    """The generation that a voice's id says is the resource's."""
    if speaker.startswith(("S_", "icl_")):
        return resource.startswith("seed-icl-") or resource == "volc.megatts.default"
    first = speaker.endswith(("_moon_bigtts", "_mars_bigtts", "_wvae_bigtts"))
    if first:
        return resource.startswith("seed-tts-1.0") or resource in ("volc.service_type.10029", "volc.service_type.10048")
    return resource == "seed-tts-2.0"


def _read_additions(additions: object) -> None:
    """A string that holds an object."""
    try:
        read = json.loads(additions) if isinstance(additions, str) else None
    except ValueError:
        read = None
    if not isinstance(read, dict):
        raise Refused(45000000, "payload unmarshal: additions is not a json string")


def _percent(audio: Mapping[str, Any], name: str) -> float:
    value = audio.get(name, 0)
    if not isinstance(value, int) or not -50 <= value <= 100:
        raise Refused(45000001, f"[Invalid argument] {name}")
    return 1.0 + value / 100


class Sentences:
    """Cuts what comes; what is no whole sentence waits for more, or for the end."""

    def __init__(self) -> None:
        self._rest = ""

    def feed(self, text: str) -> Iterator[str]:
        self._rest += text
        while (found := _SENTENCE.match(self._rest)) is not None:
            self._rest = self._rest[found.end() :]
            yield found[0]

    def finish(self) -> Iterator[str]:
        if self._rest.strip():
            yield self._rest
        self._rest = ""


def _tone(count: int, rate: int, level: float) -> bytes:
    """Begins and ends at zero."""
    tone = np.sin(2 * np.pi * _HERTZ * np.arange(count) / rate) * min(level, 2.0) * 8000
    fade = min(rate * _FADE_MS // 1000, count // 2)
    ramp = np.arange(fade) / max(fade, 1)
    tone[:fade] *= ramp
    tone[count - fade :] *= ramp[::-1]
    return np.rint(tone).astype("<i2").tobytes()
