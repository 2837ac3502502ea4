"""What tests of several folders share, made once for all of them."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import settings

from tests.support import llama
from tests.support.heavy import needs
from tests.support.required import required

# An example takes as long as a machine with other work lets it: that is no reason to fail.
settings.register_profile("voxwire", deadline=None)
settings.load_profile("voxwire")


@pytest.fixture(scope="session")
def orpheus_model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A GGUF of Orpheus's shape, whose utterances end by themselves."""
    path = tmp_path_factory.mktemp("orpheus") / "ends.gguf"
    llama.write_model(path)
    return path


@pytest.fixture(scope="session")
def llama_server(orpheus_model: Path) -> Iterator[llama.LlamaServer]:
    """A llama-server with four slots on it."""
    with llama.running(orpheus_model) as server:
        yield server


@pytest.fixture(scope="session")
def snac_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """SNAC's weights, random."""
    required("engines", "snac")
    from tests.support import snac_weights

    return snac_weights.write(tmp_path_factory.mktemp("snac"))


@pytest.fixture(scope="session")
def coqui_models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a ``vits`` and an ``xtts`` of random weights."""
    needs("TTS")
    from tests.support import tiny_coqui

    folder = tmp_path_factory.mktemp("coqui")
    tiny_coqui.write_vits(folder / "vits")
    tiny_coqui.write_xtts(folder / "xtts")
    return folder


@pytest.fixture(scope="session")
def kokoro_model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a ``model.onnx`` that hums and its ``voices.bin``."""
    required("engines", "kokoro_onnx")
    required("engines", "onnx")
    from tests.support import tiny_kokoro

    return tiny_kokoro.write(tmp_path_factory.mktemp("kokoro"))


@pytest.fixture(scope="session")
def qwen_models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a ``custom_voice``, a ``voice_design`` and a ``base`` model of random weights."""
    needs("qwen_tts")
    from tests.support import tiny_qwen

    folder = tmp_path_factory.mktemp("qwen")
    for kind in tiny_qwen.KINDS:
        tiny_qwen.write(folder / kind, kind)
    return folder


@pytest.fixture(scope="session")
def piper_shelf(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where Piper voices that were taken apart are kept, for this run."""
    return tmp_path_factory.mktemp("piper")
