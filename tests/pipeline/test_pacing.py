import asyncio

import pytest

from gateway.clock import Clock
from gateway.pipeline.pacing import TICK, Playback, Wheel
from tests.support.virtual_time import settle, virtual_time


def wheel() -> tuple[Wheel, Clock]:
    clock = Clock(now=asyncio.get_running_loop().time)
    return Wheel(clock), clock


@virtual_time
async def test_the_wheel_wakes_at_the_first_turn_after_the_time() -> None:
    turning, clock = wheel()
    when = clock.now() + 0.1234
    await turning.until(when)
    assert when <= clock.now() <= when + TICK + 0.001


@virtual_time
async def test_the_wheel_wakes_everyone_in_the_order_of_their_times() -> None:
    turning, clock = wheel()
    began = clock.now()
    woken: list[float] = []

    async def sleeper(seconds: float) -> None:
        await turning.until(began + seconds)
        woken.append(seconds)

    async with asyncio.TaskGroup() as group:
        for seconds in (0.3, 0.1, 0.2, 0.1, 0.05):
            group.create_task(sleeper(seconds))
    assert woken == [0.05, 0.1, 0.1, 0.2, 0.3]
    assert turning.waiting == 0


@virtual_time
async def test_a_cancelled_sleeper_does_not_disturb_the_others() -> None:
    turning, clock = wheel()
    began = clock.now()
    first = asyncio.create_task(turning.until(began + 0.1))
    second = asyncio.create_task(turning.until(began + 0.1))
    await settle()
    first.cancel()
    await second
    assert first.cancelled()


@virtual_time
async def test_a_time_that_is_over_returns_at_the_next_turn() -> None:
    turning, clock = wheel()
    began = clock.now()
    await turning.until(began - 5)
    assert clock.now() - began <= TICK


def test_nothing_is_due_before_the_first_frame_left() -> None:
    assert Playback().due(0.4) == 0.0


def test_a_frame_is_due_a_lead_before_its_play_time() -> None:
    playback = Playback()
    playback.send(100.0, 0.5)
    assert playback.due(0.2) == pytest.approx(100.3)


def test_a_frame_in_time_is_no_gap() -> None:
    playback = Playback()
    playback.send(100.0, 0.5)
    assert playback.send(100.4, 0.5) == 0.0
    assert playback.due(0.0) == pytest.approx(101.0)


def test_a_late_frame_moves_all_later_play_times() -> None:
    playback = Playback()
    playback.send(100.0, 0.5)
    assert playback.send(100.7, 0.5) == pytest.approx(0.2)
    assert playback.due(0.0) == pytest.approx(101.2)


def test_what_was_heard_is_bounded_by_what_was_sent() -> None:
    playback = Playback()
    assert playback.heard(99.0) == 0.0
    playback.send(100.0, 0.5)
    assert playback.heard(100.2) == pytest.approx(0.2)
    assert playback.heard(107.0) == 0.5


def test_the_longest_gap_is_kept() -> None:
    playback = Playback()
    playback.count(0.1)
    playback.count(0.3)
    playback.count(0.2)
    assert (playback.underruns, playback.longest_gap) == (3, 0.3)
    assert playback.underrun == pytest.approx(0.6)
