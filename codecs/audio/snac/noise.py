"""The noise that the decoder mixes in, as a function of a seed and a position: any chunk of any stream, in any batch,
gets the very numbers that a whole decode gets.

The generator is SplitMix64 (Steele, Lea, Flood: "Fast splittable pseudorandom number generators", 2014), which is
random access: its ``i``-th output is ``mix(key + (i + 1) * GAMMA)``. Each of the four stages has a key of its own,
``mix(seed + (stage + 1) * GAMMA)``. An output ``h`` becomes one normal variate by Box and Muller's transform:

    u = ((h >> 40) + 1) / 2**24        in (0, 1]
    v = ((h >> 16) mod 2**24) / 2**24  in [0, 1)
    sqrt(-2 ln u) * cos(2 pi v)        in float32, 5.77 at most

``audio.snac.network`` has the same in torch, for the device; both agree to the last bits of float32.
"""

from __future__ import annotations

from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from audio.snac.layout import LATENTS, STRIDES

GAMMA = 0x9E3779B97F4A7C15
MIX = ((30, 0xBF58476D1CE4E5B9), (27, 0x94D049BB133111EB))
LAST_SHIFT = 31
_WORD = 1 << 64

Words: TypeAlias = NDArray[np.uint64]

STAGE_STEPS = tuple(LATENTS * int(np.prod(STRIDES[: stage + 1])) for stage in range(len(STRIDES)))
"""Variates a frame of each stage: 32, 256, 1024, 2048."""


def stage_keys(seed: int) -> tuple[int, ...]:
    """The key of each stage. ``seed``: any integer, taken modulo 2**64."""
    return tuple(_mix(seed + (stage + 1) * GAMMA) for stage in range(len(STRIDES)))


def _mix(word: int) -> int:
    word %= _WORD
    for shift, factor in MIX:
        word = (word ^ (word >> shift)) * factor % _WORD
    return word ^ (word >> LAST_SHIFT)


def normal(keys: Words, first: NDArray[np.int64], count: int) -> NDArray[np.float32]:
    """Variates ``first`` to ``first + count`` of each key: shape ``[len(keys), count]``."""
    index = np.add(first.astype(np.uint64)[:, None], np.arange(1, count + 1, dtype=np.uint64), dtype=np.uint64)
    word: Words = np.add(keys[:, None], np.multiply(index, np.uint64(GAMMA)), dtype=np.uint64)
    for shift, factor in MIX:
        word = _folded(word, shift) * np.uint64(factor)
    word = _folded(word, LAST_SHIFT)
    scale = np.float32(2.0**-24)
    u = (np.right_shift(word, np.uint64(40)) + np.uint64(1)).astype(np.float32) * scale
    v = (np.right_shift(word, np.uint64(16)) & np.uint64(0xFFFFFF)).astype(np.float32) * scale
    made: NDArray[np.float32] = np.sqrt(np.float32(-2) * np.log(u)) * np.cos(np.float32(2 * np.pi) * v)
    return made


def _folded(word: Words, shift: int) -> Words:
    folded: Words = np.bitwise_xor(word, np.right_shift(word, np.uint64(shift)))
    return folded
