"""The life of an engine: loaded when it is needed, once for all who wait, and unloaded when nobody uses it."""

from __future__ import annotations

import asyncio
import gc
import weakref
from contextvars import ContextVar

import pytest

from gateway.events import Ended, Failed
from providers.base import EngineUnavailable
from providers.registry import Providers
from providers.status import State
from tests.support import rig
from tests.support.engines import Scripted
from tests.support.virtual_time import settle, virtual_time


@virtual_time
async def test_an_engine_that_is_not_preloaded_is_loaded_by_the_first_who_speaks() -> None:
    engine = Scripted()
    async with rig.gateway(engine, preload=()) as made:
        assert (engine.starts, made.providers.status["scripted"].state) == (0, State.IDLE)
        assert [voice.id for _, voice in made.providers.voices] == ["one", "two"]
        assert isinstance(await rig.Listener(made).say("Hello there.").start().done(), Ended)
        assert (engine.starts, made.providers.status["scripted"].state) == (1, State.READY)


@virtual_time
async def test_all_who_wait_for_an_engine_wait_for_one_start() -> None:
    engine = Scripted()
    engine.start_gate = asyncio.Event()
    async with rig.gateway(engine, preload=()) as made:
        waiting = [rig.Listener(made).say("Hello there.").start() for _ in range(5)]
        await settle()
        assert (engine.starts, made.providers.status["scripted"].users) == (1, 5)
        waiting[0].session.cancel()
        await waiting[0].done()
        engine.start_gate.set()
        assert [type(await listener.done()) for listener in waiting[1:]] == [Ended] * 4
        await settle()
        assert (engine.starts, made.providers.status["scripted"].users) == (1, 0)


@virtual_time
async def test_a_failed_start_is_told_to_all_and_tried_again_after_a_while_and_then_after_longer() -> None:
    engine = Scripted()
    engine.start_error = EngineUnavailable("no model")
    async with rig.gateway(engine, preload=()) as made:
        listeners = [rig.Listener(made).say("Hello there.").start() for _ in range(3)]
        ends = [await listener.done() for listener in listeners]
        assert [event.error.message for event in ends if isinstance(event, Failed)] == ["no model"] * 3
        await settle()
        status = made.providers.status["scripted"]
        assert (engine.starts, status.state, status.retry_after) == (1, State.FAILED, pytest.approx(5.0))
        with pytest.raises(EngineUnavailable):
            made.providers.find_voice()
        await asyncio.sleep(5.1)
        assert isinstance(await rig.Listener(made).say("Hello there.").start().done(), Failed)
        assert made.providers.status["scripted"].retry_after == pytest.approx(10.0)
        engine.start_error = None
        await asyncio.sleep(10.1)
        assert isinstance(await rig.Listener(made).say("Hello there.").start().done(), Ended)
        assert made.providers.status["scripted"].retry_after is None


@virtual_time
async def test_an_engine_that_nobody_uses_is_unloaded_and_loaded_again() -> None:
    engine = Scripted()
    async with rig.gateway(engine, engine_idle_s=60) as made:
        await asyncio.sleep(59)
        await rig.Listener(made).say("Hello there.").start().done()
        await asyncio.sleep(59)
        assert made.providers.status["scripted"].state is State.READY
        await asyncio.sleep(2)
        assert (engine.closes, made.providers.status["scripted"].state) == (1, State.IDLE)
        assert isinstance(await rig.Listener(made).say("Hello there.").start().done(), Ended)
        assert engine.starts == 2


@virtual_time
async def test_an_engine_that_speaks_is_not_unloaded() -> None:
    providers = Providers([Scripted()], idle=1.0)
    await providers.start()
    engine = providers.engine("scripted")
    async with providers.hold("scripted"):
        await asyncio.sleep(100)
        assert not await engine.unload()
    assert await engine.unload()
    await engine.start()
    assert engine.ready
    await providers.close()


@virtual_time
async def test_one_that_comes_while_an_engine_is_unloaded_gets_it_loaded() -> None:
    gate = asyncio.Event()

    class Slow(Scripted):
        async def close(self) -> None:
            await super().close()
            await gate.wait()

    engine = Slow()
    providers = Providers([engine])
    await providers.start()
    unloading = asyncio.create_task(providers.engine("scripted").unload())
    await settle()

    async def use() -> None:
        async with providers.hold("scripted"):
            assert providers.engine("scripted").ready

    using = asyncio.create_task(use())
    await settle()
    gate.set()
    await asyncio.gather(unloading, using)
    assert engine.starts == 2
    await providers.close()


@virtual_time
async def test_closing_ends_a_start_that_hangs() -> None:
    engine = Scripted()
    engine.start_gate = asyncio.Event()
    providers = Providers([engine], preload=())
    await providers.start()

    async def use() -> None:
        async with providers.hold("scripted"):
            pass

    using = asyncio.create_task(use())
    await settle()
    await providers.close()
    with pytest.raises(EngineUnavailable, match="closed"):
        await using


@virtual_time
async def test_an_engine_that_waits_to_be_unloaded_keeps_nothing_of_who_spoke_last() -> None:
    class Kept: ...

    held: ContextVar[Kept] = ContextVar("held")
    engine = Scripted()
    providers = Providers([engine], idle=3600.0)
    await providers.start()

    async def speak() -> weakref.ref[Kept]:
        held.set(kept := Kept())
        async with providers.hold("scripted"):
            return weakref.ref(kept)

    kept = await asyncio.create_task(speak())
    await settle()
    gc.collect()
    assert kept() is None
    await providers.close()
