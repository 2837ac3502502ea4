"""Frames of codes into sound as they come, the same as when all of them are decoded at once. Blocking.

The decoder is causal, in three parts: codes into latents, a transformer over these, convolutions into sound. qwen-tts
decodes long speech in pieces with 25 frames before each. That is enough for the convolutions, which reach back 10
frames, and too little for the transformer, each layer of which looks back at 72: a piece differs from the whole as soon
as the layers weigh anything. So here the transformer keeps its keys and values from piece to piece, as a language model
does.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from fractions import Fraction
from importlib import import_module
from typing import Any

import numpy as np
from numpy.typing import NDArray

torch: Any = import_module("torch")
transformers: Any = import_module("transformers")

Floats = NDArray[np.float32]


def reach(decoder: Any) -> int:
    """Frames before a frame of latents that its sound depends on."""
    rate, frames = Fraction(1), Fraction(0)
    for block in [*decoder.upsample, *decoder.decoder]:
        for module in block.modules():
            kind = type(module).__name__
            if kind.endswith("CausalTransConvNet"):
                (kernel,), (stride,) = module.conv.kernel_size, module.conv.stride
                frames += Fraction(math.ceil(kernel / stride) - 1) / rate
                rate *= stride
            elif kind.endswith("CausalConvNet"):
                frames += Fraction(module.padding) / rate
    return math.ceil(frames)


class Decoding:
    """One utterance. ``decoder`` is that of a speech tokenizer at 12.5 frames a second; it is not changed."""

    def __init__(self, decoder: Any) -> None:
        self._decoder = decoder
        self._hop = int(decoder.total_upsample)
        self._reach = reach(decoder)
        self._before = decoder.pre_conv.padding
        self._quantized: Any = None
        self._latents: Any = None
        self._cache: Any = transformers.DynamicCache(config=decoder.config)

    def feed(self, frames: Any) -> Floats:
        """Of shape (frames, groups); returns samples from -1 to 1, ``frames`` times 1920 of them."""
        with torch.inference_mode():
            new = self._latent(frames)
            count = new.shape[-1]
            sound = new if self._latents is None else torch.cat((self._latents, new), -1)
            self._latents = sound[..., -self._reach :]
            for blocks in self._decoder.upsample:
                for block in blocks:
                    sound = block(sound)
            for block in self._decoder.decoder:
                sound = block(sound)
            samples: Floats = sound.clamp(-1, 1)[0, 0, -count * self._hop :].float().cpu().numpy()
        return samples

    def prime(self, frames: Any) -> None:
        """Frames that come before the first, and are not heard."""
        if len(frames):
            with torch.inference_mode():
                self._latents = self._latent(frames)[..., -self._reach :]

    def _latent(self, frames: Any) -> Any:
        quantized = self._decoder.quantizer.decode(frames.clamp(min=0).T[None])
        joined = quantized if self._quantized is None else torch.cat((self._quantized, quantized), -1)
        self._quantized = joined[..., -self._before :]
        hidden = self._decoder.pre_conv(joined)[..., -len(frames) :].transpose(1, 2)
        out = self._decoder.pre_transformer(inputs_embeds=hidden, past_key_values=self._cache, use_cache=True)
        return out.last_hidden_state.permute(0, 2, 1)


def joined(frames: Sequence[Any]) -> Any:
    """Frames of shape (1, groups) as one of (frames, groups)."""
    return torch.cat(list(frames))
