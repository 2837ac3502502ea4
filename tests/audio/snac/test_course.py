"""When a stream's next window goes, from what has arrived and what was delivered."""

from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from audio.snac.course import Course
from audio.snac.layout import FRAME_SAMPLES, SAMPLE_RATE
from audio.snac.window import Window, final

SIZES = (1, 2, 3, 4, 5, 6, 7, 8)
POWERS = (1, 2, 4, 8)
WIDTHS = (6, 7, 9, 13)
LEAD = 0.02
FRAME = FRAME_SAMPLES / SAMPLE_RATE


def fed(frames: int, *, interval: float = 0.03, exact: bool = True) -> tuple[Course, float]:
    """A course that so many frames have arrived for, and the time of the last."""
    course = Course(SIZES, exact=exact)
    for index in range(frames):
        course.push(10 + index * interval)
    return course, 10 + (frames - 1) * interval


def delivered(course: Course, now: float, lead: float = LEAD) -> Window:
    window = course.next(now, lead)
    assert window is not None
    course.deliver(window, now)
    return window


def run(
    course: Course, arrivals: list[float], *, decoding: float = 0.0, lead: float = LEAD, pace: float = 0.0
) -> Iterator[Window]:
    """Play a stream to its end: each window as soon as the course has it, ``decoding`` seconds each."""
    now = arrivals[0]
    for at, arrival in enumerate(arrivals):
        now = max(now, arrival)
        course.push(now)
        if at == len(arrivals) - 1:
            course.finish()
        following = arrivals[at + 1] if at + 1 < len(arrivals) else float("inf")
        while now < following:
            window = course.next(now, lead, pace)
            if window is None:
                due = course.due(lead)
                if due is None or due >= following:
                    break
                now = max(due, now)
                continue
            now += decoding
            course.deliver(window, now)
            yield window


def test_nothing_is_decoded_before_something_is_final() -> None:
    course, now = fed(2)
    assert course.next(now, LEAD) is None
    assert course.due(LEAD) is None


def test_the_first_piece_is_what_three_frames_make_final() -> None:
    course, now = fed(3)
    window = course.next(now, LEAD)
    assert window is not None
    assert (window.keep_from, window.keep_to, window.shape.frames) == (0, 1344, 3)


def test_where_frames_come_slowly_the_first_piece_waits_for_a_fourth() -> None:
    course, now = fed(3, interval=0.07)
    assert course.next(now, LEAD) is None
    course.push(now + 0.07)
    window = course.next(now + 0.07, LEAD)
    assert window is not None
    assert (window.keep_to, window.shape.frames) == (3392, 4)


def test_where_decoding_is_slow_too() -> None:
    course, now = fed(3)
    assert course.next(now, LEAD, pace=0.04) is None


def test_the_fast_first_piece_is_a_whole_frame_with_two_behind_it() -> None:
    course, now = fed(3, interval=0.08, exact=False)
    window = course.next(now, LEAD)
    assert window is not None
    assert (window.keep_from, window.keep_to, window.shape.frames) == (0, FRAME_SAMPLES, 3)


def test_behind_the_fast_first_piece_everything_is_exact() -> None:
    course, now = fed(3, exact=False)
    delivered(course, now)
    course.push(now)
    window = course.next(course.deadline, LEAD)
    assert window is not None
    assert (window.keep_from, window.keep_to) == (FRAME_SAMPLES, final(4))


def test_a_fast_first_piece_is_exact_where_the_frames_are_there_anyway() -> None:
    course, now = fed(4, exact=False)
    window = course.next(now, LEAD)
    assert window is not None
    assert window.keep_to in (final(3), final(4))


@pytest.mark.parametrize("frames", [1, 2])
def test_an_utterance_too_short_for_a_first_piece_comes_whole_at_its_end(frames: int) -> None:
    course, now = fed(frames)
    course.finish()
    window = delivered(course, now)
    assert (window.keep_from, window.keep_to) == (0, frames * FRAME_SAMPLES)
    assert course.done


