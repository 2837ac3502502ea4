"""Token ids into frames, also where the model slips."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from providers.orpheus.tokens import CODES, END_OF_SPEECH, FIRST_AUDIO, PATIENCE, SLOTS, Frame, Frames, NoSpeech

CODE = st.integers(0, CODES - 1)
FRAME = st.tuples(*[CODE] * SLOTS)


def token(slot: int, code: int) -> int:
    return FIRST_AUDIO + slot * CODES + code


def tokens(frame: Frame) -> list[int]:
    return [token(slot, code) for slot, code in enumerate(frame)]


def pushed(frames: Frames, ids: list[int]) -> list[Frame]:
    return [frame for id_ in ids if (frame := frames.push(id_)) is not None]


A, B, C = (tuple(range(first, first + SLOTS)) for first in (0, 100, 4089))


def test_the_first_and_the_last_id_are_those_of_the_vocabulary() -> None:
    assert token(0, 0) == 128_266
    assert token(6, 4095) == 156_937
    assert END_OF_SPEECH == 128_258


@given(st.lists(FRAME))
def test_whole_frames_come_out_as_they_went_in(given: list[Frame]) -> None:
    frames = Frames()
    assert pushed(frames, [id_ for frame in given for id_ in tokens(frame)]) == given
    assert (frames.frames, frames.slips, frames.lost) == (len(given), 0, 0)


def test_the_codes_0_and_4095_are_kept() -> None:
    assert pushed(Frames(), tokens((0,) * 7) + tokens((4095,) * 7)) == [(0,) * 7, (4095,) * 7]


@pytest.mark.parametrize("left_out", range(SLOTS))
def test_a_slot_that_is_left_out_costs_its_frame_and_no_other(left_out: int) -> None:
    frames = Frames()
    broken = tokens(B)
    del broken[left_out]
    assert pushed(frames, tokens(A) + broken + tokens(C)) == [A, C]
    assert (frames.slips, frames.lost) == (1, 6)


@pytest.mark.parametrize("twice", range(1, SLOTS - 1))
def test_a_slot_that_comes_twice_costs_its_frame_and_no_other(twice: int) -> None:
    frames = Frames()
    broken = tokens(B)
    broken.insert(twice, broken[twice])
    assert pushed(frames, tokens(A) + broken + tokens(C)) == [A, C]
    assert (frames.slips, frames.lost) == (1, 8)


def test_a_first_slot_that_comes_twice_costs_one_token() -> None:
    frames = Frames()
    assert pushed(frames, [*tokens(A), token(0, 9), *tokens(C)]) == [A, C]
    assert (frames.slips, frames.lost) == (1, 1)


def test_a_last_slot_that_comes_twice_costs_one_token() -> None:
    frames = Frames()
    assert pushed(frames, [*tokens(A), token(6, 9), *tokens(C)]) == [A, C]
    assert (frames.slips, frames.lost) == (1, 1)


def test_two_slips_are_counted_as_two() -> None:
    frames = Frames()
    assert pushed(frames, [*tokens(A)[:3], *tokens(B)[:4], *tokens(C)[1:], *tokens(A)]) == [A]
    assert frames.slips == 2


def test_what_is_no_audio_is_left_out_and_costs_nothing_else() -> None:
    frames = Frames()
    ids = tokens(A)
    assert pushed(frames, [ids[0], 17, FIRST_AUDIO - 1, *ids[1:], token(6, 4095) + 1, 156_939]) == [A]
    assert (frames.slips, frames.lost) == (0, 4)


@pytest.mark.parametrize("end", [END_OF_SPEECH, 128_262, 128_009, 128_001])
def test_nothing_is_heard_behind_the_end(end: int) -> None:
    frames = Frames()
    assert pushed(frames, [*tokens(A), *tokens(B)[:2], end, *tokens(B)]) == [A]
    assert frames.ended
    assert frames.lost == 2


@given(st.lists(CODE, min_size=PATIENCE + SLOTS))
def test_another_models_tokens_are_noticed(ids: list[int]) -> None:
    with pytest.raises(NoSpeech):
        pushed(Frames(), ids)


def test_frames_that_never_become_whole_are_noticed() -> None:
    with pytest.raises(NoSpeech):
        pushed(Frames(), tokens(A)[:6] * 20)


@given(st.lists(st.integers(0, 156_939), max_size=60), st.lists(FRAME, min_size=1, max_size=3))
def test_whatever_came_before_a_frame_behind_a_whole_one_is_right(noise: list[int], given: list[Frame]) -> None:
    """The first frame of those given may go to the resynchronisation; all after it are whole."""
    frames = Frames()
    noise = [id_ for id_ in noise if id_ not in {128_258, 128_262, 128_009, 128_001}]
    came = pushed(frames, noise + [id_ for frame in given for id_ in tokens(frame)])
    assert came[len(came) - len(given) + 1 :] == given[1:]
    assert frames.frames * SLOTS + frames.lost <= len(noise) + len(given) * SLOTS
