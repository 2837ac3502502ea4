"""One encoder of libavcodec: PCM in, packets out, a whole frame at a time."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress

import av
import numpy as np
from av.audio.codeccontext import AudioCodecContext

from audio.pcm import SAMPLE_WIDTH, samples


class Codec:
    """Takes s16le mono samples and keeps back what is less than a frame.

    ``float_samples``: the encoder takes planar floats, as AAC does. ``bit_rate`` in bit/s, where it has one.
    ``silence``: the sample that stands for zero where a whole frame is zeros.
    """

    def __init__(
        self,
        name: str,
        sample_rate: int,
        options: Mapping[str, str],
        *,
        bit_rate: int | None = None,
        float_samples: bool = False,
        silence: bytes | None = None,
    ) -> None:
        self._format = "fltp" if float_samples else "s16"
        self._codec = _open(name, sample_rate, self._format, options, bit_rate)
        self.frame_samples: int = self._codec.frame_size
        self.extradata: bytes = self._codec.extradata or b""
        self._sample_rate = sample_rate
        self._silence = silence and silence * self.frame_samples
        self._pending = bytearray()
        self._warm = False

    @property
    def pending(self) -> int:
        """Samples that wait for the rest of their frame."""
        return len(self._pending) // SAMPLE_WIDTH

    def encode(self, pcm: bytes) -> list[bytes]:
        """The packets that ``pcm`` completes."""
        self._pending += pcm
        size = self.frame_samples * SAMPLE_WIDTH
        whole = len(self._pending) // size * size
        packets: list[bytes] = []
        for at in range(0, whole, size):
            packets += self._frame(bytes(self._pending[at : at + size]))
        del self._pending[:whole]
        return packets

    def flush(self) -> list[bytes]:
        """Encode what is pending as a shorter frame, and give what the encoder itself held back."""
        packets = self._frame(bytes(self._pending)) if self._pending else []
        self._pending.clear()
        return packets + self._packets(None)

    def _frame(self, pcm: bytes) -> list[bytes]:
        frame = av.AudioFrame(format=self._format, layout="mono", samples=len(pcm) // SAMPLE_WIDTH)
        frame.sample_rate = self._sample_rate
        frame.planes[0].update(self._shaped(pcm))
        if self._warm:
            return self._packets(frame)
        self._warm = True
        with _one_core():
            return self._packets(frame)

    def _shaped(self, pcm: bytes) -> bytes:
        if self._silence and not any(pcm):
            return self._silence[: len(pcm)]
        if self._format == "s16":
            return pcm
        return (samples(pcm) * np.float32(1 / 32768)).tobytes()

    def _packets(self, frame: av.AudioFrame | None) -> list[bytes]:
        # FLAC ends with a packet that only carries a checksum beside it.
        return [bytes(packet) for packet in self._codec.encode(frame) if packet.size]


def _open(
    name: str, sample_rate: int, sample_format: str, options: Mapping[str, str], bit_rate: int | None
) -> AudioCodecContext:
    codec = av.CodecContext.create(name, "w")
    assert isinstance(codec, AudioCodecContext)
    codec.sample_rate = sample_rate
    codec.layout = "mono"
    codec.format = sample_format
    if bit_rate is not None:
        codec.bit_rate = bit_rate
    codec.options = dict(options)
    codec.open()
    return codec


@contextmanager
def _one_core() -> Iterator[None]:
    """Let this thread see one core only.

    For its first frame PyAV builds a filter graph that starts a thread for every core it sees, for each stream,
    and has no setting for it. Where the system has no such call, or forbids it, the threads are harmless but many.
    """
    if not hasattr(os, "sched_setaffinity"):
        yield
        return
    cores = os.sched_getaffinity(0)
    with suppress(OSError):
        os.sched_setaffinity(0, {min(cores)})
    try:
        yield
    finally:
        with suppress(OSError):
            os.sched_setaffinity(0, cores)