def test_an_utterance_without_frames_is_done_at_its_end() -> None:
    course = Course(SIZES)
    assert not course.done
    course.finish()
    assert course.done
    assert course.next(0.0, LEAD) is None


def test_pieces_double_while_the_frames_are_there() -> None:
    course, now = fed(40)
    sizes = [round((delivered(course, now).keep_to - final(2)) / FRAME_SAMPLES) for _ in range(6)]
    assert sizes == [1, 3, 7, 15, 23, 31]


def test_less_than_a_full_piece_waits_until_the_listener_would_run_dry() -> None:
    course, now = fed(3)
    delivered(course, now)
    course.push(now)
    assert course.next(now, LEAD) is None
    due = course.due(LEAD)
    assert due == pytest.approx(now + 1344 / SAMPLE_RATE - LEAD)
    window = course.next(due, LEAD)
    assert window is not None
    assert window.keep_to == final(4)


def test_a_full_piece_does_not_wait() -> None:
    course, now = fed(5)
    delivered(course, now)
    window = course.next(now, LEAD)
    assert window is not None
    assert window.keep_to == final(5)


def test_what_is_left_at_the_end_goes_at_once() -> None:
    course, now = fed(4)
    delivered(course, now)
    assert course.next(now, LEAD) is None
    course.finish()
    delivered(course, now)
    assert course.done


def test_even_a_finished_stream_begins_with_a_small_piece() -> None:
    course, now = fed(100)
    course.finish()
    assert delivered(course, now).keep_to == final(3)
    assert delivered(course, now).keep_to == final(5)


def test_before_the_first_sound_the_deadline_is_when_the_stream_began() -> None:
    course, _ = fed(3)
    assert course.deadline == 10


def test_the_deadline_is_when_all_that_was_delivered_is_heard() -> None:
    course, now = fed(5)
    delivered(course, now)
    delivered(course, now + 0.01)
    assert course.deadline == pytest.approx(now + final(5) / SAMPLE_RATE)


def test_after_a_gap_the_deadline_counts_from_the_sound_that_ended_it() -> None:
    course, now = fed(5)
    delivered(course, now)
    delivered(course, now + 5)
    assert course.deadline == pytest.approx(now + 5 + 2 * FRAME)


ARRIVALS = st.lists(st.floats(0, 0.2), min_size=1, max_size=60)


@given(
    ARRIVALS,
    st.booleans(),
    st.sampled_from([(SIZES, ()), (POWERS, WIDTHS), ((1,), ())]),
    st.floats(0, 0.3),
    st.floats(0, 0.3),
)
def test_pieces_join_without_a_gap_from_the_first_sample_to_the_last(
    intervals: list[float], exact: bool, grid: tuple[tuple[int, ...], tuple[int, ...]], decoding: float, pace: float
) -> None:
    arrivals = [sum(intervals[:at]) for at in range(len(intervals))]
    course = Course(*grid, exact=exact)
    position = 0
    for window in run(course, arrivals, decoding=decoding, pace=pace):
        assert window.keep_from == position
        assert window.keep_to > position
        assert course.oldest <= window.start
        position = window.keep_to
    assert position == len(arrivals) * FRAME_SAMPLES
    assert course.done


@given(st.integers(0, 400), st.integers(0, 40), st.sampled_from([(SIZES, ()), (POWERS, WIDTHS)]))
def test_what_may_be_wanted_again_is_kept(
    frames: int, more: int, grid: tuple[tuple[int, ...], tuple[int, ...]]
) -> None:
    course = Course(*grid)
    for index in range(frames):
        course.push(0.01 * index)
        while (window := course.next(0.01 * index, LEAD)) is not None:
            assert window.start >= course.oldest
            course.deliver(window, 0.01 * index)
    for _ in range(more):
        course.push(5.0)
    course.finish()
    while (window := course.next(5.0, LEAD)) is not None:
        assert window.start >= course.oldest
        course.deliver(window, 5.0)
    assert course.done


