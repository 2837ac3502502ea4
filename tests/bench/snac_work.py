"""The windows of a stream, and what decoding them takes."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from functools import partial
from itertools import pairwise

from audio.snac import FRAME_SAMPLES, SAMPLE_RATE
from audio.snac.backend import Backend, Batch, batch_of
from audio.snac.course import Course
from audio.snac.layout import FRAME_POSITIONS, LATENTS, STRIDES
from audio.snac.noise import stage_keys
from audio.snac.window import Shape, Window, final, inner

FRAME = FRAME_SAMPLES / SAMPLE_RATE
SLIDING = 4
"""Frames of the window that Orpheus's own decoder moves on by one frame at a time. It keeps the second of them, so an
utterance loses its first frame and its last two."""
_CHANNELS = (768, 1024, 512, 256, 128, 64)


def streamed(frames: int, speed: float, backend: Backend, decoding: float) -> list[Window]:
    """The windows of an utterance whose frames come ``speed`` times as fast as they are heard; ``decoding``: seconds
    that each window takes."""
    course = Course(backend.sizes, backend.widths)
    lead = 0.02 + 2 * decoding
    now, made = 0.0, []
    for index in range(frames):
        arrival, following = index * FRAME / speed, (index + 1) * FRAME / speed
        now = max(now, arrival)
        course.push(now)
        if index == frames - 1:
            course.finish()
            following = float("inf")
        while now < following:
            window = course.next(now, lead, decoding / middle(4).shape.work)
            if window is None:
                due = course.due(lead)
                if due is None or due >= following:
                    break
                now = max(now, due)
                continue
            now += decoding
            course.deliver(window, now)
            made.append(window)
    assert course.done
    return made


def sliding(frames: int) -> list[Window]:
    """Each decodes all of its four frames, as if they were the whole."""
    shape = Shape(SLIDING, 0, SLIDING * FRAME_POSITIONS)
    return [
        Window(start, shape, (start + 1) * FRAME_SAMPLES, (start + 2) * FRAME_SAMPLES)
        for start in range(frames - SLIDING + 1)
    ]


def middle(size: int, widths: Sequence[int] = ()) -> Window:
    """A window in the middle of a stream that goes on by so many frames."""
    return inner(final(20), final(20 + size), 20 + size, widths)


def batch(window: Window, rows: int = 1) -> Batch:
    """Any codes cost the same."""
    codes = [bytes(14 * window.shape.frames)] * rows
    return batch_of(window.shape, codes, [stage_keys(row) for row in range(rows)], [window.start] * rows)


def decode(backend: Backend, windows: Sequence[Window]) -> None:
    for window in windows:
        backend.decode(batch(window))


def timed(work: Callable[[], object]) -> float:
    began = time.perf_counter()
    work()
    return time.perf_counter() - began


def in_turn(backend: Backend, kinds: dict[str, list[Window]], rounds: int) -> dict[str, list[float]]:
    """Seconds of each kind in each round. In turn, so that whatever slows the machine slows them all."""
    times: dict[str, list[float]] = {name: [] for name in kinds}
    for _ in range(rounds):
        for name, windows in kinds.items():
            times[name].append(timed(partial(decode, backend, windows)))
    return times


def multiplications(windows: Sequence[Window]) -> int:
    """Of all convolutions, which is what a decode takes however busy the machine is."""
    return sum(_layers(window.shape, _count) for window in windows)


def traffic(shape: Shape) -> int:
    """Bytes of one window that must be read and written if every convolution reads its input and writes its output
    once, in float32, and everything between them is free. Weights are not counted: they are read once a batch."""
    return 4 * _layers(shape, _moved)


def _count(steps: int, into: int, out: int, taps: int, groups: int) -> int:
    return steps * into * out * taps // groups


def _moved(steps: int, into: int, out: int, taps: int, groups: int) -> int:
    return steps * (into + out)


def _layers(shape: Shape, price: Callable[[int, int, int, int, int], int]) -> int:
    """``price`` of each layer: steps, channels in, channels out, taps of each output, groups."""
    steps = shape.frames * LATENTS
    total = price(steps, _CHANNELS[0], _CHANNELS[0], 7, _CHANNELS[0]) + price(steps, *_CHANNELS[:2], 1, 1)
    for stage, (into, out) in enumerate(pairwise(_CHANNELS[1:])):
        steps *= STRIDES[stage]
        # Of a transposed convolution two taps reach each output.
        total += price(steps, into, out, 2, 1) + price(steps, out, out, 1, 1)
        total += 3 * (price(steps, out, out, 7, out) + price(steps, out, out, 1, 1))
        if stage == 0:
            steps = shape.cut_to - shape.cut_from
    return total + price(steps, _CHANNELS[-1], 1, 7, 1)
