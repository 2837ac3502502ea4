"""Who waits for his turn at an engine with a queue of its own in another process, and who waits for a stall."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing
from functools import partial
from typing import Any

import pytest

from gateway.errors import TimedOut
from gateway.pipeline.deadline import Deadline
from gateway.pipeline.synthesis import Limits
from providers.base import EngineUnavailable, PcmChunk, Segment
from providers.isolated import remote, turns
from providers.isolated.frames import Frame, Nonsense
from providers.isolated.turns import Turn, Wait
from providers.waiting import queued, watched
from tests.providers.isolated.processes import PLAIN, running
from tests.support.clock_ahead import clock_ahead
from tests.support.speech import chunks_heard
from tests.support.virtual_time import outcome, virtual_time

QUEUEING = "tests.support.wild:Queueing"


@pytest.fixture(autouse=True)
def _often(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(remote, "PULSE", 0.05)
    monkeypatch.setattr(turns, "PULSE", 0.05)


class Late:
    """An engine of whose chunks each is as if it had taken so many seconds more."""

    def __init__(self, engine: Any, put_ahead: Callable[[float], None], seconds: float) -> None:
        self._engine = engine
        self._late = partial(put_ahead, seconds)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._engine, name)

    async def synthesize(self, segment: Segment) -> AsyncGenerator[PcmChunk, None]:
        async with aclosing(self._engine.synthesize(segment)) as chunks:
            async for chunk in chunks:
                self._late()
                yield chunk


async def test_who_waits_for_his_turn_in_another_process_is_not_timed_out(monkeypatch: pytest.MonkeyPatch) -> None:
    put_ahead = clock_ahead(monkeypatch)
    async with running(QUEUEING) as engine:
        # The last waits for eight minutes. Nobody waits as long as he may for those ahead to get on.
        late, limits = Late(engine, put_ahead, 40.0), Limits(engine_timeout=120.0)
        heard = await asyncio.gather(*(chunks_heard(late, "200 200", limits) for _ in range(7)))
        assert heard == [2] * 7


async def test_an_engine_that_stalls_there_times_out_who_has_it_and_who_waits_for_it() -> None:
    async with running(QUEUEING) as engine:
        ends = await asyncio.gather(
            *(outcome(chunks_heard(engine, "1 0", Limits(engine_timeout=0.5))) for _ in range(3))
        )
        assert [type(end) for end in ends] == [TimedOut] * 3


@virtual_time
async def test_from_when_a_queue_moved_last_and_anew_once_the_turn_has_come_time_counts() -> None:
    loop = asyncio.get_running_loop()

    async def wait_for(turn: float) -> None:
        async with Deadline(1.0) as limit:
            limit.begin()
            wait = Wait()
            for _ in range(round(turn / 0.05)):
                wait.queued(0.7)
                await asyncio.sleep(0.05)
            wait.over()
            wait.over()
            await asyncio.sleep(60.0)

    for turn in (5.0, 50.0):
        began = loop.time()
        assert isinstance(await outcome(wait_for(turn)), TimeoutError)
        assert loop.time() - began == pytest.approx(turn + 1.0, abs=0.01)


@virtual_time
async def test_only_the_end_of_a_wait_that_was_told_of_is_told() -> None:
    loop = asyncio.get_running_loop()
    came: list[float] = []
    turn = Turn(lambda: came.append(loop.time()))
    began = loop.time()
    with watched(turn):
        with queued(lambda: began):
            await asyncio.sleep(1.0)
        assert (came, turn.tell()) == ([], None)
        with queued(lambda: began), queued(lambda: began + 1.5):
            await asyncio.sleep(1.0)
            assert turn.tell() == pytest.approx(0.5)
        assert came == [began + 2.0]


@pytest.mark.parametrize("nonsense", [None, Nonsense("not this")])
async def test_a_process_that_is_lost_just_as_it_says_that_it_started_has_not_started(
    nonsense: Nonsense | None,
) -> None:
    async with running(PLAIN) as engine:
        other = remote.Remote(PLAIN)
        try:
            await other.open({})
            starting = asyncio.create_task(other.start())
            await asyncio.sleep(0)
            other.received(Frame({"is": "done", "id": 2}))
            other.broken(nonsense)
            with pytest.raises(EngineUnavailable, match="while it was being loaded"):
                await starting
        finally:
            other.drop()
            await other.close()
        assert engine.process
