"""Imports that say what is missing, and errors in one family. Whatever is installed here."""

from __future__ import annotations

import importlib
import sys
from types import ModuleType
from typing import Any

import pytest

from providers import torch_runtime
from providers.base import EngineBusy, EngineFailed, EngineUnavailable, MissingDependency, UnknownVoice
from providers.coqui.engine import Coqui
from providers.coqui.settings import CoquiSettings
from providers.kokoro.engine import Kokoro
from providers.kokoro.settings import KokoroSettings
from providers.qwen.engine import Qwen
from providers.qwen.settings import QwenSettings


class Torch(ModuleType):
    class OutOfMemoryError(RuntimeError):
        pass


@pytest.fixture
def torch(monkeypatch: pytest.MonkeyPatch) -> Torch:
    """A torch without anything in it."""
    module = Torch("torch")
    monkeypatch.setattr(torch_runtime, "torch", lambda: module)
    return module


@pytest.fixture
def missing(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing of what the engines need is installed."""
    for name in ("torchaudio", "TTS", "qwen_tts", "kokoro_onnx"):
        monkeypatch.setitem(sys.modules, name, None)


@pytest.mark.usefixtures("missing")
@pytest.mark.parametrize("name", ["coqui", "qwen", "kokoro"])
async def test_an_engine_that_is_not_installed_says_what_installs_it(name: str, tmp_path: Any) -> None:
    (tmp_path / "model.onnx").write_bytes(b"")
    import numpy as np

    np.savez(tmp_path / "voices", af_heart=np.zeros(1))
    files = {"model": tmp_path / "model.onnx", "voices": tmp_path / "voices.npz"}
    engine = {
        "coqui": lambda: Coqui(CoquiSettings(_env_file=None, models=(str(tmp_path),))),
        "qwen": lambda: Qwen(QwenSettings(_env_file=None, base_model=str(tmp_path))),
        "kokoro": lambda: Kokoro(KokoroSettings(_env_file=None, **files)),
    }[name]()
    with pytest.raises(MissingDependency) as refused:
        await engine.start()
    assert refused.value.fix == f"pip install 'voxwire[{name}]'"
    await engine.close()


def test_a_package_that_is_not_for_this_machine_is_unavailable(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(name: str) -> Any:
        raise OSError("/usr/lib/libcudart.so: cannot open shared object file")

    monkeypatch.setattr(torch_runtime, "import_torchaudio", lambda: None)
    monkeypatch.setattr(importlib, "import_module", broken)
    with pytest.raises(EngineUnavailable, match=r"^engine 'x' cannot be imported \(OSError\)$"):
        torch_runtime.load("x", "pip install x", "y")


def test_torchaudio_is_imported_without_an_extension_that_does_not_load(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Any
) -> None:
    package = tmp_path / "torchaudio"
    package.mkdir()
    (package / "__init__.py").write_text("from . import _extension\nfrom .functional import aligned\n")
    (package / "_extension.py").write_text("raise OSError('libcudart.so.13: cannot open shared object file')\n")
    (package / "functional.py").write_text(
        "from torchaudio._extension import _IS_TORCHAUDIO_EXT_AVAILABLE, fail_if_no_align\n"
        "assert not _IS_TORCHAUDIO_EXT_AVAILABLE\n"
        "@fail_if_no_align\ndef aligned(): return 1\n"
    )
    monkeypatch.syspath_prepend(str(tmp_path))
    before = {name: sys.modules.pop(name) for name in list(sys.modules) if name.partition(".")[0] == "torchaudio"}
    try:
        torch_runtime.import_torchaudio()
        assert sys.modules["torchaudio"].aligned() == 1
    finally:
        for name in [name for name in sys.modules if name.partition(".")[0] == "torchaudio"]:
            del sys.modules[name]
        sys.modules.update(before)


@pytest.mark.parametrize(
    ("raised", "told"),
    [
        (Torch.OutOfMemoryError("CUDA out of memory at /home/x"), EngineBusy),
        (RuntimeError("/home/x"), EngineFailed),
        (StopIteration(), EngineFailed),
        (UnknownVoice("who?"), UnknownVoice),
    ],
)
def test_whatever_a_model_raises_is_of_one_family(torch: Torch, raised: Exception, told: type[Exception]) -> None:
    with pytest.raises(told) as error, torch_runtime.contained("x", "speak"):
        raise raised
    assert "/home" not in str(error.value)


def test_memory_is_given_back_where_there_is_no_torch(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(sys.modules, "torch", raising=False)
    cleared: list[int] = []
    torch_runtime.release(lambda: cleared.append(1), lambda: cleared.append(2))
    assert cleared == [1, 2]
