"""The lane: order, fairness, cancellation, closing. Threads are held by events that the test sets."""

from __future__ import annotations

import asyncio
import gc
import logging
import random
import threading
import weakref
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import aclosing, suppress
from functools import partial

import pytest

from providers import lane as lane_module
from providers.base import EngineBusy, EngineFailed, EngineUnavailable
from providers.lane import Lane


class Work:
    """An iterator of ``items`` that waits for ``gate`` before the one at index ``held``."""

    def __init__(self, items: int = 3, *, held: int | None = None) -> None:
        self.gate = threading.Event()
        self.reached = threading.Event()
        self.made = self.closed = 0
        self.closed_on = ""
        self._items = items
        self._held = held

    def __call__(self) -> Iterator[int]:
        self.made += 1
        try:
            for index in range(self._items):
                if index == self._held:
                    self.reached.set()
                    self.gate.wait()
                yield index
        finally:
            self.closed += 1
            self.closed_on = threading.current_thread().name


@pytest.fixture(autouse=True)
def _two_cores(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lane_module, "cores", lambda: 2)


@pytest.fixture
async def one() -> AsyncIterator[Lane]:
    lane = Lane(1, "one", max_waiting=2, retry_after=1.5)
    yield lane
    await lane.close()


async def spin(until: Callable[[], object]) -> None:
    """Turn the loop until something that no thread can signal is so."""
    while not until():  # noqa: ASYNC110
        await asyncio.sleep(0)


def threads(lane: Lane) -> list[str]:
    return [thread.name for thread in threading.enumerate() if thread.name.startswith(f"lane-{lane.name}_")]


async def collect(lane: Lane, work: Callable[[], Iterator[int]], *, exclusive: bool = False) -> list[int]:
    return [item async for item in lane.iterate(work, exclusive=exclusive)]


async def held(lane: Lane) -> tuple[Work, asyncio.Task[list[int]]]:
    """A segment whose first item is being made, and the task that waits for it."""
    work = Work(held=0)
    task = asyncio.create_task(collect(lane, work))
    await spin(work.reached.is_set)
    return work, task


@pytest.mark.parametrize("exclusive", [False, True])
async def test_items_come_in_order_and_the_iterator_is_closed(one: Lane, exclusive: bool) -> None:
    work = Work(5)
    assert await collect(one, work, exclusive=exclusive) == [0, 1, 2, 3, 4]
    assert (work.made, work.closed, one.busy, one.waiting) == (1, 1, 0, 0)


def test_there_are_never_more_workers_than_cores() -> None:
    assert [Lane(width, "n").width for width in (0, 1, 2, 64)] == [1, 1, 2, 2]


async def test_two_workers_work_at_once() -> None:
    lane = Lane(2, "two")
    barrier = threading.Barrier(2)
    await asyncio.gather(lane.run(barrier.wait), lane.run(barrier.wait))
    await lane.close()


async def test_a_slow_consumer_holds_no_worker_between_items(one: Lane) -> None:
    async with aclosing(one.iterate(Work())) as slow:
        assert await anext(slow) == 0
        assert one.busy == 0
        assert await collect(one, Work()) == [0, 1, 2]


async def test_segments_take_turns(one: Lane) -> None:
    turns: list[str] = []

    def say(name: str) -> Iterator[int]:
        for index in range(3):
            turns.append(name)
            yield index

    await asyncio.gather(*(collect(one, partial(say, name)) for name in "abc"))
    assert "".join(turns) == "abcabcabc"


async def test_a_cancelled_pull_returns_while_its_thread_still_works(one: Lane) -> None:
    work, task = await held(one)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert (one.busy, work.closed) == (1, 0)
    work.gate.set()
    await one.idle()
    assert (one.busy, work.closed) == (0, 1)
    assert work.closed_on.startswith("lane-one_")


async def test_an_iterator_left_between_items_is_closed_on_a_worker(one: Lane) -> None:
    work = Work()
    async with aclosing(one.iterate(work)) as items:
        await anext(items)
    await one.idle()
    assert work.closed == 1
    assert work.closed_on.startswith("lane-one_")


async def test_an_iterator_left_while_all_workers_are_busy_is_closed_before_waiting_work(one: Lane) -> None:
    left = Work()
    items = one.iterate(left)
    await anext(items)
    work, task = await held(one)
    later = asyncio.create_task(one.run(lambda: left.closed))
    await spin(lambda: one.waiting)
    await items.aclose()
    assert left.closed == 0
    work.gate.set()
    assert await later == 1
    assert await task == [0, 1, 2]


async def test_cancelling_work_that_waits_forgets_it(one: Lane) -> None:
    work, task = await held(one)
    never = Work()
    waiting = asyncio.create_task(collect(one, never))
    await spin(lambda: one.waiting)
    waiting.cancel()
    await asyncio.wait((waiting,))
    assert one.waiting == 0
    work.gate.set()
    assert await task == [0, 1, 2]
    assert never.made == 0


