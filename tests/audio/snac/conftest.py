"""Weights for the tests that need torch."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support import snac_weights
from tests.support.required import required
from tests.support.snac_weights import Reference


@pytest.fixture(scope="session")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with random weights of the real structure."""
    for package in ("snac", "onnx", "onnxruntime"):
        required("engines", package)
    # Several threads gain little here, and on a busy machine they wait for each other.
    required("engines", "torch").set_num_threads(1)
    return snac_weights.write(tmp_path_factory.mktemp("snac"))


@pytest.fixture(scope="session")
def reference(weights: Path) -> Reference:
    return Reference(weights)
