"""One stream's resampler: libswresample, with a filter long enough to keep aliases out."""

from __future__ import annotations

from fractions import Fraction

import av
from av.filter import Graph

from audio.encoder import StreamFinished
from audio.pcm import SAMPLE_WIDTH, count

_FILTER = 96
"""Taps at the lower of the two rates. The default of 32 lets 4.1 kHz through to 8 kHz sound at -15 dB."""
_CUTOFF = 0.94
"""The edge of the pass band, as a part of the lower rate's half."""


class Resampler:
    """``source_rate`` to ``target_rate``, both Hz, stateful: where the input is cut makes no difference.

    In all it gives exactly ``round(n * target_rate / source_rate)`` samples for ``n``, in time with the input.
    It holds back half a filter: 6.4 ms at most from 24 to 8 kHz, 2 ms upwards. Equal rates cost nothing.
    """

    def __init__(self, source_rate: int, target_rate: int) -> None:
        self.source_rate = source_rate
        self.target_rate = target_rate
        self._taken = 0
        self._given = 0
        self._finished = False
        self._chain = None if source_rate == target_rate else _Chain(source_rate, target_rate)

    def process(self, pcm: bytes) -> bytes:
        """Take whole s16le mono samples. Raises ``ValueError`` for half a sample, ``StreamFinished`` after
        ``finish``."""
        if self._finished:
            raise StreamFinished("process")
        samples = count(pcm)
        if self._chain is None or not samples:
            return pcm
        self._taken += samples
        made = self._chain.run(pcm)
        self._given += len(made) // SAMPLE_WIDTH
        return made

    def finish(self) -> bytes:
        """What was held back, cut to the exact length."""
        if self._finished:
            raise StreamFinished("finish")
        self._finished = True
        chain, self._chain = self._chain, None
        if chain is None or not self._taken:
            return b""
        due = round(self._taken * self.target_rate / self.source_rate) - self._given
        # Silence pushes the last samples through: swr's own flush is off by some samples, and before it gives
        # the first one it wants a whole filter of input more than the filter itself.
        silence = 2 * _FILTER * -(-max(self.source_rate, self.target_rate) // self.target_rate)
        return chain.drain(bytes(silence * SAMPLE_WIDTH))[: due * SAMPLE_WIDTH]


class _Chain:
    """A filter graph of one resampler. PyAV's ``AudioResampler`` builds the same, with a thread for each core."""

    def __init__(self, source_rate: int, target_rate: int) -> None:
        self._rate = source_rate
        graph = Graph()
        graph.threads = 1
        self._input = graph.add_abuffer(
            sample_rate=source_rate, format="s16", layout="mono", time_base=Fraction(1, source_rate)
        )
        resample = graph.add("aresample", f"{target_rate}:filter_size={_FILTER}:cutoff={_CUTOFF}")
        shape = graph.add("aformat", "sample_fmts=s16")
        self._output = graph.add("abuffersink")
        self._input.link_to(resample)
        resample.link_to(shape)
        shape.link_to(self._output)
        graph.configure()
        self._graph = graph

    def run(self, pcm: bytes) -> bytes:
        """What ``pcm`` gives: the filter answers each frame with one, or with none. Asking for more costs 5 µs."""
        self._push(pcm)
        return self._pull() or b""

    def drain(self, pcm: bytes) -> bytes:
        """All that there is behind ``pcm``."""
        self._push(pcm)
        return b"".join(iter(self._pull, None))

    def _push(self, pcm: bytes) -> None:
        frame = av.AudioFrame(format="s16", layout="mono", samples=len(pcm) // SAMPLE_WIDTH)
        frame.sample_rate = self._rate
        frame.planes[0].update(pcm)
        self._input.push(frame)

    def _pull(self) -> bytes | None:
        try:
            made = self._output.pull()
        except BlockingIOError:
            return None
        assert isinstance(made, av.AudioFrame)
        return bytes(made.planes[0])[: made.samples * SAMPLE_WIDTH]
