import pytest

from gateway.admission.rate_limit import RateLimit
from gateway.clock import Clock
from gateway.errors import RateLimited


class Time:
    def __init__(self) -> None:
        self.now = 100.0


def limit(requests: int, window: float = 60.0) -> tuple[RateLimit, Time]:
    time = Time()
    return RateLimit(requests, window, Clock(now=lambda: time.now)), time


def test_a_caller_is_refused_beyond_the_limit_and_told_when_the_window_ends() -> None:
    rate, time = limit(2)
    rate.count("a")
    time.now += 20
    rate.count("a")
    with pytest.raises(RateLimited) as refused:
        rate.count("a")
    assert refused.value.retry_after == pytest.approx(40.0)


def test_callers_are_counted_apart() -> None:
    rate, _ = limit(1)
    rate.count("a")
    rate.count("b")


def test_a_new_window_begins_with_nothing_counted() -> None:
    rate, time = limit(1)
    rate.count("a")
    time.now += 60
    rate.count("a")


def test_no_limit_refuses_nobody() -> None:
    rate, _ = limit(0)
    for _ in range(1000):
        rate.count("a")
    assert rate.busiest() == (0.0, 0.0)


def test_the_busiest_caller_is_shown() -> None:
    rate, time = limit(4)
    for _ in range(3):
        rate.count("a")
    rate.count("b")
    time.now += 10
    assert rate.busiest() == (0.75, pytest.approx(50.0))
    time.now += 60
    assert rate.busiest() == (0.0, 0.0)
