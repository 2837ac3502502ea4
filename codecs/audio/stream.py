"""A stream's whole way from an engine's PCM to a format: one resampler and one encoder, from first to last."""

from __future__ import annotations

from typing import TYPE_CHECKING

from audio.encoder import Encoder
from audio.pcm import count
from audio.resample import Resampler

if TYPE_CHECKING:
    from audio.formats import AudioFormat


class AudioStream:
    """Made by ``AudioFormat.open``. May move between threads, but is used by one at a time."""

    def __init__(self, audio_format: AudioFormat, encoder: Encoder, source_rate: int, sample_rate: int) -> None:
        self.format = audio_format
        self.source_rate = source_rate
        """Hz of the PCM that ``encode`` takes."""
        self.sample_rate = sample_rate
        """Hz of the stream that comes out."""
        self.samples_in = 0
        """Samples at ``sample_rate`` that the encoder was given so far. The resampler holds back a few
        milliseconds until ``finish``."""
        self._encoder = encoder
        self._resampler = Resampler(source_rate, sample_rate)

    def encode(self, pcm: bytes) -> bytes:
        """Take whole s16le mono samples at ``source_rate``; ``b""`` where they are held back for now.

        Raises ``ValueError`` for half a sample, ``StreamFinished`` after ``finish``.
        """
        return self._encode(self._resampler.process(pcm))

    def finish(self) -> bytes:
        """Give what was held back and what closes the stream. Raises ``StreamFinished`` the second time.

        A stream that was fed nothing ends as a valid one without sound in wav and opus, and empty elsewhere.
        """
        return self._encode(self._resampler.finish()) + self._encoder.finish()

    def _encode(self, pcm: bytes) -> bytes:
        if not pcm:
            return b""
        self.samples_in += count(pcm)
        return self._encoder.encode(pcm)
