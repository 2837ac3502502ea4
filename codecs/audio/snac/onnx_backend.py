"""ONNX Runtime on the CPU: the faster of the two there, and without torch once the model is exported."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from audio.snac.backend import Batch
from audio.snac.layout import FRAME_POSITIONS, STRIDES
from audio.snac.noise import normal
from audio.snac.packages import package
from audio.snac.window import Shape

INPUTS = ("codes", "cut", "noise0", "noise1", "noise2", "noise3")


class OnnxBackend:
    """``threads``: windows decoded at once, each on one processor thread: two windows side by side are done sooner
    than one after the other on two threads each, and together they cost less.

    Raises ``PackageMissing``, or what ONNX Runtime raises for a file that is no model.
    """

    widths: Sequence[int] = ()

    def __init__(self, model: Path, *, threads: int, max_frames: int) -> None:
        ort = package("onnxruntime", "decoding SNAC on the CPU")
        options = ort.SessionOptions()
        options.intra_op_num_threads = options.inter_op_num_threads = 1
        self._session: Any = ort.InferenceSession(str(model), options, providers=["CPUExecutionProvider"])
        self.workers = threads
        self.sizes: Sequence[int] = tuple(range(1, max_frames + 1))
        self.description = f"ONNX Runtime {ort.__version__} on the CPU, threads: {threads}"

    def max_batch(self, shape: Shape) -> int:
        # Measured: on a CPU two rows take twice as long as one.
        return 1

    def decode(self, batch: Batch) -> NDArray[np.float32]:
        shape = batch.shape
        cut = np.array([shape.cut_from, shape.cut_to], dtype=np.int64)
        values = (batch.codes.astype(np.int64), cut, *_noise(batch))
        made: NDArray[np.float32] = self._session.run(None, dict(zip(INPUTS, values, strict=True)))[0]
        return made

    def close(self) -> None:
        self._session = None


def _noise(batch: Batch) -> list[NDArray[np.float32]]:
    """For the first stage all of the window, for the others what is left behind the cut."""
    shape = batch.shape
    first = batch.starts * FRAME_POSITIONS
    made = [normal(batch.keys[:, 0], first, shape.frames * FRAME_POSITIONS)]
    factor = 1
    for stage, stride in enumerate(STRIDES[1:], 1):
        factor *= stride
        start = (first + shape.cut_from) * factor
        made.append(normal(batch.keys[:, stage], start, (shape.cut_to - shape.cut_from) * factor))
    return [one[:, None, :] for one in made]
