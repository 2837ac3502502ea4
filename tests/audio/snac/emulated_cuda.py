"""CUDA's streams and graphs on the CPU, as far as the decoder uses them.

A graph records every operation of its capture with the tensors that it read and wrote. Replaying it runs them again on
the same memory, so whatever a capture took from anywhere else than its buffers comes out wrong here as it would on a
GPU; what would make the host wait in the middle of a capture is refused.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from types import SimpleNamespace
from typing import Any

import pytest

_WAITS = ("_local_scalar_dense", "nonzero", "is_nonzero", "equal")


class Emulated:
    """What was done, to be asked afterwards."""

    def __init__(self) -> None:
        self.captures = 0
        self.replays = 0
        self.pinned = 0
        self.modes: set[str] = set()
        self.pools: set[object] = set()
        self.waits = 0


def emulate(monkeypatch: pytest.MonkeyPatch) -> Emulated:
    """Put it in the place of ``torch.cuda`` for a test. The device is then called ``cpu``."""
    import torch
    from torch.utils._python_dispatch import TorchDispatchMode

    seen = Emulated()

    class Recorder(TorchDispatchMode):
        def __init__(self, steps: list[Any]) -> None:
            super().__init__()
            self.steps = steps

        def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
            assert func._opname not in _WAITS, f"{func} makes the host wait"
            made = func(*args, **(kwargs or {}))
            self.steps.append((func, args, kwargs or {}, made))
            return made

    class Graph:
        def __init__(self) -> None:
            self.steps: list[Any] = []

        def replay(self) -> None:
            seen.replays += 1
            for func, args, kwargs, made in self.steps:
                again = func(*args, **kwargs)
                # A view and what works in place give their own memory; everything else gave new memory then.
                if isinstance(made, torch.Tensor) and again.data_ptr() != made.data_ptr():
                    made.copy_(again)

    @contextmanager
    def capture(graph: Graph, *, pool: object, stream: object, capture_error_mode: str) -> Iterator[None]:
        seen.captures += 1
        seen.modes.add(capture_error_mode)
        seen.pools.add(pool)
        with Recorder(graph.steps):
            yield

    def wait() -> None:
        seen.waits += 1

    zeros = torch.zeros

    def pinning(*args: Any, pin_memory: bool = False, **kwargs: Any) -> Any:
        seen.pinned += pin_memory
        return zeros(*args, **kwargs)

    stream = SimpleNamespace(synchronize=lambda: None)
    event = SimpleNamespace(record=lambda stream: None, synchronize=wait)
    for name, value in {
        "Stream": lambda device: stream,
        "Event": lambda *, blocking: event,
        "CUDAGraph": Graph,
        "graph": capture,
        "graph_pool_handle": lambda: "pool",
        "device": lambda device: nullcontext(),
        "stream": lambda stream: nullcontext(),
        "synchronize": lambda device: None,
        "empty_cache": lambda: None,
        "get_device_name": lambda device: "an emulated GPU",
    }.items():
        monkeypatch.setattr(torch.cuda, name, value)
    monkeypatch.setattr(torch, "zeros", pinning)
    return seen
