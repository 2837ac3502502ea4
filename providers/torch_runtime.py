"""What the engines that stand on torch share: imports that say what is missing, the device, and memory given back.

Nothing of torch is imported before it is asked for. All of it blocks, and runs on a lane's threads.
"""

from __future__ import annotations

import gc
import importlib
import logging
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import ModuleType
from typing import Any, Literal

from providers.base import EngineBusy, EngineFailed, EngineUnavailable, MissingDependency, ProviderError

log = logging.getLogger(__name__)

DtypeName = Literal["auto", "bfloat16", "float16", "float32"]


def load(engine: str, install: str, module: str) -> Any:
    """The module, imported. ``install`` is the line that installs what ``engine`` needs. Raises ``MissingDependency``,
    or ``EngineUnavailable`` where it is installed, but not for this machine."""
    try:
        import_torchaudio()
        return importlib.import_module(module)
    except ImportError as error:
        log.warning("engine %s: %s", engine, error)
        raise MissingDependency(engine, install) from error
    except Exception as error:
        log.warning("engine %s: %s: %s", engine, type(error).__name__, error)
        raise EngineUnavailable(f"engine {engine!r} cannot be imported ({type(error).__name__})") from error


def import_torchaudio() -> None:
    """Import torchaudio, whose only wheels for many platforms are linked to CUDA: beside a torch without it, they
    raise an ``OSError`` for an extension that is optional, and that no engine here uses. It is then left out."""
    try:
        importlib.import_module("torchaudio")
    except (OSError, RuntimeError) as error:
        log.info("torchaudio runs without its extension: %s", error)
        for name in [name for name in sys.modules if name.partition(".")[0] == "torchaudio"]:
            del sys.modules[name]
        sys.modules["torchaudio._extension"] = _without_extension()
        importlib.import_module("torchaudio")


def _without_extension() -> ModuleType:
    """What torchaudio's own module of that name has where its wheel holds no extension."""
    module: Any = ModuleType("torchaudio._extension")
    module._IS_TORCHAUDIO_EXT_AVAILABLE = module._IS_ALIGN_AVAILABLE = False
    module.fail_if_no_align = lambda function: function
    found: ModuleType = module
    return found


def torch() -> Any:
    return importlib.import_module("torch")


def device(engine: str, wanted: str | None) -> str:
    """As torch names it: what is ``wanted``, or the first GPU, or the CPU. Raises ``EngineUnavailable``."""
    if wanted is None:
        return "cuda:0" if torch().cuda.is_available() else "cpu"
    try:
        torch().empty(1, device=wanted)
    except (RuntimeError, AssertionError) as error:
        log.warning("engine %s: %s", engine, error)
        raise EngineUnavailable(f"engine {engine!r} cannot use the device {wanted!r}") from error
    return wanted


def dtype(wanted: DtypeName, device: str) -> Any:
    """``auto``: half the memory on a GPU; a CPU computes in full, which it is made for."""
    name = wanted if wanted != "auto" else "bfloat16" if device.startswith("cuda") else "float32"
    return getattr(torch(), name)


def use_threads(count: int) -> None:
    """How many threads of the CPU one operation takes, for the whole process; 0 leaves it to torch."""
    if count:
        torch().set_num_threads(count)


@contextmanager
def contained(engine: str, what: str) -> Iterator[None]:
    """Whatever a model raises as a ``ProviderError``."""
    try:
        yield
    except ProviderError:
        raise
    except torch().OutOfMemoryError as error:
        log.warning("engine %s: %s", engine, error)
        raise EngineBusy(f"engine {engine!r} has no memory left now", retry_after=1.0) from error
    except Exception as error:
        log.warning("engine %s could not %s", engine, what, exc_info=error)
        raise EngineFailed(f"engine {engine!r} could not {what}") from error


def release(*clear: Callable[[], object]) -> None:
    """Call each, and give the memory of what it forgot back: models are full of cycles."""
    for forget in clear:
        forget()
    gc.collect()
    if "torch" in sys.modules and torch().cuda.is_available():
        torch().cuda.empty_cache()
