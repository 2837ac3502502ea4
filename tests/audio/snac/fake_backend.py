"""A backend without a model: a sample says of which frame of which stream it is, and a test says when it is made."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from audio.snac import FRAME_SAMPLES, Frame
from audio.snac.backend import Batch
from audio.snac.layout import POSITION_SAMPLES
from audio.snac.window import Shape


class FakeBackend:
    """``hold`` stops the workers before their next batch, until ``release``."""

    description = "a fake"
    widths: Sequence[int] = ()

    def __init__(self, *, workers: int = 1, rows: int = 8, sizes: Sequence[int] = (1, 2, 3, 4, 5, 6, 7, 8)) -> None:
        self.workers = workers
        self.sizes = sizes
        self.batches: list[Batch] = []
        self.threads: set[threading.Thread] = set()
        self.errors: dict[int, BaseException] = {}
        """By the first code of a window's last frame: what its batch raises."""
        self.closed = 0
        self._rows = rows
        self._free = threading.Event()
        self._free.set()
        self._begun = threading.Semaphore(0)

    def hold(self) -> None:
        self._free.clear()

    def release(self) -> None:
        self._free.set()

    async def begun(self) -> None:
        """Until one more batch has reached a worker."""
        await asyncio.to_thread(self._begun.acquire)

    def max_batch(self, shape: Shape) -> int:
        return self._rows

    def decode(self, batch: Batch) -> NDArray[np.float32]:
        self.threads.add(threading.current_thread())
        self._begun.release()
        self._free.wait()
        self.batches.append(batch)
        for code in batch.codes[:, -1, 0]:
            if int(code) in self.errors:
                raise self.errors[int(code)]
        shape = batch.shape
        codes = np.repeat(batch.codes[:, :, 0].astype(np.float32) / 4096, FRAME_SAMPLES, axis=1)
        return codes[:, shape.cut_from * POSITION_SAMPLES : shape.cut_to * POSITION_SAMPLES]

    def close(self) -> None:
        self.closed += 1


def frame(code: int) -> Frame:
    return (code, 0, 0, 0, 0, 0, 0)


def sound(*codes: int) -> NDArray[np.float32]:
    """What a stream of those frames gives."""
    return np.repeat(np.array(codes, dtype=np.float32) / 4096, FRAME_SAMPLES)
