"""A voice's three parts at work: a sentence's ids into windows of its sound. Blocking, and safe from any thread."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain, pairwise, repeat
from typing import Any

import numpy as np
import onnxruntime
from numpy.typing import NDArray

from providers.piper.parts import Parts

Floats = NDArray[np.float32]

_WINDOWS = (16, 32, 64, 96)
"""Frames of the first windows, and of all that follow: the first is made soon, and while one is heard there is time to
make the next, also beside others. Longer ones would cost a tenth less, and keep others waiting for longer."""
_RUMP = 16
"""Frames that are no window of their own, and join the one before them."""
_LONGEST_ID = 1000
"""Frames that an id may last: eleven seconds. A voice that is broken may ask for any number."""


@dataclass(frozen=True, slots=True)
class Scales:
    """How a voice speaks, as its file says it."""

    noise: float
    length: float
    length_noise: float


@dataclass(frozen=True, slots=True)
class Sentence:
    """What was decided for a sentence."""

    lengths: NDArray[np.int64]
    """Frames of each id."""
    noisy: Floats
    """Of shape (1, channels, frames): what the flow makes the latent of."""
    embedding: Sequence[Floats]
    """Of its speaker, where the voice has several."""

    @property
    def frames(self) -> int:
        return int(self.noisy.shape[2])


def windows(total: int) -> list[tuple[int, int]]:
    """Where the windows of ``total`` frames begin and end."""
    cuts = [0]
    sizes = chain(_WINDOWS, repeat(_WINDOWS[-1]))
    while cuts[-1] < total:
        stop = cuts[-1] + next(sizes)
        cuts.append(total if total - stop < _RUMP else stop)
    return list(pairwise(cuts))


class Model:
    """``threads`` make a sentence's first window, and one each of the others: two make a window sooner, and take a
    fifth more of the processor. onnxruntime keeps the most memory that was ever needed at once, which is bounded here:
    by the length of a window, by that of a sentence, and by how many threads call.
    """

    def __init__(self, parts: Parts, threads: int) -> None:
        self.hop = parts.hop
        self._generator_reach = parts.generator_reach
        self._flow_reach = parts.flow_reach
        self._frontend = _Graph(parts.frontend, threads)
        self._first = (_Graph(parts.flow, threads), _Graph(parts.generator, threads))
        self._rest = (_Graph(parts.flow, 1), _Graph(parts.generator, 1)) if threads > 1 else self._first

    def sentence(
        self, ids: Sequence[int], scales: Scales, speaker: int | None, random: np.random.Generator
    ) -> Sentence:
        """The part that sees the whole sentence, and all of its noise."""
        mean, spread, lengths, *embedding = self._frontend.run(
            {
                "input": np.array([ids], np.int64),
                "input_lengths": np.array([len(ids)], np.int64),
                "scales": np.array([scales.noise, scales.length, scales.length_noise], np.float32),
                "sid": np.array([speaker or 0], np.int64),
                "duration_noise": random.standard_normal((1, 2, len(ids)), np.float32),
            }
        )
        frames = np.clip(np.nan_to_num(lengths.reshape(-1)), 0, _LONGEST_ID).astype(np.int64)
        noisy = np.repeat(np.exp(spread), frames, axis=2)
        # Frame after frame, so that what two sentences have in common at their beginning gets the same noise.
        noisy *= random.standard_normal((noisy.shape[2], noisy.shape[1]), np.float32).T
        noisy *= np.float32(scales.noise)
        noisy += np.repeat(mean, frames, axis=2)
        return Sentence(frames, noisy, embedding)

    def sound(self, sentence: Sentence) -> Iterator[Floats]:
        """Samples from -1 to 1, one window after the other. Joined they are what one run over all the frames would
        make, but for the last bits: the order in which a product is summed depends on its size.
        """
        before, behind = self._generator_reach
        latent, begin, end = np.empty((1, sentence.noisy.shape[1], 0), np.float32), 0, 0
        for start, stop in windows(sentence.frames):
            flow, generator = self._rest if start else self._first
            first, last = max(0, start - before), min(sentence.frames, stop + behind)
            if end < last:
                ahead = min(sentence.frames, last + stop - start) if start else last
                latent = np.concatenate(
                    (latent[:, :, first - begin :], self._flowed(flow, sentence, end, ahead)), axis=2
                )
                begin, end = first, ahead
            sound = generator.run_frames(latent[:, :, first - begin : last - begin], sentence.embedding)
            yield sound.reshape(-1)[(start - first) * self.hop : (stop - first) * self.hop]

    def _flowed(self, flow: _Graph, sentence: Sentence, start: int, stop: int) -> Floats:
        before, behind = self._flow_reach
        first, last = max(0, start - before), min(sentence.frames, stop + behind)
        latent = flow.run_frames(sentence.noisy[:, :, first:last], sentence.embedding)
        return latent[:, :, start - first : stop - first]


class _Graph:
    def __init__(self, graph: bytes | str, threads: int) -> None:
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads
        options.inter_op_num_threads = 1
        options.log_severity_level = 3
        # A thread that spins for work takes a core from the runs beside it; and work in small blocks, of which more
        # remain for whoever has time, does not wait for a thread that was sent away.
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        options.add_session_config_entry("session.dynamic_block_base", "4")
        self._session = onnxruntime.InferenceSession(graph, options, providers=["CPUExecutionProvider"])
        self._inputs = [value.name for value in self._session.get_inputs()]

    def run(self, given: Mapping[str, NDArray[Any]]) -> list[Floats]:
        """All its outputs, from what it takes of ``given``."""
        outputs: list[Floats] = self._session.run(None, {name: given[name] for name in self._inputs})
        return outputs

    def run_frames(self, frames: Floats, embedding: Sequence[Floats]) -> Floats:
        """Its output, from frames and, where it takes one, the embedding."""
        inputs = (np.ascontiguousarray(frames), *embedding)
        return self.run(dict(zip(self._inputs, inputs, strict=False)))[0]
