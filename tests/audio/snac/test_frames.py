"""Frames are checked where they come in, and kept as long as they may be needed."""

import numpy as np
import pytest

from audio.snac import BadFrame
from audio.snac.frames import Frames

GOOD = (0, 1, 4095, 3, 4, 5, 6)


@pytest.mark.parametrize(
    "wrong",
    [(), GOOD[:6], (*GOOD, 1), (4096, *GOOD[1:]), (-1, *GOOD[1:]), (70_000, *GOOD[1:]), (1.5, *GOOD[1:]), "abcdefg", 7],
)
def test_what_is_no_frame_is_refused(wrong: object) -> None:
    frames = Frames()
    with pytest.raises(BadFrame):
        frames.append(wrong)  # type: ignore[arg-type]
    assert len(frames) == 0


def test_codes_keep_their_places() -> None:
    frames = Frames()
    frames.append(GOOD)
    frames.append((4095,) * 7)
    assert np.frombuffer(frames.packed(0, 2), "<u2").reshape(2, 7).tolist() == [list(GOOD), [4095] * 7]


def test_numbers_stay_when_old_frames_are_forgotten() -> None:
    frames = Frames()
    for code in range(10):
        frames.append((code,) * 7)
    frames.forget(4)
    assert (len(frames), frames.held) == (10, 6)
    assert np.frombuffer(frames.packed(5, 6), "<u2").tolist() == [5] * 7
    with pytest.raises(IndexError):
        frames.packed(3, 5)


def test_forgetting_less_or_more_than_there_is_is_harmless() -> None:
    frames = Frames()
    frames.append(GOOD)
    frames.forget(0)
    frames.forget(9)
    frames.forget(1)
    assert (len(frames), frames.held) == (1, 0)
