"""A window holds all that its samples depend on, and ends without context only where the sound does."""

from hypothesis import given
from hypothesis import strategies as st

from audio.snac.layout import FRAME_POSITIONS, FRAME_SAMPLES, LATENTS, needs
from audio.snac.window import CONTEXT, Shape, Window, final, inner, last

WIDTHS = (6, 7, 9, 13)
SIZES = st.integers(1, 8)
FRAMES = st.integers(2, 200)


def holds_all(window: Window, *, ends: bool) -> bool:
    """Everything that the kept samples need is in it, unless it does not exist."""
    need = needs(window.keep_from, window.keep_to)
    start = window.start * FRAME_POSITIONS
    cut_from, cut_to = start + window.shape.cut_from, start + window.shape.cut_to
    left = max(0, need.latents[0]) >= window.start * LATENTS and max(0, need.positions[0]) >= cut_from
    right = ends or (need.latents[1] <= window.stop * LATENTS and need.positions[1] <= cut_to)
    return left and right


def test_nothing_is_final_before_the_third_frame() -> None:
    assert [final(frames) for frames in range(5)] == [0, 0, 0, 1344, 3392]


def test_a_window_in_the_middle_has_five_frames_more_than_it_keeps() -> None:
    assert CONTEXT == 5
    window = inner(final(20), final(28), 28)
    assert window.shape.frames == 13
    assert window.keep_to - window.keep_from == 8 * FRAME_SAMPLES


def test_the_later_stages_see_half_a_frame_more_than_is_kept() -> None:
    shape = inner(final(20), final(28), 28).shape
    assert shape.samples == 8 * FRAME_SAMPLES + FRAME_SAMPLES // 2


@given(FRAMES, SIZES, st.sampled_from([(), WIDTHS]))
def test_an_inner_window_holds_all_that_it_keeps_needs(frames: int, size: int, widths: tuple[int, ...]) -> None:
    window = inner(final(frames), final(frames + size), frames + size, widths)
    assert holds_all(window, ends=False)
    assert window.shape.samples >= window.kept.stop > window.kept.start >= 0


@given(FRAMES, st.integers(0, 8), st.sampled_from([(), WIDTHS]))
def test_a_last_window_holds_all_and_ends_with_the_sound(frames: int, more: int, widths: tuple[int, ...]) -> None:
    window = last(final(frames), frames + more, widths)
    assert holds_all(window, ends=True)
    assert (window.stop, window.keep_to) == (frames + more, (frames + more) * FRAME_SAMPLES)
    assert window.kept.stop == window.shape.samples


@given(FRAMES, SIZES)
def test_only_the_start_of_the_sound_has_no_context(frames: int, size: int) -> None:
    window = inner(final(frames), final(frames + size), frames + size)
    assert window.start > 0 or needs(window.keep_from, window.keep_to).latents[0] < LATENTS


@given(st.integers(20, 200), st.sampled_from([1, 2, 4, 8]))
def test_all_windows_of_a_size_in_the_middle_have_one_shape(frames: int, size: int) -> None:
    window = inner(final(frames), final(frames + size), frames + size, WIDTHS)
    assert window.shape == Shape(size + 5, 77, 77 + size * FRAME_POSITIONS + 16)


@given(st.integers(20, 200), st.integers(0, 8))
def test_a_last_window_is_widened_to_a_width_that_is_wanted(frames: int, more: int) -> None:
    assert last(final(frames), frames + more, WIDTHS).shape.frames in WIDTHS


def test_a_window_is_never_widened_beyond_the_start_of_the_sound() -> None:
    window = last(final(6), 6, (100,))
    assert (window.start, window.shape.frames) == (1, 5)


def test_without_wanted_widths_a_window_near_the_start_is_cut_as_short_as_one_in_the_middle() -> None:
    assert inner(final(4), final(5), 5).shape.samples == inner(final(40), final(41), 41).shape.samples
