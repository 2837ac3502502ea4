"""torch: on CUDA with prepared graphs, on the CPU as the reference."""

from __future__ import annotations

import gc
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Any, Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray

from audio.snac.backend import Batch
from audio.snac.network import load, torch
from audio.snac.prepared import ROWS, Prepared, usual_shapes
from audio.snac.window import CONTEXT, Shape

Precision: TypeAlias = Literal["float32", "tf32", "float16"]
"""What the convolutions compute in on CUDA. Only with the first are a stream's samples those of a whole decode."""

_WARM_UPS = 2
_CUDA_SIZES = (1, 2, 4, 8, 16, 32)


class TorchBackend:
    """Without CUDA: window by window, nothing prepared."""

    widths: Sequence[int] = ()
    workers = 1

    def __init__(self, folder: Path, *, max_frames: int) -> None:
        self._network: Any = load(folder)
        self.sizes: Sequence[int] = tuple(range(1, max_frames + 1))
        self.description = f"torch {torch.__version__} on the CPU"

    def max_batch(self, shape: Shape) -> int:
        return 1

    def decode(self, batch: Batch) -> NDArray[np.float32]:
        codes = torch.from_numpy(batch.codes.astype(np.int64))
        with torch.inference_mode():
            made = self._network.window(
                codes, torch.from_numpy(batch.keys.view(np.int64)), torch.from_numpy(batch.starts), batch.shape
            )
        samples: NDArray[np.float32] = made.numpy()
        return samples

    def close(self) -> None:
        self._network = None


class CudaBackend:
    """``device``: as torch names it. ``max_batch``: windows decoded together at most. All of it is used from one thread
    at a time, and made on one like that."""

    workers = 1

    def __init__(
        self, folder: Path, *, device: str, precision: Precision, max_frames: int, max_batch: int, exact: bool
    ) -> None:
        self.sizes: Sequence[int] = tuple(size for size in _CUDA_SIZES if size <= max_frames)
        self.widths: Sequence[int] = tuple(size + CONTEXT for size in self.sizes)
        name = torch.cuda.get_device_name(device)
        self.description = f"torch {torch.__version__} on {name}, {precision}, CUDA graphs"
        self._exactly = precision
        network = load(folder).to(device)
        if precision == "float16":
            network = network.half()
        # The weights went over on torch's own stream, which ours does not wait for.
        torch.cuda.synchronize(device)
        rows = [count for count in ROWS if count < max_batch] + [max_batch]
        shapes = usual_shapes(self.sizes, self.widths, exact=exact)
        with torch.cuda.device(device), _convolving(precision):
            self._prepared: Prepared | None = Prepared(
                Cuda(device), network.window, shapes, rows, self.widths[-1] + CONTEXT
            )

    def max_batch(self, shape: Shape) -> int:
        return 0 if self._prepared is None else self._prepared.max_batch(shape)

    def decode(self, batch: Batch) -> NDArray[np.float32]:
        assert self._prepared is not None
        with _convolving(self._exactly):
            return self._prepared.decode(batch)

    def close(self) -> None:
        prepared, self._prepared = self._prepared, None
        if prepared is not None:
            prepared.close()
            gc.collect()
            torch.cuda.empty_cache()


class Cuda:
    """``Device`` on a GPU: one stream of its own, and graphs that share their memory since they never run at once."""

    def __init__(self, device: str) -> None:
        self._device = torch.device(device)
        self._stream = torch.cuda.Stream(self._device)
        self._pool = torch.cuda.graph_pool_handle()
        # Without `blocking` a wait would keep a core busy.
        self._done = torch.cuda.Event(blocking=True)

    def host(self, size: int, kind: str) -> Any:
        return torch.zeros(size, dtype=getattr(torch, kind), pin_memory=True)

    def memory(self, size: int, kind: str) -> Any:
        with torch.cuda.stream(self._stream):
            return torch.zeros(size, dtype=getattr(torch, kind), device=self._device)

    @contextmanager
    def working(self) -> Iterator[None]:
        with torch.inference_mode(), torch.cuda.device(self._device), torch.cuda.stream(self._stream):
            yield

    def keep(self, work: Callable[[], None]) -> Callable[[], None]:
        # Libraries load kernels and choose algorithms in the first runs, which may not happen under capture.
        for _ in range(_WARM_UPS):
            work()
        self._stream.synchronize()
        graph = torch.cuda.CUDAGraph()
        # In the default mode a capture fails where any other thread of the process uses CUDA meanwhile.
        with torch.cuda.graph(graph, pool=self._pool, stream=self._stream, capture_error_mode="thread_local"):
            work()
        replay: Callable[[], None] = graph.replay
        return replay

    def wait(self) -> None:
        self._done.record(self._stream)
        self._done.synchronize()

    def close(self) -> None:
        self._stream.synchronize()


def _convolving(precision: Precision) -> AbstractContextManager[None]:
    """torch lets convolutions use TF32 unless told otherwise. The setting is the process's, and is put back."""
    wanted = "tf32" if precision == "tf32" else "ieee"
    owner, name, value = (
        (torch.backends.cudnn.conv, "fp32_precision", wanted)
        if hasattr(torch.backends.cudnn, "conv")
        else (torch.backends.cudnn, "allow_tf32", wanted == "tf32")
    )
    return _setting(owner, name, value)


@contextmanager
def _setting(owner: Any, name: str, value: object) -> Iterator[None]:
    before = getattr(owner, name)
    setattr(owner, name, value)
    try:
        yield
    finally:
        setattr(owner, name, before)