async def test_a_place_that_comes_together_with_a_cancel_is_not_lost(one: Lane) -> None:
    items = one.iterate(lambda: [0], exclusive=True)
    assert await anext(items) == 0
    waiting = asyncio.create_task(one.run(int))
    await spin(lambda: one.waiting)
    assert await anext(items, None) is None
    waiting.cancel()
    await asyncio.wait((waiting,))
    assert waiting.cancelled()
    await one.idle()
    assert one.busy == 0


async def test_an_iterator_that_nobody_pulls_is_never_made(one: Lane) -> None:
    work = Work()
    await one.iterate(work).aclose()
    assert (work.made, one.busy) == (0, 0)


async def test_what_the_iterator_raises_reaches_the_consumer(one: Lane) -> None:
    def broken() -> Iterator[int]:
        yield 0
        raise EngineFailed("it broke")

    items = one.iterate(broken)
    assert await anext(items) == 0
    with pytest.raises(EngineFailed, match="it broke"):
        await anext(items)
    assert one.busy == 0


async def test_what_making_the_iterator_raises_reaches_the_consumer(one: Lane) -> None:
    def broken() -> Iterator[int]:
        raise EngineFailed("it broke")

    with pytest.raises(EngineFailed, match="it broke"):
        await collect(one, broken)
    assert one.busy == 0


class Panic(BaseException):
    """As what a library raises that is written in Rust."""


@pytest.mark.parametrize("error", [StopIteration(), asyncio.CancelledError(), SystemExit(2), Panic()])
async def test_an_exception_that_means_something_to_a_future_is_a_failure(one: Lane, error: BaseException) -> None:
    def broken() -> Iterator[int]:
        raise error

    with pytest.raises(EngineFailed):
        await one.run(broken)
    with pytest.raises(EngineFailed):
        await collect(one, broken)
    assert one.busy == 0


async def test_an_error_in_close_is_logged(one: Lane, caplog: pytest.LogCaptureFixture) -> None:
    def stubborn() -> Iterator[int]:
        try:
            yield 0
        finally:
            raise OSError("no")

    async with aclosing(one.iterate(stubborn)) as items:
        await anext(items)
    with caplog.at_level(logging.ERROR, "providers.lane"):
        await one.idle()
    assert "closing an engine's iterator failed" in caplog.text


async def test_an_error_of_abandoned_work_is_nobodys(one: Lane, caplog: pytest.LogCaptureFixture) -> None:
    gate, reached = threading.Event(), threading.Event()

    def broken() -> None:
        reached.set()
        gate.wait()
        raise OSError("no")

    task = asyncio.create_task(one.run(broken))
    await spin(reached.is_set)
    task.cancel()
    await asyncio.wait((task,))
    gate.set()
    await one.idle()
    assert not caplog.records


class Sound:
    """What an engine has in its hands."""


@pytest.mark.parametrize("walks", [False, True])
async def test_an_error_that_is_forgotten_keeps_nothing_alive(one: Lane, walks: bool) -> None:
    sounds: list[weakref.ref[Sound]] = []

    def broken() -> Iterator[int]:
        sound = Sound()
        sounds.append(weakref.ref(sound))
        raise EngineFailed("it broke")

    gc.collect()
    gc.disable()
    try:
        with suppress(EngineFailed):
            await (collect(one, broken) if walks else one.run(broken))
        # The thread tells of the error while it still has it in its hands.
        await spin(lambda: [sound() for sound in sounds] == [None])
    finally:
        gc.enable()


async def test_too_much_new_work_is_refused(one: Lane) -> None:
    work, task = await held(one)
    waiting = [asyncio.create_task(one.run(int)) for _ in range(2)]
    await spin(lambda: one.waiting == 2)
    with pytest.raises(EngineBusy) as refused:
        await one.run(int)
    assert refused.value.retry_after == 1.5
    work.gate.set()
    assert await asyncio.gather(*waiting, task) == [0, 0, [0, 1, 2]]


async def test_a_segment_under_way_is_not_refused(one: Lane) -> None:
    items = one.iterate(Work())
    await anext(items)
    work, task = await held(one)
    waiting = [asyncio.create_task(one.run(int)) for _ in range(2)]
    await spin(lambda: one.waiting == 2)
    rest = asyncio.create_task(anext(items))
    await spin(lambda: one.waiting == 3)
    work.gate.set()
    assert await rest == 1
    await asyncio.gather(*waiting, task)
    await items.aclose()


async def test_an_exclusive_segment_keeps_its_place_until_it_is_left(one: Lane) -> None:
    work = Work()
    items = one.iterate(work, exclusive=True)
    await anext(items)
    other = asyncio.create_task(one.run(lambda: work.closed))
    await spin(lambda: one.waiting)
    assert await anext(items) == 1
    assert (one.busy, one.waiting) == (1, 1)
    await items.aclose()
    assert await other == 1


