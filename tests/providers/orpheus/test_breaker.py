"""When a server is left alone, and when it is asked again. Time is the test's."""

from __future__ import annotations

from providers.orpheus.breaker import Breaker, State


def opened() -> Breaker:
    breaker = Breaker(1, pause=1.0, longest=8.0)
    assert breaker.fail(100.0)
    return breaker


def test_it_opens_after_so_many_failures_in_a_row() -> None:
    breaker = Breaker(3, 1.0, 8.0)
    assert [breaker.fail(0.0) for _ in range(3)] == [False, False, True]
    assert breaker.state is State.OPEN


def test_a_success_between_them_begins_the_count_anew() -> None:
    breaker = Breaker(2, 1.0, 8.0)
    for _ in range(5):
        assert not breaker.fail(0.0)
        breaker.succeed()
    assert breaker.closed


def test_no_probe_before_its_time() -> None:
    breaker = opened()
    assert not breaker.probe(100.9)
    assert breaker.wait(100.25) == 0.75
    assert breaker.probe(101.0)
    assert breaker.state is State.PROBING


def test_one_probe_at_a_time() -> None:
    breaker = opened()
    assert breaker.probe(101.0)
    assert not breaker.probe(101.0)


def test_a_probe_that_succeeds_closes_it() -> None:
    breaker = opened()
    breaker.probe(101.0)
    breaker.probed(101.0, ok=True)
    assert breaker.closed


def test_each_failed_probe_doubles_the_wait_up_to_the_longest() -> None:
    breaker, now, waits = opened(), 100.0, []
    for _ in range(6):
        waits.append(breaker.wait(now))
        now += breaker.wait(now)
        assert breaker.probe(now)
        breaker.probed(now, ok=False)
    assert waits == [1.0, 2.0, 4.0, 8.0, 8.0, 8.0]


def test_a_recovery_makes_the_wait_short_again() -> None:
    breaker = opened()
    breaker.probe(101.0)
    breaker.probed(101.0, ok=False)
    breaker.probe(103.0)
    breaker.probed(103.0, ok=True)
    breaker.fail(200.0)
    assert breaker.wait(200.0) == 1.0


def test_what_began_before_it_opened_changes_nothing() -> None:
    breaker = opened()
    breaker.succeed()
    assert not breaker.fail(100.5)
    assert breaker.state is State.OPEN
    assert breaker.wait(100.5) == 0.5


def test_it_can_be_opened_at_once() -> None:
    breaker = Breaker(3, 1.0, 8.0)
    breaker.trip(5.0)
    assert breaker.wait(5.0) == 1.0
