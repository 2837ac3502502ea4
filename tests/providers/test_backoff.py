from __future__ import annotations

from providers.backoff import Backoff


def test_each_failure_in_a_row_doubles_the_wait_up_to_five_minutes() -> None:
    backoff = Backoff()
    assert [backoff.failed(0.0) for _ in range(8)] == [5, 10, 20, 40, 80, 160, 300, 300]


def test_what_has_failed_is_due_once_its_wait_is_over() -> None:
    backoff = Backoff()
    assert (backoff.due(100.0), backoff.left(100.0)) == (False, None)
    backoff.failed(100.0)
    assert (backoff.due(104.0), backoff.left(104.0)) == (False, 1.0)
    assert (backoff.due(105.0), backoff.left(106.0)) == (True, 0.0)


def test_a_start_ends_the_row() -> None:
    backoff = Backoff()
    backoff.failed(0.0)
    backoff.failed(5.0)
    backoff.succeeded(20.0)
    assert (backoff.failures, backoff.left(20.0), backoff.failed(30.0)) == (0, None, 5.0)


def test_the_first_loss_is_mended_at_once_and_those_soon_after_it_wait() -> None:
    backoff = Backoff()
    waits = []
    for now in (0.0, 10.0, 20.0):
        backoff.succeeded(now)
        waits.append(0.0 if backoff.lost(now + 5.0) else backoff.failed(now + 5.0))
    assert waits == [0.0, 5.0, 10.0]


def test_a_loss_after_a_minute_of_service_begins_a_new_row() -> None:
    backoff = Backoff()
    backoff.succeeded(0.0)
    assert backoff.lost(5.0)
    backoff.succeeded(6.0)
    assert backoff.lost(66.0)


def test_what_is_forgotten_is_never_due() -> None:
    backoff = Backoff()
    backoff.failed(0.0)
    backoff.forget()
    assert (backoff.due(1e9), backoff.left(1e9)) == (False, None)
