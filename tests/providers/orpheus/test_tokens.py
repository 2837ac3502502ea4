"""Token ids into frames, also where the model slips."""

from __future__ import annotations

from dataclasses import dataclass

import pytest
from hypothesis import given
from hypothesis import strategies as st

from providers.orpheus.tokens import CODES, END_OF_SPEECH, ENDS, FIRST_AUDIO, PATIENCE, SLOTS, Frame, Frames, NoSpeech

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


# ---- any course that a model may take, against what a listener would have picked out by hand


def wanted(ids: list[int]) -> list[Frame]:
    """Slowly, and without a state: of the audio before the end, any seven neighbours that are the slots 0 to 6."""
    end = next((place for place, id_ in enumerate(ids) if id_ in ENDS), len(ids))
    audio = [id_ - FIRST_AUDIO for id_ in ids[:end] if FIRST_AUDIO <= id_ < FIRST_AUDIO + SLOTS * CODES]
    windows = [audio[place : place + SLOTS] for place in range(len(audio) - SLOTS + 1)]
    whole = [window for window in windows if [number // CODES for number in window] == list(range(SLOTS))]
    return [tuple(number % CODES for number in window) for window in whole]


def until_no_speech(frames: Frames, ids: list[int]) -> tuple[list[Frame], int]:
    """What came, and how many tokens were taken before it was called no speech."""
    came = []
    for taken, id_ in enumerate(ids):
        try:
            frame = frames.push(id_)
        except NoSpeech:
            return came, taken + 1
        if frame is not None:
            came.append(frame)
    return came, len(ids)


@dataclass(frozen=True)
class Slip:
    """One thing that goes wrong at one token."""

    place: int
    kind: str
    other: int

    def on(self, ids: list[int]) -> list[int]:
        here = ids[self.place]
        changed = {
            "left out": [],
            "twice": [here, here],
            "another": [self.other],
            "one more": [self.other, here],
            "foreign": [17, here],
        }
        return changed[self.kind]


AUDIO = st.builds(token, st.integers(0, SLOTS - 1), CODE)
ANY = st.one_of(AUDIO, st.integers(0, 156_939), st.sampled_from(sorted(ENDS)))
KINDS = st.sampled_from(["left out", "twice", "another", "one more", "foreign"])


@st.composite
def slipped(draw: st.DrawFn) -> tuple[list[Frame], list[Slip]]:
    given = draw(st.lists(FRAME, min_size=1, max_size=12))
    slip = st.builds(Slip, st.integers(0, len(given) * SLOTS - 1), KINDS, AUDIO)
    return given, draw(st.lists(slip, max_size=4, unique_by=lambda one: one.place))


def with_slips(given: list[Frame], slips: list[Slip]) -> list[int]:
    ids = [id_ for frame in given for id_ in tokens(frame)]
    at = {slip.place: slip for slip in slips}
    return [id_ for place, right in enumerate(ids) for id_ in (at[place].on(ids) if place in at else [right])]


@given(st.lists(ANY, max_size=300), st.lists(FRAME, max_size=4), st.lists(ANY, max_size=40))
def test_what_comes_out_of_anything_is_what_one_would_pick_out_by_hand(
    before: list[int], given: list[Frame], behind: list[int]
) -> None:
    ids = before + [id_ for frame in given for id_ in tokens(frame)] + behind
    frames = Frames()
    came, taken = until_no_speech(frames, ids)
    assert came == wanted(ids[:taken])
    assert all(0 <= code < CODES for frame in came for code in frame)
    assert frames.frames == len(came)
    assert frames.frames * SLOTS + frames.lost <= taken


@given(slipped())
def test_a_slip_costs_one_frame_at_most_and_never_one_that_it_is_not_in(made: tuple[list[Frame], list[Slip]]) -> None:
    given, slips = made
    frames = Frames()
    came = pushed(frames, with_slips(given, slips))
    assert came == wanted(with_slips(given, slips))
    broken = {slip.place // SLOTS for slip in slips}
    untouched = [frame for number, frame in enumerate(given) if number not in broken]
    rest = iter(came)
    assert all(frame in rest for frame in untouched)
    assert len(given) - len(slips) <= len(came) <= len(given)


@given(slipped())
def test_every_code_was_said_for_the_slot_that_it_is_in(made: tuple[list[Frame], list[Slip]]) -> None:
    ids = with_slips(*made)
    said = set(ids)
    for frame in pushed(Frames(), ids):
        assert said.issuperset(tokens(frame))


@given(st.lists(FRAME, max_size=4), st.integers(0, 30))
def test_a_course_that_breaks_off_gives_all_its_whole_frames(given: list[Frame], length: int) -> None:
    ids = [id_ for frame in given for id_ in tokens(frame)][:length]
    assert pushed(Frames(), ids) == given[: len(ids) // SLOTS]


@given(slipped())
def test_every_token_is_in_a_frame_or_lost_or_waits_for_the_rest_of_its_frame(
    made: tuple[list[Frame], list[Slip]],
) -> None:
    ids = with_slips(*made)
    frames = Frames()
    pushed(frames, ids)
    frames.push(END_OF_SPEECH)
    assert frames.frames * SLOTS + frames.lost == len(ids)
