"""A Piper voice of random weights, made as Piper makes its own: small, with several speakers, and of the larger
("high") kind of generator. It makes sound and no speech.
"""

from __future__ import annotations

import json
import warnings
from pathlib import Path
from typing import Any

SPEAKERS = {"ann": 0, "bob": 1, "eve": 2}
_SYMBOLS = "_^$ !,.?abcdefghijklmnopqrstuvwxyzæðŋɐɑɒɔəɚɛɜɡɪɹɾʃʊʌʒˈˌːθ"


def write(folder: Path, name: str = "en_GB-random-high") -> Path:
    """The voice's ``.onnx`` file, with its configuration beside it. A few seconds of work; needs torch."""
    import torch
    from piper.train.vits.models import SynthesizerTrn

    torch.manual_seed(7)
    with warnings.catch_warnings():
        # torch has a newer way to norm weights, and a newer exporter; Piper's voices were made by these.
        warnings.simplefilter("ignore")
        model = _model(SynthesizerTrn)
        path = folder / f"{name}.onnx"
        torch.onnx.export(
            model,
            (
                torch.randint(0, len(_SYMBOLS), (1, 50)),
                torch.tensor([50]),
                torch.tensor([0.667, 1.0, 0.8]),
                torch.tensor([0]),
            ),
            path,
            opset_version=15,
            dynamo=False,
            input_names=["input", "input_lengths", "scales", "sid"],
            output_names=["output"],
            dynamic_axes={"input": {1: "phonemes"}, "output": {2: "time"}},
        )
    path.with_name(f"{path.name}.json").write_text(json.dumps(configuration()))
    return path


def _model(kind: Any) -> Any:
    import torch

    model = kind(
        n_vocab=len(_SYMBOLS),
        spec_channels=33,
        segment_size=32,
        inter_channels=16,
        hidden_channels=16,
        filter_channels=32,
        n_heads=2,
        n_layers=2,
        kernel_size=3,
        p_dropout=0.1,
        resblock="1",
        resblock_kernel_sizes=(3, 7, 11),
        resblock_dilation_sizes=((1, 3, 5), (1, 3, 5), (1, 3, 5)),
        upsample_rates=(8, 8, 2, 2),
        upsample_initial_channel=32,
        upsample_kernel_sizes=(16, 16, 4, 4),
        n_speakers=len(SPEAKERS),
        gin_channels=8,
    ).eval()
    with torch.no_grad():
        # Layers that begin at zero would do nothing, and a test of them would see nothing.
        for parameter in model.parameters():
            if not parameter.any():
                parameter.normal_(0.0, 0.1)
        model.dec.remove_weight_norm()

    def forward(text: Any, lengths: Any, scales: Any, sid: Any) -> Any:
        return model.infer(
            text, lengths, sid=sid, noise_scale=scales[0], length_scale=scales[1], noise_scale_w=scales[2]
        )[0].unsqueeze(1)

    model.forward = forward
    return model


def configuration(speakers: dict[str, int] = SPEAKERS) -> dict[str, Any]:
    """What lies beside a voice."""
    return {
        "audio": {"sample_rate": 16000, "quality": "high"},
        "espeak": {"voice": "en-gb-x-rp"},
        "language": {"code": "en_GB"},
        "inference": {"noise_scale": 0.667, "length_scale": 1, "noise_w": 0.8},
        "phoneme_type": "espeak",
        "phoneme_id_map": {symbol: [number] for number, symbol in enumerate(_SYMBOLS)},
        "num_symbols": len(_SYMBOLS),
        "num_speakers": len(speakers) or 1,
        "speaker_id_map": speakers,
    }
