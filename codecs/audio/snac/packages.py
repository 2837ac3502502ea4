"""The heavy packages, imported on use: whoever lacks one is told what to install."""

from __future__ import annotations

import importlib
import importlib.util
from typing import Any

from audio.snac.errors import PackageMissing

_MODEL = "pip install 'voxwire[orpheus]'"
"""What reads the weights, and turns them into an ONNX model."""
_FIXES = {
    "torch": _MODEL,
    "snac": _MODEL,
    "onnx": _MODEL,
    "onnxruntime": "pip install onnxruntime",
    "huggingface_hub": "pip install huggingface_hub",
}


def has(name: str) -> bool:
    """Whether the package is installed, without importing it."""
    return importlib.util.find_spec(name) is not None


def package(name: str, purpose: str) -> Any:
    """Import it. ``purpose`` begins the sentence that says what it is missing for. Raises ``PackageMissing``."""
    try:
        return importlib.import_module(name)
    except ImportError as error:
        raise PackageMissing(name, purpose, _FIXES[name]) from error
