"""What an engine keeps of a voice that was made, as bytes: arrays and texts in a safetensors file, which holds no code.

It comes back from where others may have written, so everything in it is checked before it meets a model.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib import import_module
from typing import Any

import numpy as np
from numpy.typing import NDArray

from providers.base import UnknownVoice

LONGEST = 4 * 1024 * 1024
"""Bytes of a prompt at most."""
LONGEST_HEADER = 16 * 1024
LONGEST_TEXT = 16 * 1024
"""Bytes of UTF-8."""
_KINDS: Mapping[str, np.dtype[Any]] = {"F32": np.dtype("<f4"), "I16": np.dtype("<i2"), "U8": np.dtype("u1")}

Array = NDArray[np.float32] | NDArray[np.int16]


@dataclass(frozen=True, slots=True)
class Shape:
    """Each dimension is one number, or from one to another."""

    dims: Sequence[int | tuple[int, int]]
    whole: bool = False
    """int16, otherwise float32."""
    lowest: float = -1e4
    highest: float = 1e4

    def fits(self, array: NDArray[np.generic]) -> bool:
        if array.dtype != (np.int16 if self.whole else np.float32) or array.ndim != len(self.dims):
            return False
        bounds = (dim if isinstance(dim, tuple) else (dim, dim) for dim in self.dims)
        sizes = zip(array.shape, bounds, strict=True)
        if not array.size or not all(lowest <= size <= highest for size, (lowest, highest) in sizes):
            return False
        lowest, highest = (float(value) for value in (array.min(), array.max()))
        # Written so that a NaN is none.
        return lowest >= self.lowest and highest <= self.highest


def pack(arrays: Mapping[str, NDArray[np.generic]], texts: Mapping[str, str]) -> bytes:
    """As bytes that ``unpack`` takes."""
    given: dict[str, NDArray[np.generic]] = {name: np.ascontiguousarray(array) for name, array in arrays.items()}
    for name, text in texts.items():
        given[name] = np.frombuffer(text.encode("utf-8", "replace"), np.uint8)
    packed: bytes = import_module("safetensors.numpy").save(given)
    return packed


class Unpacked:
    """``engine`` is who made it. Raises ``UnknownVoice`` here and where something is asked that is not in it."""

    def __init__(self, engine: str, prompt: bytes) -> None:
        safetensors: Any = import_module("safetensors")
        self._engine = engine
        if len(prompt) > LONGEST or int.from_bytes(prompt[:8], "little") > LONGEST_HEADER:
            raise self._damaged()
        try:
            entries = safetensors.deserialize(prompt)
            self._arrays: dict[str, NDArray[np.generic]] = {
                name: np.frombuffer(entry["data"], _KINDS[entry["dtype"]]).reshape(entry["shape"])
                for name, entry in entries
            }
        except (safetensors.SafetensorError, KeyError, ValueError, TypeError, OverflowError):
            raise self._damaged() from None

    def __contains__(self, name: str) -> bool:
        return name in self._arrays

    def array(self, name: str, shape: Shape) -> NDArray[np.generic]:
        found = self._arrays.get(name)
        if found is None or not shape.fits(found):
            raise self._damaged()
        return found

    def text(self, name: str) -> str:
        found = self._arrays.get(name)
        if found is None or found.dtype != np.uint8 or found.ndim != 1 or found.size > LONGEST_TEXT:
            raise self._damaged()
        try:
            return str(found.tobytes(), "utf-8")
        except UnicodeDecodeError:
            raise self._damaged() from None

    def _damaged(self) -> UnknownVoice:
        return UnknownVoice(f"this voice was not made by engine {self._engine!r} as it runs here, or is damaged")
