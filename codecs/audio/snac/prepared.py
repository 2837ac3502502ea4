"""Shapes and numbers of rows that a device is prepared for, so that a batch is three copies and one launch.

A CUDA graph replays the same kernels on the same memory. So there are buffers that stay where they are, on the host
(pinned) and on the device, and a graph for each usual shape and each of some numbers of rows; a batch takes the
smallest that holds it, and what the rows beyond it hold is computed and ignored. Rows do not depend on each other.

All that is particular to CUDA is behind ``Device``, so the rest runs, and is tested, without a GPU.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from contextlib import AbstractContextManager
from math import prod
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from audio.snac import window as windows
from audio.snac.backend import Batch
from audio.snac.layout import FRAME_CODES, FRAME_SAMPLES, STRIDES
from audio.snac.window import Shape, final

ROWS = (1, 2, 4, 8, 16, 24, 32, 48, 64)
"""At most a third of a batch's rows is wasted, and a handful in small ones, which are bound by latency anyway."""
_KEYS = len(STRIDES)

Compute = Callable[[Any, Any, Any, Shape], Any]
"""Codes, keys, starts, all on the device, and their shape, to samples: ``Network.window``."""


def usual_shapes(sizes: Sequence[int], widths: Sequence[int], *, exact: bool) -> list[Shape]:
    """The shapes of all windows that streams of more than a few seconds have, large ones first.

    They follow ``Course``: one frame or two at first, then up to twice as many each time. The ends of shorter streams
    are not among them; there are many, and each is rare.
    """
    found: set[Shape] = set()
    heard = [(0, 2, size) for size in sizes[:2]]
    seen = set(heard)
    if not exact:
        found.add(windows.inner(0, FRAME_SAMPLES, 3, widths).shape)
        heard += [(FRAME_SAMPLES, 3, size) for size in sizes[:2]]
    for delivered, frames, size in heard:
        stop = frames + size
        found.add(windows.inner(delivered, final(stop), stop, widths).shape)
        ends = (windows.last(final(stop), stop + more, widths) for more in range(2 * size + 1))
        found.update(window.shape for window in ends if window.start and window.shape.frames in widths)
        if stop <= windows.CONTEXT + 2 * sizes[-1]:
            following = {(final(stop), stop, more) for more in sizes if more <= 2 * size} - seen
            seen |= following
            heard += sorted(following)
    return sorted(found, key=lambda shape: (shape.frames, shape.samples), reverse=True)


class Device(Protocol):
    """Where tensors live, and how work is kept."""

    def host(self, size: int, kind: str) -> Any:
        """A flat tensor that the device can copy from and to by itself. ``kind``: torch's name of a dtype."""
        ...

    def memory(self, size: int, kind: str) -> Any:
        """A flat tensor on the device."""
        ...

    def working(self) -> AbstractContextManager[object]:
        """What is launched inside goes to one stream, in order."""
        ...

    def keep(self, work: Callable[[], None]) -> Callable[[], None]:
        """Run ``work`` and give what repeats it, on the same memory."""
        ...

    def wait(self) -> None:
        """Until everything is done that was launched."""
        ...

    def close(self) -> None: ...


class _Buffer:
    """The same numbers on the host and on the device, cut to any shape that fits."""

    def __init__(self, device: Device, size: int, kind: str) -> None:
        self._host = device.host(size, kind)
        self._memory = device.memory(size, kind)

    def views(self, *shape: int) -> tuple[Any, Any]:
        size = prod(shape)
        return self._host[:size].view(*shape), self._memory[:size].view(*shape)


class Prepared:
    """``shapes``: those to be prepared for, each with all of ``rows``; others are computed as they come."""

    def __init__(
        self, device: Device, compute: Compute, shapes: Sequence[Shape], rows: Sequence[int], most_frames: int
    ) -> None:
        self._device = device
        self._compute = compute
        self._rows = rows
        self._shapes = frozenset(shapes)
        most = rows[-1]
        self._codes = _Buffer(device, most * most_frames * FRAME_CODES, "int16")
        self._streams = _Buffer(device, most * (_KEYS + 1), "int64")
        self._samples = _Buffer(device, most * most_frames * FRAME_SAMPLES, "float32")
        # Large ones first: the memory that they needed is enough for those that follow.
        self._kept = {
            (shape, count): self._keep(shape, count) for count in sorted(rows, reverse=True) for shape in shapes
        }

    def max_batch(self, shape: Shape) -> int:
        """Rare shapes are not worth memory for many."""
        return self._rows[-1] if shape in self._shapes else min(8, self._rows[-1])

    def decode(self, batch: Batch) -> NDArray[np.float32]:
        count = len(batch)
        rows = bucket(count, self._rows) if batch.shape in self._shapes else count
        self._fill(batch, rows)
        host, made = self._samples.views(rows, batch.shape.samples)
        with self._device.working():
            for one in (self._codes.views(rows, batch.shape.frames, FRAME_CODES), self._streams.views(rows, _KEYS + 1)):
                one[1].copy_(one[0], non_blocking=True)
            kept = self._kept.get((batch.shape, rows))
            if kept is None:
                self._run(batch.shape, rows)
            else:
                kept()
            host[:count].copy_(made[:count], non_blocking=True)
            self._device.wait()
        samples: NDArray[np.float32] = host[:count].numpy().copy()
        return samples

    def close(self) -> None:
        self._kept.clear()
        self._device.close()

    def _fill(self, batch: Batch, rows: int) -> None:
        codes = self._codes.views(rows, batch.shape.frames, FRAME_CODES)[0].numpy()
        streams = self._streams.views(rows, _KEYS + 1)[0].numpy()
        codes[: len(batch)] = batch.codes
        # Any codes would do behind the batch, but they must be codes.
        codes[len(batch) :] = 0
        streams[: len(batch), :_KEYS] = batch.keys.view(np.int64)
        streams[: len(batch), _KEYS] = batch.starts

    def _keep(self, shape: Shape, rows: int) -> Callable[[], None]:
        with self._device.working():
            return self._device.keep(lambda: self._run(shape, rows))

    def _run(self, shape: Shape, rows: int) -> None:
        codes = self._codes.views(rows, shape.frames, FRAME_CODES)[1]
        streams = self._streams.views(rows, _KEYS + 1)[1]
        samples = self._samples.views(rows, shape.samples)[1]
        samples.copy_(self._compute(codes.long(), streams[:, :_KEYS], streams[:, _KEYS], shape))


def bucket(count: int, rows: Iterable[int]) -> int:
    """The smallest of ``rows`` that holds ``count``."""
    return min(one for one in rows if one >= count)