@pytest.mark.parametrize("interval", [FRAME / 1.1, FRAME / 2, FRAME / 4])
def test_frames_that_come_faster_than_they_are_heard_never_leave_the_listener_dry(interval: float) -> None:
    """All that was delivered, before the deadline: the time at which the listener began. A gap would move it."""
    course = Course(SIZES)
    arrivals = [index * interval for index in range(200)]
    began = [course.deadline - course.delivered / SAMPLE_RATE for _ in run(course, arrivals, decoding=0.01, lead=0.05)]
    assert began == pytest.approx([began[0]] * len(began))


def gaps(course: Course, arrivals: list[float], cost: float) -> list[float]:
    """Seconds that the listener waits between windows, where each takes ``cost`` for each frame of its work."""
    now, found = 0.0, []
    waiting = list(arrivals)
    while not course.done:
        while waiting and waiting[0] <= now:
            course.push(waiting.pop(0))
        if not waiting:
            course.finish()
        window = course.next(now, LEAD + 6 * cost, cost)
        if window is None:
            due = course.due(LEAD + 6 * cost)
            now = min([max(now, one) for one in (due, waiting[0] if waiting else None) if one is not None])
            continue
        now += cost * window.shape.work
        if course.delivered:
            found.append(max(0.0, now - course.deadline))
        course.deliver(window, now)
    return found


@pytest.mark.parametrize("interval", [0.0, 0.012, 0.03, 0.042, 0.056, 0.07, FRAME / 1.05])
@pytest.mark.parametrize("cost", [0.005, 0.018, 0.025, 0.03, 0.037, 0.044, 0.055])
def test_a_slow_processor_that_is_fast_enough_leaves_no_gap(interval: float, cost: float) -> None:
    """Milliseconds of a whole decode's frame; at 85 it would be no faster than the sound."""
    arrivals = [index * interval for index in range(60)]
    assert max(gaps(Course(SIZES), arrivals, cost)) < 1e-9


@pytest.mark.parametrize("cost", [0.005, 0.018, 0.025, 0.03, 0.037, 0.044, 0.055])
def test_nor_does_the_fast_first_piece_where_the_frames_come_in_time(cost: float) -> None:
    arrivals = [index * 0.03 for index in range(60)]
    assert max(gaps(Course(SIZES, exact=False), arrivals, cost)) < 1e-9


@pytest.mark.parametrize("cost", [0.0, 0.018, 0.03, 0.044, 0.055, 0.5])
@pytest.mark.parametrize("frames", range(1, 9))
def test_however_slow_the_processor_a_short_utterance_comes_to_its_end(frames: int, cost: float) -> None:
    for exact in (True, False):
        course, now = fed(frames, exact=exact)
        course.finish()
        while (window := course.next(now, LEAD, cost)) is not None:
            course.deliver(window, now)
        assert course.done


def test_a_fast_processor_still_begins_with_three_frames() -> None:
    for interval in (0.0, 0.03, 0.042):
        course, now = fed(3, interval=interval)
        window = course.next(now, LEAD, pace=0.018)
        assert window is not None
        assert window.keep_to == 1344


def test_the_slower_the_processor_the_longer_the_first_piece() -> None:
    course, now = fed(40, interval=0.0)
    firsts = []
    for cost in (0.018, 0.03, 0.044, 0.055, 0.5):
        window = course.next(now, LEAD, cost)
        assert window is not None
        firsts.append(window.keep_to)
    assert firsts == [1344, 3392, 3392, 7488, 7488]


def test_a_piece_is_no_longer_than_can_be_decoded_before_it_is_wanted() -> None:
    course, now = fed(40)
    delivered(course, now)
    window = course.next(now, LEAD, pace=0.025)
    assert window is not None
    assert window.keep_to == final(4)
    # Too late for any: then the longest costs least.
    late = course.next(course.deadline, LEAD, pace=0.025)
    assert late is not None
    assert late.keep_to == final(5)
