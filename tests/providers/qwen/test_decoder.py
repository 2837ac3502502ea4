"""Frames decoded as they come are the whole decoded at once, whatever the pieces. The weights are random, none weak."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.support.tiny_qwen import CODES, FRAME, GROUPS

pytestmark = pytest.mark.engines

FRAMES = 180
"""More than twice the 72 that a layer of the transformer looks back at."""


@pytest.fixture(scope="module")
def decoder(qwen_models: Path) -> Any:
    from qwen_tts import Qwen3TTSTokenizer

    folder = qwen_models / "custom_voice" / "speech_tokenizer"
    return Qwen3TTSTokenizer.from_pretrained(str(folder), device_map="cpu").model.decoder


@pytest.fixture(scope="module")
def exact(decoder: Any) -> Any:
    """The same in float64."""
    import copy

    return copy.deepcopy(decoder).double()


def codes(count: int = FRAMES) -> Any:
    import torch

    return torch.from_numpy(np.random.default_rng(7).integers(0, CODES, (count, GROUPS)))


def whole(decoder: Any, frames: Any) -> np.ndarray[tuple[int], np.dtype[np.float64]]:
    import torch

    with torch.inference_mode():
        sound: np.ndarray[tuple[int], np.dtype[np.float64]] = decoder(frames.T[None])[0, 0].double().numpy()
    return sound


def streamed(decoder: Any, frames: Any, sizes: Iterable[int]) -> np.ndarray[tuple[int], np.dtype[np.float64]]:
    from providers.qwen.decoder import Decoding

    decoding, at, sound = Decoding(decoder), 0, []
    for size in sizes:
        piece = decoding.feed(frames[at : at + size])
        assert piece.size == min(size, len(frames) - at) * FRAME
        sound.append(piece.astype(np.float64))
        at += size
    return np.concatenate(sound)


@pytest.mark.parametrize("size", [1, 4, 12, 25, 100])
def test_pieces_of_any_size_make_the_whole(decoder: Any, size: int) -> None:
    difference = np.abs(streamed(decoder, codes(), [size] * -(-FRAMES // size)) - whole(decoder, codes())).max()
    assert difference < 1e-4


def test_where_nothing_is_rounded_there_is_no_difference(exact: Any) -> None:
    sizes = [4, 6, 9] + [12] * 14
    # The last step is float32 all the same: a sample is kept to 6e-8.
    assert np.abs(streamed(exact, codes(), sizes) - whole(exact, codes())).max() < 1e-7


def test_pieces_with_25_frames_before_each_are_not_enough(exact: Any) -> None:
    reference, sound = whole(exact, codes()), []
    for start in range(0, FRAMES, 12):
        context = min(start, 25)
        sound.append(whole(exact, codes()[start - context : start + 12])[context * FRAME :])
    difference = np.abs(np.concatenate(sound) - reference)
    assert difference[: 24 * FRAME].max() < 1e-9
    assert difference[36 * FRAME :].max() > 0.1


@pytest.mark.parametrize("before", [1, 30, 120])
def test_frames_that_come_before_are_not_heard_and_count(exact: Any, before: int) -> None:
    from providers.qwen.decoder import Decoding

    decoding = Decoding(exact)
    decoding.prime(codes()[:before])
    sound = np.concatenate([decoding.feed(piece) for piece in codes()[before:].split(8)])
    assert np.abs(sound - whole(exact, codes())[before * FRAME :]).max() < 1e-7


def test_the_convolutions_reach_back_as_far_as_is_kept_and_no_further(exact: Any) -> None:
    import torch

    from providers.qwen.decoder import reach

    assert reach(exact) == 10
    latents = torch.randn(1, exact.config.latent_dim, 30, dtype=torch.float64, generator=torch.manual_seed(1))

    def sound(latents: Any) -> Any:
        for block in [block for blocks in exact.upsample for block in blocks] + list(exact.decoder):
            latents = block(latents)
        return latents[0, 0, -FRAME:]

    with torch.inference_mode():
        # In which order a product is summed may be another for another length: that is of the last digits, and no more.
        assert (sound(latents) - sound(latents[..., -11:])).abs().max() < 1e-12
        assert (sound(latents) - sound(latents[..., -10:])).abs().max() > 1e-3
