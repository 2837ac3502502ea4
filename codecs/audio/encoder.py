"""What every encoder promises: two verbs, the second of them once."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Protocol

from audio import pcm as raw


class StreamFinished(RuntimeError):
    """Sound was given to a stream after its end, or its end was asked for twice."""

    def __init__(self, verb: str) -> None:
        super().__init__(f"{verb} was called after finish: a stream ends once and takes nothing afterwards")


class Encoder(Protocol):
    """One stream's encoder. Its answers, joined in order, are one valid stream of the format."""

    def encode(self, pcm: bytes) -> bytes:
        """Take whole s16le mono samples at the encoder's rate; ``b""`` where it holds them back for now.

        Raises ``ValueError`` for half a sample, ``StreamFinished`` after ``finish``.
        """
        ...

    def finish(self) -> bytes:
        """Give what was held back and what closes the stream. Raises ``StreamFinished`` the second time."""
        ...


class StreamEncoder(ABC):
    """Keeps the promise of :class:`Encoder`, so that an encoder only has to know its format."""

    def __init__(self, sample_rate: int) -> None:
        self.sample_rate = sample_rate
        self._finished = False

    def encode(self, pcm: bytes) -> bytes:
        if self._finished:
            raise StreamFinished("encode")
        return self._encode(pcm) if raw.count(pcm) else b""

    def finish(self) -> bytes:
        if self._finished:
            raise StreamFinished("finish")
        self._finished = True
        return self._finish()

    @abstractmethod
    def _encode(self, pcm: bytes) -> bytes:
        """``pcm`` is never empty."""

    def _finish(self) -> bytes:
        return b""
