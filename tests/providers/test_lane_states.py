"""A lane among many who come, cancel, leave, listen slowly and close it, by seeds, in virtual time: whatever they do,
what it promises holds after each step, and nothing is left behind."""

from __future__ import annotations

import asyncio
import random
from collections import Counter
from collections.abc import Iterator
from contextlib import aclosing

import pytest

from providers import lane as lane_module
from providers.base import EngineBusy, EngineFailed, EngineUnavailable
from tests.support.simulated import Simulated
from tests.support.virtual_time import virtual_time

WIDTH = 3


class World:
    """Sessions on one lane, and what became of them."""

    def __init__(self, seed: int) -> None:
        self.chance = random.Random(seed)
        width = self.chance.randint(1, WIDTH)
        takes = lambda: self.chance.choice([0.0, 0.1, 0.1, 0.5, 2.0])  # noqa: E731
        self.lane = Simulated(width, takes, max_waiting=self.chance.choice([2, 8, 100]), max_wait=5.0)
        self.outcomes: Counter[str] = Counter()
        self.open = self.owners = 0

    def script(self, *, exclusive: bool) -> Iterator[int]:
        self.open += 1
        self.owners += exclusive
        assert self.owners <= self.lane.width, "more exclusive segments than places"
        try:
            for index in range(self.chance.randrange(6)):
                if self.chance.random() < 0.03:
                    raise self.chance.choice([EngineFailed("it broke"), BaseException("panic")])
                yield index
        finally:
            self.open -= 1
            self.owners -= exclusive

    async def session(self) -> None:
        chance = self.chance
        batch, exclusive = chance.random() < 0.4, chance.random() < 0.4
        try:
            if chance.random() < 0.2:
                assert await self.lane.run(lambda: 7, batch=batch) == 7
            else:
                await self.walk(batch=batch, exclusive=exclusive, leaves=chance.random() < 0.2)
        except (EngineBusy, EngineFailed, EngineUnavailable) as error:
            self.outcomes[type(error).__name__] += 1
        else:
            self.outcomes["done"] += 1
        self.lane.check()

    async def walk(self, *, batch: bool, exclusive: bool, leaves: bool) -> None:
        work = lambda: self.script(exclusive=exclusive)  # noqa: E731
        heard = 0
        async with aclosing(self.lane.iterate(work, exclusive=exclusive, batch=batch)) as items:
            async for item in items:
                assert item == heard
                heard += 1
                if self.chance.random() < 0.3:
                    await asyncio.sleep(self.chance.choice([0.0, 0.2, 3.0]))
                if leaves and heard == 2:
                    return

    async def live(self) -> None:
        chance, tasks = self.chance, list[asyncio.Task[None]]()
        closing: list[asyncio.Task[None]] = []
        for _ in range(150):
            for _ in range(chance.choice([0, 1, 1, 2, 10])):
                tasks.append(asyncio.create_task(self.session()))
            if tasks and chance.random() < 0.4:
                for task in chance.sample(tasks, min(len(tasks), chance.randrange(6))):
                    task.cancel()
            if chance.random() < 0.02:
                closing.append(asyncio.create_task(self.lane.close()))
            if chance.random() < 0.1:
                self.lane.open()
            await asyncio.sleep(chance.choice([0.0, 0.0, 0.05, 0.3, 1.0]))
            self.lane.check()
            self.tell([task for task in tasks if task.done()])
            tasks = [task for task in tasks if not task.done()]
        await asyncio.gather(*closing)
        await asyncio.gather(*tasks, return_exceptions=True)
        self.tell(tasks)
        await self.lane.close()

    def tell(self, ended: list[asyncio.Task[None]]) -> None:
        for task in ended:
            if task.cancelled():
                self.outcomes["cancelled"] += 1
            else:
                task.result()


@pytest.mark.parametrize("seed", range(40))
def test_whatever_happens_no_place_and_no_iterator_is_lost(seed: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lane_module, "cores", lambda: WIDTH)

    @virtual_time
    async def check() -> None:
        world = World(seed)
        world.lane.open()
        await asyncio.wait_for(world.live(), 3600)
        lane = world.lane
        assert (lane.busy, lane.waiting, lane.at_once, world.open, world.owners) == (0, 0, 0, 0, 0)
        assert world.outcomes["done"] > 3, world.outcomes
        with pytest.raises(EngineUnavailable):
            await lane.run(int)

    check()


@virtual_time
async def test_batch_work_has_a_share_however_much_is_listened_to() -> None:
    lane = Simulated(1, lambda: 0.1)
    order: list[str] = []

    async def walk(name: str, *, batch: bool) -> None:
        async for _ in lane.iterate(lambda: iter(range(60)), batch=batch):
            order.append(name)  # noqa: PERF401 - as they come

    listened = [asyncio.create_task(walk("listened", batch=False)) for _ in range(3)]
    batches = [asyncio.create_task(walk(name, batch=True)) for name in ("batch", "another")]
    await asyncio.gather(*listened)
    while_listened = Counter(order)
    assert while_listened["listened"] == 180
    assert 180 // 16 - 1 <= while_listened["batch"] + while_listened["another"] <= 180 // 15 + 1
    assert abs(while_listened["batch"] - while_listened["another"]) <= 1
    await asyncio.gather(*batches)
    await lane.close()
