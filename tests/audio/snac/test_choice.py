"""Which backend runs, and why, on machines that have this and lack that."""

from __future__ import annotations

from pathlib import Path

import pytest

from audio.snac import BackendUnavailable, ExportFailed, PackageMissing, WeightsUnusable, choice
from audio.snac.backend import Backend
from audio.snac.choice import Options, choose
from tests.audio.snac.fake_backend import FakeBackend


class Machine:
    """What ``choose`` may find; ``loaded`` says what it took."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, *, cuda: bool, torch: bool = True) -> None:
        self.loaded: list[str] = []
        self.onnx_error: Exception | None = None
        self.cuda_error: Exception | None = None
        monkeypatch.setattr(choice, "cuda", lambda: cuda)
        monkeypatch.setattr(choice, "has", lambda name: torch)
        monkeypatch.setattr(choice, "_onnx", self._onnx)
        monkeypatch.setattr(choice, "_torch", self._torch)

    def _onnx(self, _: Options) -> Backend:
        if self.onnx_error is not None:
            raise self.onnx_error
        self.loaded.append("onnx")
        return FakeBackend()

    def _torch(self, _: Options, device: str) -> Backend:
        if self.cuda_error is not None and device != "cpu":
            raise self.cuda_error
        self.loaded.append(f"torch on {device}")
        return FakeBackend()


@pytest.mark.parametrize(
    ("cuda", "options", "loaded", "reason"),
    [
        (True, Options("w"), "torch on cuda", "there is a CUDA device"),
        (False, Options("w"), "onnx", "there is no CUDA device"),
        (True, Options("w", device="cpu"), "onnx", "the device is configured"),
        (True, Options("w", device="cuda:1"), "torch on cuda:1", "the device is configured"),
        (True, Options("w", backend="onnx"), "onnx", "as configured"),
        (False, Options("w", backend="torch"), "torch on cpu", "as configured"),
        (True, Options("w", backend="torch"), "torch on cuda", "as configured"),
        (True, Options("w", backend="torch", device="cpu"), "torch on cpu", "as configured"),
        (True, Options("model.onnx"), "onnx", "the weights are an exported model"),
    ],
)
def test_the_best_that_there_is_runs(
    monkeypatch: pytest.MonkeyPatch, cuda: bool, options: Options, loaded: str, reason: str
) -> None:
    machine = Machine(monkeypatch, cuda=cuda)
    assert str(choose(options)) == f"a fake ({reason})"
    assert machine.loaded == [loaded]


@pytest.mark.parametrize("error", [PackageMissing("onnx", "exporting", "pip install onnx"), ExportFailed("it cannot")])
def test_torch_on_the_cpu_runs_where_no_model_can_be_exported(
    monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    machine = Machine(monkeypatch, cuda=False)
    machine.onnx_error = error
    assert str(error) in str(choose(Options("w")))
    assert machine.loaded == ["torch on cpu"]


def test_without_torch_the_reason_is_raised(monkeypatch: pytest.MonkeyPatch) -> None:
    machine = Machine(monkeypatch, cuda=False, torch=False)
    machine.onnx_error = PackageMissing("onnx", "exporting", "pip install onnx")
    with pytest.raises(PackageMissing, match="pip install onnx"):
        choose(Options("w"))


def test_the_cpu_stands_in_for_a_gpu_that_cannot_be_used(monkeypatch: pytest.MonkeyPatch) -> None:
    machine = Machine(monkeypatch, cuda=True)
    machine.cuda_error = BackendUnavailable("out of memory")
    assert str(choose(Options("w"))) == "a fake (the CUDA device cannot be used, see the log)"
    assert machine.loaded == ["onnx"]
    with pytest.raises(BackendUnavailable):
        choose(Options("w", device="cuda"))


def test_a_configured_backend_has_no_substitute(monkeypatch: pytest.MonkeyPatch) -> None:
    machine = Machine(monkeypatch, cuda=False)
    machine.onnx_error = ExportFailed("it cannot")
    with pytest.raises(ExportFailed):
        choose(Options("w", backend="onnx"))


def test_onnx_runs_on_the_cpu_alone() -> None:
    with pytest.raises(BackendUnavailable, match="cuda:0"):
        choose(Options("w", backend="onnx", device="cuda:0"))


def test_an_exported_model_that_is_none_is_said_so(tmp_path: Path) -> None:
    (tmp_path / "model.onnx").write_bytes(b"no model")
    for name in ("model.onnx", "absent.onnx"):
        with pytest.raises(WeightsUnusable):
            choose(Options(str(tmp_path / name)))


def test_a_missing_package_is_named_with_the_line_that_installs_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "torch", None)
    with pytest.raises(PackageMissing, match=r"needs the package 'torch'; run: pip install 'voxwire\[orpheus\]'"):
        choose(Options("w", backend="torch"))


def test_without_a_driver_torch_is_not_even_imported(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(choice, "has", lambda name: True)
    monkeypatch.setattr(choice, "_loads", lambda library: False)
    monkeypatch.setattr(choice, "package", lambda *_: pytest.fail("torch was imported"))
    assert not choice.cuda()
