"""Coqui models of random weights, of the real structure: they make sound and no speech.

A VITS of 1 MB with three speakers takes a second to make, an XTTS half a second; of the latter 90 MB are fixed, the
part that makes sound and the one that listens to a clip.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

SPEAKERS = ("ada", "ben", "eva")
XTTS_SPEAKERS = ("Ada Lovelace", "Ben Bitdiddle")
LATENTS = 32
CHANNELS = 32
_STOP = 65


def write_vits(folder: Path, *, speakers: tuple[str, ...] = SPEAKERS, seed: int = 0) -> Path:
    """A folder with ``config.json`` and ``model.pth``."""
    import torch
    from TTS.tts.configs.vits_config import VitsArgs, VitsConfig
    from TTS.tts.models.vits import Vits

    folder.mkdir(parents=True, exist_ok=True)
    torch.manual_seed(seed)
    arguments = VitsArgs(
        hidden_channels=16,
        hidden_channels_ffn_text_encoder=32,
        num_layers_text_encoder=1,
        num_layers_posterior_encoder=1,
        num_layers_flow=2,
        upsample_initial_channel_decoder=64,
        upsample_rates_decoder=[8, 8, 2, 2],
        resblock_kernel_sizes_decoder=[3],
        resblock_dilation_sizes_decoder=[[1, 3, 5]],
        out_channels=65,
        use_sdp=False,
        init_discriminator=False,
        use_speaker_embedding=bool(speakers),
        speaker_embedding_channels=8,
    )
    config: Any = VitsConfig(
        model_args=arguments,
        text_cleaner="english_cleaners",
        use_phonemes=False,
        add_blank=False,
        phoneme_language="en-gb",
        speakers=list(speakers),
    )
    config.audio.sample_rate = 16000
    model: Any = Vits(config)
    with torch.no_grad():
        # Every character lasts for five frames, 80 ms.
        model.duration_predictor.proj.weight.zero_()
        model.duration_predictor.proj.bias.fill_(1.6)
        _louder(model.waveform_decoder, 3.0)
    config.save_json(str(folder / "config.json"))
    torch.save({"model": model.state_dict()}, folder / "model.pth")
    return folder


def write_xtts(folder: Path, *, codes: int = 25, layers: int = 2, seed: int = 0) -> Path:
    """A folder with ``config.json``, ``model.pth``, ``vocab.json`` and ``speakers_xtts.pth``. It says ``codes`` of
    46 ms, whatever the text."""
    import torch
    from TTS.tts.configs.xtts_config import XttsArgs, XttsConfig
    from TTS.tts.layers.xtts.tokenizer import VoiceBpeTokenizer
    from TTS.tts.models.xtts import Xtts

    folder.mkdir(parents=True, exist_ok=True)
    _write_vocabulary(folder / "vocab.json")
    torch.manual_seed(seed)
    arguments = XttsArgs(
        gpt_layers=layers,
        gpt_n_model_channels=CHANNELS,
        gpt_n_heads=2,
        gpt_num_audio_tokens=66,
        gpt_start_audio_token=64,
        gpt_stop_audio_token=_STOP,
        gpt_use_perceiver_resampler=True,
        gpt_number_text_tokens=80,
        gpt_start_text_token=1,
        gpt_stop_text_token=0,
        gpt_max_audio_tokens=codes,
        decoder_input_dim=CHANNELS,
    )
    config: Any = XttsConfig(model_args=arguments)
    config.save_json(str(folder / "config.json"))
    model: Any = Xtts(config)
    model.tokenizer = VoiceBpeTokenizer(vocab_file=str(folder / "vocab.json"))
    model.init_models()
    with torch.no_grad():
        _louder(model.hifigan_decoder.waveform_decoder, 30.0)
        model.gpt.mel_head.bias[_STOP] = -1e4
    torch.save({"model": model.state_dict()}, folder / "model.pth")
    voices = {
        name: {
            "gpt_cond_latent": torch.randn(1, LATENTS, CHANNELS),
            "speaker_embedding": torch.nn.functional.normalize(torch.randn(1, 512, 1), dim=1),
        }
        for name in XTTS_SPEAKERS
    }
    torch.save(voices, folder / "speakers_xtts.pth")
    return folder


def _louder(generator: Any, factor: float) -> None:
    """About as loud as speech, which random weights are not."""
    for name, parameter in generator.named_parameters():
        # Of a weight that is a length and a direction, the length.
        if name.startswith("conv_post") and not name.endswith("original1"):
            parameter.mul_(factor)


def _write_vocabulary(path: Path) -> None:
    """Letters, and the tokens around them."""
    words = [
        "[STOP]",
        "[START]",
        "[UNK]",
        "[SPACE]",
        "[en]",
        "[de]",
        "[zh-cn]",
        *"abcdefghijklmnopqrstuvwxyz.,!?'-:;0123456789",
    ]
    added = [
        {
            "id": number,
            "content": word,
            "special": True,
            "single_word": False,
            "lstrip": False,
            "rstrip": False,
            "normalized": False,
        }
        for number, word in enumerate(words)
        if word.startswith("[")
    ]
    path.write_text(
        json.dumps(
            {
                "version": "1.0",
                "truncation": None,
                "padding": None,
                "added_tokens": added,
                "normalizer": None,
                "pre_tokenizer": {"type": "Whitespace"},
                "post_processor": None,
                "decoder": None,
                "model": {
                    "type": "BPE",
                    "dropout": None,
                    "unk_token": "[UNK]",
                    "continuing_subword_prefix": None,
                    "end_of_word_suffix": None,
                    "fuse_unk": False,
                    "vocab": {word: number for number, word in enumerate(words)},
                    "merges": [],
                },
            }
        )
    )
