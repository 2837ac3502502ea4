"""SNAC at 24 kHz with seeded random weights of the real structure, and its decode of a whole utterance: the reference.

The reference is the ``snac`` package's own decoder. Only its noise, which it draws anew each time, is given.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from audio.snac import Frame
from audio.snac.noise import STAGE_STEPS, normal, stage_keys

CONFIG = {
    "sampling_rate": 24000,
    "encoder_dim": 48,
    "encoder_rates": [2, 4, 8, 8],
    "decoder_dim": 1024,
    "decoder_rates": [8, 8, 4, 2],
    "attn_window_size": None,
    "codebook_size": 4096,
    "codebook_dim": 8,
    "vq_strides": [4, 2, 1],
    "noise": True,
    "depthwise": True,
}


def write(folder: Path, seed: int = 0) -> Path:
    """Put ``config.json`` and ``pytorch_model.bin`` into ``folder``, 80 MB in half a second. Needs torch and snac."""
    import torch
    from snac import SNAC

    with torch.random.fork_rng():
        torch.manual_seed(seed)
        model = SNAC(**CONFIG)
        for name, parameter in model.named_parameters():
            if name.endswith("alpha"):
                # They are all 1 at first, which would hide what is done with them.
                parameter.data = torch.exp(torch.randn_like(parameter) / 2)
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "config.json").write_text(json.dumps(CONFIG))
    torch.save(model.state_dict(), folder / "pytorch_model.bin")
    return folder


def some_frames(count: int, seed: int = 0) -> list[Frame]:
    codes = np.random.default_rng(seed).integers(0, 4096, (count, 7))
    return [tuple(map(int, row)) for row in codes]


class Reference:
    """``snac``'s model as its ``from_pretrained`` loads it."""

    def __init__(self, folder: Path) -> None:
        from snac import SNAC

        self._model: Any = SNAC.from_pretrained(str(folder)).eval()

    def decode(self, frames: Sequence[Frame], seed: int = 0) -> NDArray[np.float32]:
        """All samples of an utterance, decoded in one go with the noise of a stream with that seed."""
        import torch
        from snac.layers import NoiseBlock

        codes = torch.tensor(frames).unsqueeze(0)
        blocks = [module for module in self._model.modules() if isinstance(module, NoiseBlock)]
        for block, steps, key in zip(blocks, STAGE_STEPS, stage_keys(seed), strict=True):
            values = normal(np.array([key], dtype=np.uint64), np.zeros(1, dtype=np.int64), len(frames) * steps)
            noise = torch.from_numpy(values).unsqueeze(1)
            block.forward = lambda x, noise=noise, block=block: x + noise * block.linear(x)
        with torch.no_grad():
            sound = self._model.decode(
                [codes[:, :, 0], codes[:, :, [1, 4]].flatten(1), codes[:, :, [2, 3, 5, 6]].flatten(1)]
            )
        return sound.flatten().numpy()


def decibels(sound: NDArray[np.float32], reference: NDArray[np.float32]) -> float:
    """The reference's power over that of the difference."""
    error = float(np.mean((sound.astype(np.float64) - reference) ** 2))
    return float(10 * np.log10(np.mean(reference.astype(np.float64) ** 2) / max(error, 1e-30)))
