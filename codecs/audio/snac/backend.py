"""The seam between the service and whatever computes: windows of one shape in, samples out."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from audio.snac.layout import FRAME_CODES
from audio.snac.window import Shape


@dataclass(frozen=True, slots=True)
class Batch:
    """Windows of one shape, one a row."""

    shape: Shape
    codes: NDArray[np.uint16]
    """``[rows, shape.frames, 7]``."""
    keys: NDArray[np.uint64]
    """``[rows, 4]``: each stream's noise key of each stage, see ``noise``."""
    starts: NDArray[np.int64]
    """``[rows]``: the frame of its stream that each window begins with."""

    def __len__(self) -> int:
        return len(self.starts)


class Backend(Protocol):
    """Used from worker threads, ``workers`` of them at once."""

    description: str
    """What runs and where, for a person."""
    workers: int
    """How many batches are worth decoding at the same time."""
    sizes: Sequence[int]
    """How many frames a window may go on by: ascending from 1."""
    widths: Sequence[int]
    """Widths of windows that this is prepared for; empty where all are alike."""

    def max_batch(self, shape: Shape) -> int:
        """How many windows of that shape to decode together."""
        ...

    def decode(self, batch: Batch) -> NDArray[np.float32]:
        """Samples in -1 to 1, ``[rows, shape.samples]``, in an array that belongs to the caller. Blocking."""
        ...

    def close(self) -> None:
        """Free the memory. Callable twice."""
        ...


def batch_of(shape: Shape, codes: Sequence[bytes], keys: Sequence[Sequence[int]], starts: Sequence[int]) -> Batch:
    """A batch from packed frames, see ``Frames.packed``."""
    rows = len(codes)
    packed = np.frombuffer(b"".join(codes), dtype="<u2").reshape(rows, shape.frames, FRAME_CODES)
    return Batch(shape, packed, np.array(keys, dtype=np.uint64), np.array(starts, dtype=np.int64))
