"""The exported model: made once, found again, whole or not at all."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from audio.snac import ExportFailed, WeightsUnusable, choice
from audio.snac.backend import batch_of
from audio.snac.choice import Options, choose
from audio.snac.export import cached, export
from audio.snac.noise import stage_keys
from audio.snac.weights import locate
from audio.snac.window import last
from tests.support.snac_weights import Reference, some_frames

pytestmark = [pytest.mark.engines]
ROOT = Path(__file__).parents[3]


def test_it_is_made_once(weights: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    options = Options(str(weights), backend="onnx", cache=tmp_path / "cache", threads=3)
    backend = choose(options).backend
    assert (backend.workers, backend.description[:12]) == (3, "ONNX Runtime")
    backend.close()
    assert [path.suffix for path in (tmp_path / "cache").iterdir()] == [".onnx"]
    monkeypatch.setattr(choice, "export", lambda *_: pytest.fail("exported again"))
    choose(options).backend.close()


def test_a_damaged_one_is_made_again(weights: Path, tmp_path: Path) -> None:
    model = cached(locate(str(weights)), tmp_path)
    model.write_bytes(b"half of it")
    choose(Options(str(weights), backend="onnx", cache=tmp_path)).backend.close()
    assert model.stat().st_size > 40_000_000


def test_what_fails_leaves_nothing_behind(weights: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(_: Any, target: Path) -> None:
        target.write_bytes(b"half of it")
        raise RuntimeError("no such operator")

    monkeypatch.setattr("audio.snac.export._export", broken)
    with pytest.raises(ExportFailed):
        export(locate(str(weights)), tmp_path / "model.onnx")
    assert list(tmp_path.iterdir()) == []


def test_once_exported_it_runs_without_torch(weights: Path, tmp_path: Path, reference: Reference) -> None:
    """In a process of its own, in which torch, snac and onnx cannot be imported."""
    cache = tmp_path / "cache"
    choose(Options(str(weights), backend="onnx", cache=cache)).backend.close()
    (model,) = cache.iterdir()
    program = f"""
import sys
for name in ("torch", "snac", "onnx"):
    sys.modules[name] = None
from pathlib import Path
from audio.snac.choice import Options, choose
choose(Options({str(weights)!r}, backend="onnx", cache=Path({str(cache)!r}))).backend.close()
print(choose(Options({str(model)!r})))
"""
    run = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, cwd=ROOT / "codecs", timeout=60, check=False
    )
    # ONNX Runtime itself complains of devices that a machine has and it cannot name.
    said = [line for line in run.stderr.splitlines() if ":onnxruntime:" not in line]
    assert (run.returncode, said) == (0, [])
    assert "an exported model" in run.stdout


@pytest.mark.parametrize("alpha", [0.0, 1e-5, -0.5])
def test_a_snake_that_cannot_be_scaled_is_left_as_it_is(tmp_path: Path, weights: Path, alpha: float) -> None:
    import torch

    folder = tmp_path / "weights"
    shutil.copytree(weights, folder, ignore=shutil.ignore_patterns("*.onnx"))
    state = torch.load(folder / "pytorch_model.bin")
    for name in [name for name in state if name.endswith("alpha")]:
        state[name][0, 0, 0] = alpha
    torch.save(state, folder / "pytorch_model.bin")
    frames = some_frames(3)
    window = last(0, 3)
    backend = choose(Options(str(folder), backend="torch", device="cpu")).backend
    codes = np.array(frames, dtype="<u2").tobytes()
    sound = backend.decode(batch_of(window.shape, [codes], [stage_keys(0)], [0]))[0]
    assert np.abs(sound - Reference(folder).decode(frames)).max() <= 1e-5


def test_damaged_weights_are_said_to_be_so(tmp_path: Path, weights: Path) -> None:
    shutil.copy(weights / "config.json", tmp_path)
    (tmp_path / "pytorch_model.bin").write_bytes(b"PK")
    with pytest.raises(WeightsUnusable, match="damaged"):
        choose(Options(str(tmp_path), backend="torch", device="cpu"))
