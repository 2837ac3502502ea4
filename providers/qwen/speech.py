"""A segment's sound while the model still speaks: one thread says frames, another makes them sound. Blocking."""

from __future__ import annotations

import threading
from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from providers.qwen.frames import Frames, Stopped
from providers.qwen.model import Model, Speech

Floats = NDArray[np.float32]

_GROWTH = 1.5
"""Each piece is longer than the one before it by this, until they are as long as they get: while one is heard there is
time to make the next, if a second of speech takes less than two thirds of a second."""


def sizes(first: int, most: int) -> Iterator[int]:
    """Frames of each piece."""
    size = float(first)
    while True:
        yield min(int(size), max(first, most))
        size = min(size * _GROWTH, float(max(first, most)))


def speak(model: Model, speech: Speech, frames: Frames, first: int, most: int) -> Iterator[Floats]:
    """Samples from -1 to 1, piece by piece. Ends soon after ``frames`` were stopped; then the model is free."""
    from providers.qwen.decoder import Decoding, joined

    decoding = Decoding(model.decoder)
    if speech.clone is not None and speech.clone.codes is not None:
        decoding.prime(model.frames_of(speech.clone))
    talker = threading.Thread(target=_talk, args=(model, speech, frames), name="qwen-talker")
    talker.start()
    try:
        for size in sizes(first, most):
            taken = frames.take(size)
            if not taken:
                return
            yield decoding.feed(joined(taken))
    finally:
        frames.stop()
        talker.join()


def _talk(model: Model, speech: Speech, frames: Frames) -> None:
    error: BaseException | None = None
    try:
        model.talk(speech, frames.put)
    except Stopped:
        pass
    except BaseException as raised:  # noqa: BLE001 - whoever waits for frames is told
        error = raised
    frames.end(error)
