"""The ONNX model of some weights: exported once, kept on disk under a name made of the weights' content."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path
from typing import Any

from audio.snac.errors import SnacError
from audio.snac.layout import FRAME_POSITIONS
from audio.snac.onnx_backend import INPUTS
from audio.snac.packages import package
from audio.snac.weights import Weights

_VERSION = 1
"""Of the graph's inputs and outputs; also to be raised where the network changes."""
_OPSET = 17


class ExportFailed(SnacError):
    """The weights could not be turned into an ONNX model."""


def cached(weights: Weights, cache: Path | None) -> Path:
    """Where the exported model is, or will be. ``cache``: a folder; else beside the weights, where those are ours to
    write to, or in the user's cache. Reads the weights."""
    return _folder(weights, cache) / f"snac-{weights.digest()}-v{_VERSION}.onnx"


def _folder(weights: Weights, cache: Path | None) -> Path:
    if cache is not None:
        return cache.expanduser()
    if weights.ours and os.access(weights.folder, os.W_OK):
        return weights.folder
    base = os.environ.get("XDG_CACHE_HOME") or "~/.cache"
    return Path(base).expanduser() / "voxwire"


def export(weights: Weights, target: Path) -> None:
    """Write the model to ``target``, whole or not at all: two processes may do it at once. Takes seconds.

    Raises ``ExportFailed``, ``PackageMissing`` or ``WeightsUnusable``.
    """
    package("onnx", "exporting SNAC's weights")
    from audio.snac import network

    loaded = network.load(weights.folder)
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.NamedTemporaryFile(dir=target.parent, prefix=".snac-", delete=False) as file:
            partial = Path(file.name)
        try:
            _export(loaded, partial)
            partial.replace(target)
        finally:
            partial.unlink(missing_ok=True)
    except Exception as error:
        raise ExportFailed("SNAC's weights could not be exported to ONNX") from error


def _export(loaded: Any, target: Path) -> None:
    from audio.snac.network import FACTORS, torch

    frames, kept = 4, 40
    steps = (frames * FRAME_POSITIONS, *(kept * factor for factor in FACTORS))
    arguments = (
        torch.zeros(2, frames, 7, dtype=torch.int64),
        torch.tensor([3, 3 + kept]),
        *(torch.zeros(2, 1, count) for count in steps),
    )
    axes = {"codes": {0: "rows", 1: "frames"}, "samples": {0: "rows", 1: "samples"}}
    axes |= {name: {0: "rows", 2: f"{name}_steps"} for name in INPUTS[2:]}
    with torch.no_grad():
        torch.onnx.export(
            loaded,
            arguments,
            str(target),
            input_names=list(INPUTS),
            output_names=["samples"],
            dynamic_axes=axes,
            opset_version=_OPSET,
            # The exporter that needs no further package.
            dynamo=False,
        )
