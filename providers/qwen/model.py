"""One of the three models, loaded. For one use at a time. Blocking."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from providers import torch_runtime
from providers.base import Clip, EngineUnavailable
from providers.qwen import options
from providers.qwen.catalogue import AUTO
from providers.qwen.clone import Bounds, Clone
from providers.qwen.settings import PREFIX, Kind, QwenSettings

log = logging.getLogger(__name__)

ENGINE = "qwen"
INSTALL = "pip install 'voxwire[qwen]'"
_TOKENIZER = "qwen3_tts_tokenizer_12hz"
_SMALL = "0b6"


@dataclass(frozen=True, slots=True)
class Speech:
    """What is to be said, and how."""

    text: str
    speaker: str | None = None
    language: str = AUTO
    instruct: str = ""
    clone: Clone | None = None
    sampling: Mapping[str, Any] = field(default_factory=dict)


class Model:
    """Raises ``MissingDependency``, or ``EngineUnavailable`` where it cannot be loaded."""

    def __init__(self, kind: Kind, settings: QwenSettings) -> None:
        self.kind = kind
        library: Any = torch_runtime.load(ENGINE, INSTALL, "qwen_tts")
        self._torch: Any = torch_runtime.load(ENGINE, INSTALL, "torch")
        torch_runtime.use_threads(settings.threads)
        device = torch_runtime.device(ENGINE, settings.device)
        how = {
            "device_map": device,
            "dtype": torch_runtime.dtype(settings.dtype, device),
            "attn_implementation": _attention(settings, device),
        }
        name = settings.models[kind]
        try:
            self._wrapper: Any = library.Qwen3TTSModel.from_pretrained(name, **how)
            if settings.tokenizer:
                self._wrapper.model.load_speech_tokenizer(
                    library.Qwen3TTSTokenizer.from_pretrained(settings.tokenizer, **how)
                )
        except Exception as error:
            log.warning("the Qwen model %s cannot be loaded: %s: %s", name, type(error).__name__, error)
            raise EngineUnavailable(f"engine {ENGINE!r} cannot load {_shown(name)}") from error
        self._model: Any = self._wrapper.model
        self._check(name)
        self.where = device
        # Otherwise transformers warns of each utterance that it takes the end for the padding.
        ends = self._model.config.talker_config.codec_eos_token_id
        for part in (self._model.talker, self._model.talker.code_predictor):
            part.generation_config.pad_token_id = ends

    def _check(self, name: str) -> None:
        found = self._model.tts_model_type
        if found != self.kind:
            raise EngineUnavailable(f"{PREFIX}{self.kind.upper()}_MODEL names {_shown(name)}, which is a {found} model")
        if self._model.speech_tokenizer.get_model_type() != _TOKENIZER:
            raise EngineUnavailable(f"{_shown(name)} has another tokenizer than that of 12 Hz, which is the one known")

    # ---- what it has

    @property
    def speakers(self) -> list[str]:
        return list(self._model.get_supported_speakers() or ())

    @property
    def decoder(self) -> Any:
        return self._model.speech_tokenizer.model.decoder

    @property
    def bounds(self) -> Bounds:
        config = self._model.config
        return Bounds(
            config.speaker_encoder_config.enc_dim,
            config.talker_config.num_code_groups,
            self.decoder.config.codebook_size,
        )

    # ---- what it does

    def talk(self, speech: Speech, heard: Callable[[Any], None]) -> None:
        """Say it: ``heard`` is called with the codes of each frame, of shape (1, groups), as soon as they are known.
        What it raises ends the speech, and is raised here."""
        talker = self._model.talker
        # The talker's own answer holds the frame that it began with: no other way hears of one before the end.
        hook = talker.register_forward_hook(lambda _module, _given, answer: _pass_on(answer, heard))
        try:
            with self._torch.inference_mode():
                self._model.generate(**self._asked(speech))
        finally:
            hook.remove()

    def clone(self, clip: Clip) -> Clone:
        """The voice of a clip, by a base model."""
        wave = np.frombuffer(clip.pcm, "<i2").astype(np.float32) / np.float32(32768)
        transcript = clip.transcript or ""
        [made] = self._wrapper.create_voice_clone_prompt(
            (wave, clip.sample_rate), transcript or None, x_vector_only_mode=not transcript
        )
        embedding: NDArray[np.float32] = made.ref_spk_embedding.float().cpu().numpy().reshape(-1)
        codes = None if made.ref_code is None else made.ref_code.cpu().numpy().astype(np.int16)
        return Clone(embedding, codes, transcript)

    def frames_of(self, clone: Clone) -> Any:
        """Its codes as the decoder takes them."""
        return self._tensor(clone.codes).to(self._model.device).long()

    def _asked(self, speech: Speech) -> dict[str, Any]:
        """As qwen-tts's own ``generate_*`` ask; these would decode all of it once more at the end."""
        clone = speech.clone
        asked: dict[str, Any] = {
            "input_ids": [self._ids(f"<|im_start|>assistant\n{speech.text}<|im_end|>\n<|im_start|>assistant\n")],
            "languages": [self._language(speech.language)],
            "non_streaming_mode": self.kind != "base",
            **options.sampling(self._model.generate_config or {}, speech.sampling, speech.text),
        }
        if self.kind != "base":
            # The small models were not taught to follow instructions.
            instruct = "" if self._model.tts_model_size == _SMALL else speech.instruct
            asked["instruct_ids"] = [self._ids(f"<|im_start|>user\n{instruct}<|im_end|>\n") if instruct else None]
        if speech.speaker:
            asked["speakers"] = [speech.speaker]
        if clone is not None:
            known = clone.codes is not None
            asked["voice_clone_prompt"] = {
                "ref_code": [self.frames_of(clone) if known else None],
                "ref_spk_embedding": [self._tensor(clone.embedding)],
                "x_vector_only_mode": [not known],
                "icl_mode": [known],
            }
            words = f"<|im_start|>assistant\n{clone.transcript}<|im_end|>\n"
            asked["ref_ids"] = [self._ids(words) if known else None]
        return asked

    def _ids(self, text: str) -> Any:
        return self._wrapper.processor(text=text, return_tensors="pt", padding=True)["input_ids"].to(self._model.device)

    def _tensor(self, array: NDArray[Any] | None) -> Any:
        return self._torch.from_numpy(np.array(array))

    def _language(self, name: str) -> str:
        return name if name in self._model.get_supported_languages() else AUTO


def _pass_on(answer: Any, heard: Callable[[Any], None]) -> None:
    codes = answer.hidden_states[1]
    # There are none yet for the prompt.
    if codes is not None:
        heard(codes)


def _attention(settings: QwenSettings, device: str) -> str:
    if settings.flash_attention and device.startswith("cuda"):
        from importlib.util import find_spec

        if find_spec("flash_attn") is not None:
            return "flash_attention_2"
        log.warning("flash attention is asked for, and flash-attn is not installed")
    return "sdpa"


def _shown(name: str) -> str:
    """A model's name for an error: no path of this machine."""
    return f"the model {Path(name).name!r}"
