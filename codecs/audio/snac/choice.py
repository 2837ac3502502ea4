"""Which backend runs: torch where there is a CUDA device, ONNX Runtime where there is none, torch on the CPU last."""

from __future__ import annotations

import ctypes
import logging
import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal, TypeAlias

from audio.snac.backend import Backend
from audio.snac.errors import BackendUnavailable, PackageMissing, SnacError, WeightsUnusable
from audio.snac.export import ExportFailed, cached, export
from audio.snac.onnx_backend import OnnxBackend
from audio.snac.packages import has, package
from audio.snac.weights import locate

if TYPE_CHECKING:
    from audio.snac.torch_backend import Precision

log = logging.getLogger(__name__)

BackendName: TypeAlias = Literal["auto", "onnx", "torch"]
_DRIVERS = ("libcuda.so.1", "nvcuda.dll", "libamdhip64.so")
_MOST_THREADS = 8


@dataclass(frozen=True, slots=True)
class Options:
    """See ``Decoder``."""

    weights: str
    backend: BackendName = "auto"
    device: str | None = None
    exact: bool = True
    cache: Path | None = None
    threads: int | None = None
    max_batch: int = 64
    max_frames: int = 8
    precision: Precision = "float32"


@dataclass(frozen=True, slots=True)
class Choice:
    """A backend that is loaded, and why it is this one."""

    backend: Backend
    reason: str

    def __str__(self) -> str:
        return f"{self.backend.description} ({self.reason})"


def choose(options: Options) -> Choice:
    """Load the backend that was asked for, or the best that runs here. Blocking, for seconds.

    Raises a ``SnacError``.
    """
    if options.backend == "onnx":
        return Choice(_onnx(options), "as configured")
    if options.backend == "torch":
        return Choice(_torch(options, options.device or ("cuda" if cuda() else "cpu")), "as configured")
    if options.weights.endswith(".onnx"):
        return Choice(_onnx(options), "the weights are an exported model")
    return _best(options)


def _best(options: Options) -> Choice:
    if options.device == "cpu":
        return _on_cpu(options, "the device is configured")
    if options.device is not None:
        return Choice(_torch(options, options.device), "the device is configured")
    if not cuda():
        return _on_cpu(options, "there is no CUDA device")
    try:
        return Choice(_torch(options, "cuda"), "there is a CUDA device")
    except BackendUnavailable as error:
        # Most often its memory is taken, by the language model for one.
        log.warning("SNAC runs on the CPU, since the CUDA device cannot be used", exc_info=error)
        return _on_cpu(options, "the CUDA device cannot be used, see the log")


def _on_cpu(options: Options, reason: str) -> Choice:
    try:
        return Choice(_onnx(options), reason)
    except (ExportFailed, PackageMissing) as error:
        if not (has("torch") and has("snac")):
            raise
        log.warning("SNAC runs on torch, which is slower on a CPU: %s", error, exc_info=error)
        return Choice(_torch(options, "cpu"), f"{reason}; slower than ONNX Runtime would be, but {error}")


def cuda() -> bool:
    """Whether torch could compute on CUDA. It is only imported, which takes seconds, where there is a driver."""
    if not has("torch") or not any(map(_loads, _DRIVERS)):
        return False
    try:
        return bool(package("torch", "CUDA").cuda.is_available())
    except PackageMissing:
        return False


def _loads(library: str) -> bool:
    try:
        ctypes.CDLL(library)
    except OSError:
        return False
    return True


def cores() -> int:
    """The processor cores that this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def _onnx(options: Options) -> Backend:
    if options.device not in (None, "cpu"):
        raise BackendUnavailable(f"the onnx backend runs on the CPU, not on {options.device}; use backend torch there")
    package("onnxruntime", "decoding SNAC on the CPU")
    if options.weights.endswith(".onnx"):
        try:
            return _session(Path(options.weights).expanduser(), options)
        except Exception as error:
            raise WeightsUnusable("the exported SNAC model is not there, or is none") from error
    weights = locate(options.weights)
    model = cached(weights, options.cache)
    if model.is_file():
        try:
            return _session(model, options)
        except Exception:
            log.warning("the exported SNAC model is damaged and will be made again", exc_info=True)
    export(weights, model)
    return _session(model, options)


def _session(model: Path, options: Options) -> Backend:
    threads = options.threads or min(cores(), _MOST_THREADS)
    return OnnxBackend(model, threads=threads, max_frames=options.max_frames)


def _torch(options: Options, device: str) -> Backend:
    package("torch", "decoding SNAC with torch")
    package("snac", "loading SNAC's weights")
    from audio.snac.torch_backend import CudaBackend, TorchBackend

    folder = locate(options.weights).folder
    if device == "cpu":
        return TorchBackend(folder, max_frames=options.max_frames)
    if not cuda():
        raise BackendUnavailable(f"there is no CUDA device for torch here, so SNAC cannot run on {device}")
    try:
        return CudaBackend(
            folder,
            device=device,
            precision=options.precision,
            max_frames=options.max_frames,
            max_batch=options.max_batch,
            exact=options.exact,
        )
    except SnacError:
        raise
    except Exception as error:
        raise BackendUnavailable(f"SNAC cannot be set up on {device}") from error