async def test_close_refuses_what_waits_and_what_comes(one: Lane) -> None:
    work, task = await held(one)
    waiting = asyncio.create_task(one.run(int))
    await spin(lambda: one.waiting)
    closing = asyncio.create_task(one.close())
    with pytest.raises(EngineUnavailable):
        await waiting
    with pytest.raises(EngineUnavailable):
        await one.run(int)
    assert not closing.done()
    work.gate.set()
    await closing
    with pytest.raises(EngineUnavailable):
        await task
    assert (work.closed, one.busy, threads(one)) == (1, 0, [])


@pytest.mark.parametrize("exclusive", [False, True])
async def test_close_closes_an_iterator_between_items(one: Lane, exclusive: bool) -> None:
    work = Work()
    items = one.iterate(work, exclusive=exclusive)
    await anext(items)
    await one.close()
    assert work.closed == 1
    with pytest.raises(EngineUnavailable):
        await anext(items)
    assert (one.busy, threads(one)) == (0, [])


async def test_close_works_twice_and_unused() -> None:
    lane = Lane(2, "unused")
    await asyncio.gather(lane.close(), lane.close())
    await lane.close()
    assert threads(lane) == []


async def test_random_cancels_leave_nothing_behind() -> None:
    chance = random.Random(7)
    lane = Lane(2, "random", max_waiting=1000)
    works = [Work(chance.randrange(5)) for _ in range(200)]
    tasks = [asyncio.create_task(collect(lane, work, exclusive=chance.random() < 0.3)) for work in works]
    for task in chance.sample(tasks, 120):
        for _ in range(chance.randrange(4)):
            await asyncio.sleep(0)
        task.cancel()
    await asyncio.wait(tasks)
    await lane.idle()
    assert (lane.busy, lane.waiting) == (0, 0)
    assert all(work.made == work.closed for work in works)
    await lane.close()
    assert threads(lane) == []


async def test_what_is_listened_to_goes_before_a_batch_that_came_first(one: Lane) -> None:
    work, running = await held(one)
    order: list[str] = []

    async def walk(name: str, *, batch: bool) -> None:
        async for _ in one.iterate(lambda: iter([0, 1]), batch=batch):
            order.append(name)  # noqa: PERF401 - as they come

    batch = asyncio.create_task(walk("batch", batch=True))
    await spin(lambda: one.waiting == 1)
    listened = asyncio.create_task(walk("listened", batch=False))
    await spin(lambda: one.waiting == 2)
    work.gate.set()
    await asyncio.gather(running, batch, listened)
    assert order == ["listened", "listened", "batch", "batch"]


async def test_who_has_waited_too_long_is_told_to_come_later() -> None:
    lane = Lane(1, "short", max_wait=0.0, retry_after=1.5)
    work, running = await held(lane)
    with pytest.raises(EngineBusy) as refused:
        await collect(lane, Work())
    assert (refused.value.retry_after, lane.waiting) == (1.5, 0)
    work.gate.set()
    assert await running == [0, 1, 2]
    await lane.close()


async def test_a_call_for_a_batch_waits_behind_what_is_listened_to(one: Lane) -> None:
    work, running = await held(one)
    order: list[str] = []
    batch = asyncio.create_task(one.run(order.append, "batch", batch=True))
    await spin(lambda: one.waiting == 1)
    listened = asyncio.create_task(one.run(order.append, "listened"))
    await spin(lambda: one.waiting == 2)
    work.gate.set()
    await asyncio.gather(running, batch, listened)
    assert order == ["listened", "batch"]


async def test_batch_work_takes_no_room_from_what_is_listened_to(one: Lane) -> None:
    work, running = await held(one)
    waiting = [asyncio.create_task(one.run(int, batch=True)) for _ in range(2)]
    await spin(lambda: one.waiting == 2)
    with pytest.raises(EngineBusy):
        await one.run(int, batch=True)
    waiting += [asyncio.create_task(one.run(int)) for _ in range(2)]
    await spin(lambda: one.waiting == 4)
    with pytest.raises(EngineBusy):
        await one.run(int)
    work.gate.set()
    await asyncio.gather(running, *waiting)


async def test_batch_work_waits_as_long_as_it_takes() -> None:
    lane = Lane(1, "patient", max_wait=0.0)
    work, running = await held(lane)
    batch = asyncio.create_task(lane.run(lambda: 7, batch=True))
    await spin(lambda: lane.waiting)
    with pytest.raises(EngineBusy):
        await lane.run(int)
    work.gate.set()
    assert await batch == 7
    await running
    await lane.close()


async def test_a_closed_lane_can_be_opened_again(one: Lane) -> None:
    await one.close()
    assert threads(one) == []
    one.open()
    assert await collect(one, Work()) == [0, 1, 2]


async def test_a_lane_that_is_opened_while_it_closes_takes_work(one: Lane) -> None:
    work, running = await held(one)
    closing = asyncio.create_task(one.close())
    await asyncio.sleep(0)
    one.open()
    later = asyncio.create_task(collect(one, Work()))
    await spin(lambda: one.waiting)
    work.gate.set()
    assert await later == [0, 1, 2]
    with pytest.raises(EngineUnavailable):
        await running
    await closing
    assert await one.run(lambda: 7) == 7
    await one.close()
    assert threads(one) == []
