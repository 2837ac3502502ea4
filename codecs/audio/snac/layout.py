"""How codes, latents and samples of the 24 kHz model lie to each other, and how far a sample depends on codes.

A frame is seven codes: one of the first codebook, two of the second, four of the third. It becomes four latent
steps, which four stages with transposed convolutions (8, 8, 4 and 2 times) turn into 2048 samples. Structure and
strides: ``snac_24khz``'s config.json; layers: ``snac/layers.py`` 1.2.1.
"""

from __future__ import annotations

from functools import lru_cache
from typing import NamedTuple

SAMPLE_RATE = 24_000
FRAME_CODES = 7
CODEBOOK_SIZE = 4096
STRIDES = (8, 8, 4, 2)
"""How many times as many steps a stage gives as it takes."""
LATENTS = 4
"""Latent steps a frame."""
LATENT_SAMPLES = 512
FRAME_SAMPLES = LATENTS * LATENT_SAMPLES

SECOND = (1, 4)
THIRD = (2, 3, 5, 6)
"""Where in a frame the codes of the second and of the third codebook are; the first's is at 0."""

FRAME_POSITIONS = LATENTS * STRIDES[0]
POSITION_SAMPLES = FRAME_SAMPLES // FRAME_POSITIONS
"""Behind the first stage a frame is 32 positions of 64 samples. Windows are cut there: see ``window``."""

_KERNEL_REACH = 3
"""Steps that a convolution of seven taps looks to each side."""
_UNIT_REACH = _KERNEL_REACH * (1 + 3 + 9)
"""The same for a stage's three residual units, dilated 1, 3 and 9 times."""


class Needs(NamedTuple):
    """What some samples depend on: half-open ranges of positions behind the first stage, and of latent steps."""

    positions: tuple[int, int]
    latents: tuple[int, int]


@lru_cache(maxsize=1024)
def needs(start: int, stop: int) -> Needs:
    """Follow samples ``start`` to ``stop`` back through the decoder. Negative numbers lie before the sound."""
    span = _widened((start, stop), _KERNEL_REACH)
    for stride in reversed(STRIDES[1:]):
        span = _upsampled(_widened(span, _UNIT_REACH), stride)
    latents = _upsampled(_widened(span, _UNIT_REACH), STRIDES[0])
    return Needs(span, _widened(latents, _KERNEL_REACH))


def _widened(span: tuple[int, int], reach: int) -> tuple[int, int]:
    return span[0] - reach, span[1] + reach


def _upsampled(span: tuple[int, int], stride: int) -> tuple[int, int]:
    """Back through a transposed convolution: ``2 * stride`` taps, padding ``ceil(stride / 2)``."""
    first, last = span[0], span[1] - 1
    padding = -(-stride // 2)
    return -(-(first + padding - 2 * stride + 1) // stride), (last + padding) // stride + 1


def _lookahead() -> int:
    """The samples before the end of the last frame that are not final yet, rounded up to whole positions."""
    frames = 100
    stop = frames * FRAME_SAMPLES
    while needs(stop - 1, stop).latents[1] > frames * LATENTS:
        stop -= POSITION_SAMPLES
    return frames * FRAME_SAMPLES - stop


LOOKAHEAD = _lookahead()
"""4800 samples, 200 ms: 2.34 frames. As long as sound goes on, what lies further back is final."""
