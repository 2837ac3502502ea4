"""Where the weights are: a folder, a repository on the Hugging Face hub, or a model that was exported before."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from audio.snac.errors import WeightsMissing, WeightsUnusable
from audio.snac.layout import CODEBOOK_SIZE, LATENT_SAMPLES, SAMPLE_RATE, STRIDES
from audio.snac.packages import package

HUB_ID = "hubertsiuzdak/snac_24khz"
CONFIG = "config.json"
STATE = "pytorch_model.bin"
_EXPECTED = {
    "sampling_rate": SAMPLE_RATE,
    "decoder_rates": list(STRIDES),
    "codebook_size": CODEBOOK_SIZE,
    "vq_strides": [4, 2, 1],
    "attn_window_size": None,
    "noise": True,
    "depthwise": True,
}
_PIECE = 1 << 20


@dataclass(frozen=True, slots=True)
class Weights:
    """A folder with the model's two files. ``ours``: it may be written to by this program (a hub's cache may not)."""

    folder: Path
    ours: bool

    def digest(self) -> str:
        """A name for the content of both files. Reads 80 MB."""
        state = hashlib.sha256()
        for name in (CONFIG, STATE):
            with (self.folder / name).open("rb") as file:
                while piece := file.read(_PIECE):
                    state.update(piece)
        return state.hexdigest()[:16]


def locate(weights: str) -> Weights:
    """Find a folder's files, or fetch a hub id's (80 MB, once). Blocking.

    Raises ``WeightsMissing``, ``WeightsUnusable`` or ``PackageMissing``.
    """
    path = Path(weights).expanduser()
    if path.is_dir():
        found = Weights(path, ours=True)
        absent = [name for name in (CONFIG, STATE) if not (path / name).is_file()]
        if absent:
            raise WeightsMissing(f"the folder of SNAC's weights has no {' and no '.join(absent)}")
    elif _is_hub_id(weights):
        found = Weights(_fetch(weights), ours=False)
    else:
        raise WeightsMissing(
            f"there is no such folder of SNAC's weights; name one with {CONFIG} and {STATE}, or the hub id {HUB_ID}"
        )
    _check(found.folder / CONFIG)
    return found


def _is_hub_id(weights: str) -> bool:
    owner, _, name = weights.partition("/")
    return bool(owner and name) and "/" not in name and not weights.startswith((".", "~"))


def _fetch(repository: str) -> Path:
    """The snapshot that has both files: from the hub's cache on this machine, or else from the hub."""
    hub = package("huggingface_hub", "fetching SNAC's weights from a hub")
    for local_only in (True, False):
        try:
            files = [
                Path(hub.hf_hub_download(repository, name, local_files_only=local_only)) for name in (STATE, CONFIG)
            ]
        except Exception as error:  # noqa: BLE001 - its errors come from three libraries; any means: not there
            failure = error
        else:
            return files[0].parent
    raise WeightsMissing(
        f"SNAC's weights are neither in the hub's cache on this machine nor could they be fetched as {repository!r}; "
        f"where the hub cannot be reached, name a folder with {CONFIG} and {STATE}"
    ) from failure


def _check(path: Path) -> None:
    """Everything in ``layout`` relies on these."""
    try:
        config: dict[str, Any] = json.loads(path.read_bytes())
        rates = [int(rate) for rate in config["encoder_rates"]]
    except (ValueError, KeyError, TypeError) as error:
        raise WeightsUnusable(f"the {CONFIG} of SNAC's weights cannot be read") from error
    wrong = [name for name, value in _EXPECTED.items() if config.get(name) != value]
    hop = 1
    for rate in rates:
        hop *= rate
    if wrong or hop != LATENT_SAMPLES:
        raise WeightsUnusable(
            f"these are not the weights of SNAC at 24 kHz ({', '.join(wrong or ['encoder_rates'])} differ); "
            f"Orpheus speaks through {HUB_ID}"
        )
