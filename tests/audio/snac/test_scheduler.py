"""Which windows go together, and which go first."""

from hypothesis import given
from hypothesis import strategies as st

from audio.snac.scheduler import Scheduler
from audio.snac.window import Shape, Window

SMALL, LARGE = Shape(6, 77, 125), Shape(13, 77, 349)


def window(shape: Shape = SMALL, start: int = 9) -> Window:
    return Window(start, shape, 0, 100)


def scheduler(rows: int = 8) -> Scheduler[str]:
    return Scheduler(lambda _: rows)


def taken(scheduler: Scheduler[str]) -> list[str]:
    return [key for key, _ in scheduler.take()]


def test_nothing_is_taken_where_nothing_is_ready() -> None:
    assert scheduler().take() == []


def test_the_earliest_deadline_goes_first() -> None:
    one = scheduler(rows=1)
    for key, deadline in (("late", 3.0), ("early", 1.0), ("later", 9.0)):
        one.put(key, window(), deadline)
    assert [taken(one) for _ in range(4)] == [["early"], ["late"], ["later"], []]


def test_equal_deadlines_go_in_the_order_in_which_they_came() -> None:
    one = scheduler(rows=2)
    for key in "abc":
        one.put(key, window(), 1.0)
    assert taken(one) == ["a", "b"]


def test_equal_shapes_go_together_in_the_order_of_their_deadlines() -> None:
    one = scheduler()
    for key, deadline in (("b", 2.0), ("a", 1.0), ("c", 3.0)):
        one.put(key, window(), deadline)
    assert taken(one) == ["a", "b", "c"]


def test_another_shape_never_goes_along() -> None:
    one = scheduler()
    one.put("a", window(SMALL), 1.0)
    one.put("b", window(LARGE), 1.1)
    one.put("c", window(SMALL), 5.0)
    assert [taken(one), taken(one)] == [["a", "c"], ["b"]]


def test_the_same_frames_with_another_cut_are_another_shape() -> None:
    one = scheduler()
    one.put("a", window(Shape(6, 77, 125)), 1.0)
    one.put("b", window(Shape(6, 77, 192)), 1.0)
    assert taken(one) == ["a"]


def test_a_batch_is_as_large_as_its_shape_allows() -> None:
    one: Scheduler[int] = Scheduler(lambda shape: 3 if shape == LARGE else 5)
    for key in range(8):
        one.put(key, window(LARGE), 1.0)
    assert [len(one.take()) for _ in range(4)] == [3, 3, 2, 0]


def test_a_dropped_window_is_never_taken() -> None:
    one = scheduler()
    one.put("a", window(), 1.0)
    one.put("b", window(), 2.0)
    one.drop("a")
    one.drop("nobody")
    assert taken(one) == ["b"]


def test_a_stream_has_one_window_and_the_latest_counts() -> None:
    one = scheduler(rows=1)
    one.put("a", window(SMALL), 1.0)
    one.put("b", window(SMALL), 1.0)
    one.put("a", window(LARGE), 1.0)
    assert len(one) == 2
    assert one.take() == [("a", window(LARGE))]


@given(st.lists(st.tuples(st.sampled_from([SMALL, LARGE]), st.floats(0, 10)), max_size=40), st.integers(1, 9))
def test_every_window_is_taken_once_and_each_batch_begins_with_the_most_urgent(
    ready: list[tuple[Shape, float]], rows: int
) -> None:
    one: Scheduler[int] = Scheduler(lambda _: rows)
    for key, (shape, deadline) in enumerate(ready):
        one.put(key, window(shape), deadline)
    left = dict(enumerate(ready))
    while batch := one.take():
        keys = [key for key, _ in batch]
        assert left[keys[0]][1] == min(deadline for _, deadline in left.values())
        assert len({left[key][0] for key in keys}) == 1
        assert len(keys) <= rows
        for key in keys:
            del left[key]
    assert not left


def test_nobody_starves_though_others_keep_coming() -> None:
    """A deadline does not move, and that of whoever comes later is later."""
    one: Scheduler[object] = Scheduler(lambda _: 1)
    one.put("patient", window(LARGE), 3.0)
    now, rounds = 0.0, 0
    while "patient" not in [key for key, _ in one.take()]:
        now, rounds = now + 0.1, rounds + 1
        one.put(rounds, window(SMALL), now)
        one.put(-rounds, window(SMALL), now)
    assert rounds < 70
