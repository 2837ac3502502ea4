"""Which codes a sample depends on."""

from hypothesis import given
from hypothesis import strategies as st

from audio.snac import layout
from audio.snac.layout import FRAME_SAMPLES, LATENTS, LOOKAHEAD, needs

SAMPLES = st.integers(0, 1_000_000)


def test_the_last_200_ms_are_not_final() -> None:
    assert LOOKAHEAD == 4800


def test_a_frame_is_two_times_four_eighths() -> None:
    assert (FRAME_SAMPLES, layout.FRAME_POSITIONS, layout.POSITION_SAMPLES) == (2048, 32, 64)


def test_one_sample_depends_on_ten_latent_steps_to_each_side() -> None:
    assert needs(20_480, 20_481).latents == (30, 50)


def test_behind_the_first_stage_it_is_eight_positions() -> None:
    assert needs(20_480, 20_481).positions == (312, 328)


def test_what_lies_before_the_sound_has_negative_numbers() -> None:
    assert needs(0, 1).latents[0] < 0


@given(SAMPLES, st.integers(1, 9999), st.integers(1, 9999))
def test_more_samples_never_need_less(start: int, length: int, more: int) -> None:
    some, all_of_them = needs(start, start + length), needs(start, start + length + more)
    assert all_of_them.latents[0] == some.latents[0]
    assert all_of_them.latents[1] >= some.latents[1]


@given(st.integers(0, 1000), st.integers(0, 9999))
def test_what_is_further_back_than_the_lookahead_needs_no_later_frame(frames: int, earlier: int) -> None:
    sample = frames * FRAME_SAMPLES - LOOKAHEAD - 1 - earlier
    assert needs(sample, sample + 1).latents[1] <= frames * LATENTS


@given(st.integers(0, 1000), SAMPLES)
def test_a_shift_by_a_frame_is_a_shift_of_everything(frames: int, start: int) -> None:
    here, there = needs(start, start + 100), needs(start + frames * FRAME_SAMPLES, start + 100 + frames * FRAME_SAMPLES)
    assert there.latents == tuple(one + frames * LATENTS for one in here.latents)
    assert there.positions == tuple(one + frames * layout.FRAME_POSITIONS for one in here.positions)
