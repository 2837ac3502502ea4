from gateway.dialects.window import MARK_EVERY_S, Window
from gateway.events import Pace


def fill(window: Window, seconds: float, size: int, marks: int = 0) -> int:
    """Send frames of 20 ms and ``size`` bytes until the window is full; how many marks were due by then."""
    for _ in range(100_000):
        if window.full(read=0):
            return marks
        if window.sent(seconds, size):
            marks += 1
            window.marked(marks)
    raise AssertionError("the window never fills")


def test_realtime_is_bounded_in_seconds() -> None:
    window = Window(Pace.REALTIME, 1.0, 100_000)
    assert fill(window, 0.02, 960) == 2


def test_burst_is_bounded_in_bytes() -> None:
    window = Window(Pace.BURST, 1.0, 100_000)
    sent = 0
    marks = 0
    while not window.full(read=0):
        sent += 960
        if window.sent(0.02, 960):
            marks += 1
            window.marked(marks)
    assert 100_000 <= sent < 101_000


def test_an_answered_mark_opens_the_window_by_what_lay_before_it() -> None:
    window = Window(Pace.REALTIME, 1.0, 100_000)
    fill(window, 0.02, 960)
    assert window.full(read=0)
    assert not window.full(read=1)
    for _ in range(round(MARK_EVERY_S / 0.02) - 1):
        window.sent(0.02, 960)
    assert not window.full(read=1)
    window.sent(0.02, 960)
    window.sent(0.02, 960)
    assert window.full(read=1)


def test_without_marks_the_window_never_fills() -> None:
    window = Window(Pace.REALTIME, 1.0, 100_000)
    for _ in range(1000):
        window.sent(0.02, 960)
    assert not window.full(read=0)


def test_a_limit_below_the_usual_distance_of_marks_still_gets_marks() -> None:
    window = Window(Pace.REALTIME, 0.1, 100_000)
    assert fill(window, 0.02, 960) >= 1
