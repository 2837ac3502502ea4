"""The table of formats. A codec is a file with an ``Encoder`` and a row here; encoders are imported on use."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from importlib import import_module
from typing import cast

from audio.encoder import Encoder
from audio.stream import AudioStream

ALL_RATES = (8000, 11025, 12000, 16000, 22050, 24000, 32000, 44100, 48000)


class UnknownFormat(ValueError):
    """No format has that name."""


class UnsupportedRate(ValueError):
    """The format has no such sample rate."""


@dataclass(frozen=True, slots=True)
class AudioFormat:
    """One format that a stream can leave in. All are mono."""

    name: str
    mime: str
    extension: str
    """Of a file, without the dot."""
    container: str
    """``raw`` where the stream has no header."""
    encoder: str
    """``module:Class``; called with the sample rate."""
    rates: tuple[int, ...] = ALL_RATES
    """Hz, ascending."""
    delay_samples: int = 0
    """Silence in front of the sound after decoding, that the stream has no way to declare."""
    heavy: bool = False
    """Encoding costs more than a thread hop: run it on a pool."""
    bytes_per_sample: int | None = None
    """Where it is fixed, the stream can be cut into frames of exact length."""
    header_bytes: int = 0
    """In front of the first sample, for formats with fixed ``bytes_per_sample``."""

    def nearest_rate(self, rate: int) -> int:
        """``rate`` itself, else the next higher one, else the highest."""
        return min((own for own in self.rates if own >= rate), default=self.rates[-1])

    def open(self, source_rate: int, sample_rate: int) -> AudioStream:
        """A new stream: PCM at ``source_rate`` in, this format at ``sample_rate`` out.

        Raises ``UnsupportedRate``, or ``ValueError`` for a source rate that is no rate.
        """
        if sample_rate not in self.rates:
            listed = ", ".join(map(str, self.rates))
            raise UnsupportedRate(f"format {self.name!r} has no sample rate {sample_rate}; it has {listed}")
        if source_rate <= 0:
            raise ValueError(f"{source_rate} is no sample rate")
        return AudioStream(self, _load(self.encoder)(sample_rate), source_rate, sample_rate)


FORMATS: dict[str, AudioFormat] = {
    row.name: row
    for row in (
        AudioFormat("pcm16", "audio/pcm", "pcm", "raw", "audio.pcm16:Pcm16Encoder", bytes_per_sample=2),
        AudioFormat("wav", "audio/wav", "wav", "wav", "audio.wav:WavEncoder", bytes_per_sample=2, header_bytes=44),
        AudioFormat("mulaw", "audio/pcmu", "ulaw", "raw", "audio.g711:MulawEncoder", bytes_per_sample=1),
        AudioFormat("alaw", "audio/pcma", "alaw", "raw", "audio.g711:AlawEncoder", bytes_per_sample=1),
        # 576 samples of LAME's delay and 529 of every decoder's. Bare frames cannot declare it.
        AudioFormat("mp3", "audio/mpeg", "mp3", "mp3", "audio.mp3:Mp3Encoder", delay_samples=1105, heavy=True),
        # libopus looks ahead 6.5 ms, declared as the pre-skip, which decoders drop.
        AudioFormat(
            "opus",
            "audio/ogg",
            "opus",
            "ogg",
            "audio.opus:OpusEncoder",
            rates=(8000, 12000, 16000, 24000, 48000),
            heavy=True,
        ),
    )
}


def find(name: str) -> AudioFormat:
    """The format of that name. Raises ``UnknownFormat``, whose message lists the names."""
    try:
        return FORMATS[name]
    except KeyError:
        raise UnknownFormat(f"unknown format {name!r}; there are {', '.join(FORMATS)}") from None


@cache
def _load(path: str) -> Callable[[int], Encoder]:
    module, _, name = path.partition(":")
    return cast(Callable[[int], Encoder], getattr(import_module(module), name))
