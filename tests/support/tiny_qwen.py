"""Qwen3-TTS models of random weights: the real structure, 1.3 MB each, made in a tenth of a second. They make sound and
no speech. Nothing of the decoder is weak, as it would be where training begins: what a window leaves out is heard.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, Literal, get_args

Kind = Literal["custom_voice", "voice_design", "base"]
KINDS: tuple[Kind, ...] = get_args(Kind)

SPEAKERS = {"vivian": 70, "ryan": 71, "eric": 72}
LANGUAGES = {"english": 80, "chinese": 81, "german": 82, "sichuan_dialect": 83}
CODES = 64
FRAME = 1920
"""Samples of a frame, 80 ms."""
GROUPS = 4
_SPECIAL = ("<|im_start|>", "<|im_end|>", "<tts_pad>", "<tts_text_bos>", "<tts_text_eod>")


def write(folder: Path, kind: Kind = "custom_voice", *, size: str = "1b7", seed: int = 0) -> Path:
    """A folder as ``from_pretrained`` takes it. Needs torch and qwen-tts."""
    import torch
    from qwen_tts.core.models import Qwen3TTSConfig, Qwen3TTSForConditionalGeneration

    folder.mkdir(parents=True, exist_ok=True)
    words = _write_tokenizer(folder)
    torch.manual_seed(seed)
    config: Any = Qwen3TTSConfig(
        talker_config=_talker(len(words)),
        speaker_encoder_config=_speaker_encoder(),
        tokenizer_type="qwen3_tts_tokenizer_12hz",
        tts_model_size=size,
        tts_model_type=kind,
        **{
            f"{name}_token_id": words[token]
            for name, token in zip(("im_start", "im_end", "tts_pad", "tts_bos", "tts_eos"), _SPECIAL, strict=True)
        },
    )
    model: Any = Qwen3TTSForConditionalGeneration(config)
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if "embedding" in name:
                parameter.normal_(0.0, 1.0)
            elif name == "talker.codec_head.weight":
                # The end is as likely as any code: an utterance is of a few seconds.
                parameter.normal_(0.0, 0.2)
    model.save_pretrained(folder)
    path = folder / "config.json"
    saved = json.loads(path.read_text())
    # `save_pretrained` writes more than the class of this part takes.
    saved["speaker_encoder_config"] = _speaker_encoder()
    path.write_text(json.dumps(saved))
    (folder / "generation_config.json").write_text(json.dumps({"do_sample": True, "temperature": 0.9, "top_k": 50}))
    (folder / "preprocessor_config.json").write_text(json.dumps({"processor_class": "Qwen3TTSProcessor"}))
    _write_speech_tokenizer(folder / "speech_tokenizer", seed)
    return folder


def _talker(words: int) -> dict[str, Any]:
    sizes = {"hidden_size": 32, "intermediate_size": 32, "num_attention_heads": 2, "num_key_value_heads": 1}
    return {
        **sizes,
        # `generate` forbids the last 1024 ids, but for the end.
        "vocab_size": CODES + 1024,
        "num_hidden_layers": 2,
        "num_code_groups": GROUPS,
        "text_hidden_size": 32,
        "text_vocab_size": words,
        "head_dim": 16,
        "rope_scaling": {"rope_type": "default", "mrope_section": [4, 2, 2], "interleaved": True},
        "codec_eos_token_id": CODES,
        "codec_think_id": CODES + 1,
        "codec_nothink_id": CODES + 2,
        "codec_think_bos_id": CODES + 3,
        "codec_think_eos_id": CODES + 4,
        "codec_pad_id": CODES + 5,
        "codec_bos_id": CODES + 40,
        "spk_id": SPEAKERS,
        "spk_is_dialect": {name: "sichuan_dialect" if name == "eric" else False for name in SPEAKERS},
        "codec_language_id": LANGUAGES,
        "code_predictor_config": {
            **sizes,
            "vocab_size": CODES,
            "num_hidden_layers": 1,
            "head_dim": 16,
            "num_code_groups": GROUPS,
        },
    }


def _speaker_encoder() -> dict[str, Any]:
    return {
        "enc_dim": 32,
        "enc_channels": [16, 16, 16, 16, 48],
        "enc_attention_channels": 8,
        "enc_res2net_scale": 2,
        "enc_se_channels": 8,
    }


def _write_tokenizer(folder: Path) -> dict[str, int]:
    """Bytes, and the one word that stands around every text; its ids come after."""
    from transformers.models.gpt2.tokenization_gpt2 import bytes_to_unicode

    tokens = list(bytes_to_unicode().values())
    role = "assistant"
    merges = [f"{role[:end]} {role[end]}" for end in range(1, len(role))]
    tokens += [role[: end + 1] for end in range(1, len(role))]
    words = {token: number for number, token in enumerate(tokens)}
    (folder / "vocab.json").write_text(json.dumps(words))
    (folder / "merges.txt").write_text("#version: 0.2\n" + "\n".join(merges) + "\n")
    special = {token: len(words) + number for number, token in enumerate(_SPECIAL)}
    added = {str(number): {"content": token, "special": True} for token, number in special.items()}
    (folder / "tokenizer_config.json").write_text(
        json.dumps({"tokenizer_class": "Qwen2Tokenizer", "added_tokens_decoder": added, "pad_token": "<|im_end|>"})
    )
    return words | special


def _write_speech_tokenizer(folder: Path, seed: int) -> None:
    import torch
    from qwen_tts.core import Qwen3TTSTokenizerV2Config, Qwen3TTSTokenizerV2Model
    from transformers import EncodecFeatureExtractor

    torch.manual_seed(seed + 1)
    config: Any = Qwen3TTSTokenizerV2Config(
        encoder_config={
            "hidden_size": 16,
            "num_filters": 2,
            "num_hidden_layers": 1,
            "num_attention_heads": 2,
            "num_key_value_heads": 2,
            "head_dim": 8,
            "intermediate_size": 16,
            "codebook_size": CODES,
            "codebook_dim": 8,
            "vector_quantization_hidden_dimension": 8,
            "num_quantizers": GROUPS,
            "num_semantic_quantizers": 1,
            "upsample_groups": 16,
        },
        decoder_config={
            "codebook_size": CODES,
            "hidden_size": 16,
            "latent_dim": 16,
            "codebook_dim": 16,
            "num_attention_heads": 2,
            "num_key_value_heads": 2,
            "head_dim": 8,
            "intermediate_size": 16,
            "num_hidden_layers": 2,
            "num_quantizers": GROUPS,
            "decoder_dim": 32,
        },
        encoder_valid_num_quantizers=GROUPS,
    )
    model: Any = Qwen3TTSTokenizerV2Model(config)
    with torch.no_grad():
        for name, parameter in model.decoder.named_parameters():
            if "layer_scale" in name or name.endswith("gamma"):
                parameter.fill_(1.0)
            elif "embedding_sum" in name:
                parameter.normal_(0.0, 1.0)
            elif parameter.dim() > 1:
                # So that what goes in comes out as loud.
                parameter.normal_(0.0, parameter[0].numel() ** -0.5)
        last = model.decoder.decoder[-1].conv
        last.weight *= 1e-3
        last.weight *= 0.2 / model.decoder(torch.randint(0, CODES, (1, GROUPS, 50))).std()
    model.save_pretrained(folder)
    EncodecFeatureExtractor(feature_size=1, sampling_rate=24000).save_pretrained(folder)
