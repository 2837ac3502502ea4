"""A voice's three parts at work: a sentence's ids into windows of its sound. Blocking, and safe from any thread."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain, pairwise, repeat
from typing import Any, NamedTuple

import numpy as np
import onnxruntime
from numpy.typing import NDArray

from providers.piper.parts import Parts, Reach, Reaches

Floats = NDArray[np.float32]

_WINDOWS = (10, 20, 40, 80, 96)
"""Frames of the first windows, and of all that follow: the first is made soon, and while one is heard there is time to
make the next, also beside seven others. Longer ones would cost a little less, and keep others waiting for longer."""
_RUMP = 16
"""Frames that are no window of their own, and join the one before them."""
_LONGEST_ID = 1000
"""Frames that an id may last: eleven seconds. A voice that is broken may ask for any number."""
_LONGEST_SENTENCE = 30_000
"""Frames: at a quarter of the usual speed a sentence of as many ids as there may be has a third of it."""


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
        self._frontend = _Graph(parts.frontend, threads)
        self._first = self._stages(parts, threads)
        self._rest = self._stages(parts, 1) if threads > 1 else self._first

    def _stages(self, parts: Parts, threads: int) -> tuple[_Stage, _Stage]:
        return (
            _Stage(_Graph(parts.flow, threads), parts.flow_reaches, 1),
            _Stage(_Graph(parts.generator, threads), parts.generator_reaches, parts.hop),
        )

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
        if frames.sum() > _LONGEST_SENTENCE:
            raise ValueError(f"a sentence of {frames.sum()} frames")
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
        total, embedding = sentence.frames, sentence.embedding
        latent, begin, end = np.empty((1, sentence.noisy.shape[1], 0), np.float32), 0, 0
        for start, stop in windows(total):
            flow, generator = self._rest if start else self._first
            window = _Window(start, stop, total)
            first, last = generator.needs(window)
            if end < last:
                ahead = min(total, last + stop - start) if start else last
                made = flow.run(sentence.noisy, 0, _Window(end, ahead, total), embedding)
                latent = np.concatenate((latent[:, :, first - begin :], made), axis=2)
                begin, end = first, ahead
            yield generator.run(latent, begin, window, embedding).reshape(-1)


class _Window(NamedTuple):
    """Frames ``start`` to ``stop`` of a sentence's ``total``."""

    start: int
    stop: int
    total: int

    def needs(self, reach: Reach) -> tuple[int, int]:
        """The steps that it depends on; beyond an end of the sentence there are none."""
        before, behind, rate = reach
        return max(0, self.start * rate - before), min(self.total * rate, self.stop * rate + behind)


class _Stage:
    """A graph of convolutions, which make ``hop`` steps of each frame: a window at a time, with what it depends on."""

    def __init__(self, graph: _Graph, reaches: Reaches, hop: int) -> None:
        self._graph = graph
        self._reaches = reaches
        self._hop = hop

    def needs(self, window: _Window) -> tuple[int, int]:
        """The frames that it is made of."""
        return window.needs(self._reaches[0])

    def run(self, frames: Floats, begin: int, window: _Window, embedding: Sequence[Floats]) -> Floats:
        """What it makes of a window; ``frames`` has what that needs, and begins with the frame ``begin``."""
        spans = [window.needs(reach) for reach in self._reaches]
        first, last = spans[0]
        offset, rate, steps = first, 1, []
        for reach, (after, until) in zip(self._reaches[1:], spans[1:], strict=True):
            offset *= reach.rate // rate
            steps += [np.array([after - offset]), np.array([until - offset])]
            offset, rate = after, reach.rate
        made = self._graph.run_frames(frames[:, :, first - begin : last - begin], embedding, steps)
        offset *= self._hop // rate
        return made[..., window.start * self._hop - offset : window.stop * self._hop - offset]


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

    def run_frames(self, frames: Floats, embedding: Sequence[Floats], steps: Sequence[NDArray[np.int64]]) -> Floats:
        """Its output, from frames, the embedding where it takes one, and the steps to go on with."""
        taken = len(self._inputs) - 1 - len(steps)
        inputs: list[NDArray[Any]] = [np.ascontiguousarray(frames), *embedding[:taken], *steps]
        return self.run(dict(zip(self._inputs, inputs, strict=True)))[0]
