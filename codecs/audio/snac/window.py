"""What is decoded in one go: some frames with their context, and which of the samples are kept.

A window's samples are those of a whole decode because it holds every code that they depend on, and because it has an
end without context only where the sound itself has one: convolutions put zeros beyond an end, as a whole decode
does there and nowhere else. Nothing is ever padded.

Context is cheaper than it looks. Nearly all of the reach lies in the first stage, which is a sixth of the work, so
behind it a window is cut down to what the kept samples need there: eight positions, a quarter of a frame, to each side.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

from audio.snac.layout import FRAME_POSITIONS, FRAME_SAMPLES, LATENTS, LOOKAHEAD, POSITION_SAMPLES, needs

_FIRST_STAGE = 0.2
"""Its share of the time that a frame takes. A sixth by multiplications; a fifth was measured on a CPU."""


class Shape(NamedTuple):
    """What two windows must have in common to be decoded together. All of it is static for a CUDA graph."""

    frames: int
    cut_from: int
    cut_to: int
    """Positions behind the first stage, from the window's start, that the later stages go on with."""

    @property
    def samples(self) -> int:
        """Samples that a decode of this shape gives."""
        return (self.cut_to - self.cut_from) * POSITION_SAMPLES

    @property
    def work(self) -> float:
        """What a decode costs, in whole decodes of one frame."""
        return _FIRST_STAGE * self.frames + (1 - _FIRST_STAGE) * (self.cut_to - self.cut_from) / FRAME_POSITIONS


@dataclass(frozen=True, slots=True)
class Window:
    """``start`` counts frames, the kept samples count from the start of the stream."""

    start: int
    shape: Shape
    keep_from: int
    keep_to: int

    @property
    def stop(self) -> int:
        return self.start + self.shape.frames

    @property
    def kept(self) -> slice:
        """Where in the decoded samples those to keep are."""
        first = self.start * FRAME_SAMPLES + self.shape.cut_from * POSITION_SAMPLES
        return slice(self.keep_from - first, self.keep_to - first)


def final(frames: int) -> int:
    """How many samples are final once so many frames are there, and more will follow."""
    return max(0, frames * FRAME_SAMPLES - LOOKAHEAD)


def oldest(keep_from: int) -> int:
    """The first frame that samples from ``keep_from`` on depend on."""
    return max(0, needs(keep_from, keep_from + 1).latents[0] // LATENTS)


CONTEXT = 10 - oldest(final(10))
"""A window in the middle of the sound has five frames more than it keeps."""
_CUT_FROM = needs(final(CONTEXT), final(CONTEXT + 1)).positions[0]


def inner(keep_from: int, keep_to: int, stop: int, widths: Sequence[int] = ()) -> Window:
    """A window behind which the sound goes on. It uses the frames up to ``stop``; what is kept is exact where that is
    final with them."""
    start = _start(keep_from, stop, widths)
    cut_to = needs(keep_to - 1, keep_to).positions[1] - start * FRAME_POSITIONS
    return Window(start, Shape(stop - start, _cut_from(keep_from, start, widths), cut_to), keep_from, keep_to)


def last(keep_from: int, stop: int, widths: Sequence[int] = ()) -> Window:
    """The window that ends where the sound ends, at frame ``stop``."""
    start = _start(keep_from, stop, widths)
    frames = stop - start
    shape = Shape(frames, _cut_from(keep_from, start, widths), frames * FRAME_POSITIONS)
    return Window(start, shape, keep_from, stop * FRAME_SAMPLES)


def _start(keep_from: int, stop: int, widths: Sequence[int]) -> int:
    """Where to begin so that nothing is missing. More context changes nothing, so a width that the backend is
    prepared for is reached by beginning earlier, where there are frames for it."""
    start = oldest(keep_from)
    if start == 0:
        return 0
    wider = (stop - width for width in widths if 0 < stop - width <= start)
    return max(wider, default=start)


def _cut_from(keep_from: int, start: int, widths: Sequence[int]) -> int:
    """As far on as the kept samples allow. Where widths are given few shapes are worth more than short ones."""
    if not widths:
        return max(0, needs(keep_from, keep_from + 1).positions[0] - start * FRAME_POSITIONS)
    return 0 if start == 0 else _CUT_FROM
