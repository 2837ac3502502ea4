"""How an engine on torch begins and ends, without torch."""

from __future__ import annotations

import threading

import pytest

from providers import torch_engine
from providers.base import EngineFailed
from providers.instances import Instances
from providers.lane import Lane


async def test_where_it_cannot_warm_up_nothing_stays() -> None:
    lane, models = Lane(1, "x"), Instances(object)
    threads = set(threading.enumerate())

    async def warm_up() -> None:
        def take() -> None:
            with models.take():
                raise EngineFailed("it cannot speak")

        await lane.run(take)

    with pytest.raises(EngineFailed, match="it cannot speak") as error:
        await torch_engine.begin(lane, warm_up, [models])
    assert error.value.__context__ is error.value.__cause__ is None
    assert models.made == 0
    assert set(threading.enumerate()) <= threads


async def test_what_was_loaded_is_forgotten_at_the_end_and_may_be_loaded_again() -> None:
    lane, models = Lane(1, "x"), Instances(object)

    def use() -> object:
        with models.take() as model:
            return model

    async def warm_up() -> None:
        await lane.run(use)

    for _ in range(2):
        await torch_engine.begin(lane, warm_up, [models])
        assert models.made == 1
        await torch_engine.end(lane, [models])
        assert models.made == 0
    await torch_engine.end(lane, [models])
