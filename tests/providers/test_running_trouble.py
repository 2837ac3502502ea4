"""An engine in trouble: starts that fail in odd ways, closes that hang, and callers who come and go meanwhile."""

from __future__ import annotations

import asyncio
import gc
import logging
import random
import threading
import types
import weakref
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress

import pytest

from providers import registry
from providers.base import (
    EngineFailed,
    EngineUnavailable,
    MissingDependency,
    Provider,
    ProviderError,
    UnknownProvider,
    Voice,
)
from providers.registry import Providers
from providers.running import Engine
from providers.status import State
from tests.support.engines import Scripted
from tests.support.virtual_time import outcome, settle, virtual_time


class Panic(BaseException):
    """As what a library raises that is written in Rust."""


class StuckOnce(Scripted):
    """Its first close hangs."""

    async def close(self) -> None:
        await super().close()
        if self.closes == 1:
            await asyncio.Event().wait()


@asynccontextmanager
async def running(engine: Provider, **settings: object) -> AsyncIterator[Engine]:
    settings.setdefault("preload", ())
    providers = Providers([engine], **settings)  # type: ignore[arg-type]
    await providers.start()
    try:
        yield providers.engine(engine.id)
    finally:
        await providers.close()


async def use(engine: Engine) -> None:
    async with engine.hold():
        assert engine.ready


# ---- starts that fail


@pytest.mark.parametrize("error", [Panic(), asyncio.CancelledError(), SystemExit(2)])
def test_whatever_a_start_raises_the_engine_has_failed(error: BaseException) -> None:
    @virtual_time
    async def check() -> None:
        scripted = Scripted()
        scripted.start_error = error
        async with running(scripted) as engine:
            assert isinstance(await outcome(use(engine)), EngineFailed)
            assert (engine.status.state, engine.status.retry_after) == (State.FAILED, pytest.approx(5.0))
            assert isinstance(await outcome(use(engine)), EngineFailed)
            assert (scripted.starts, engine.status.users) == (1, 0)

    check()


@virtual_time
async def test_a_start_that_failed_gives_back_what_it_took_and_nobody_waits_for_that() -> None:
    closing = asyncio.Event()

    class Slow(Scripted):
        async def close(self) -> None:
            await super().close()
            await closing.wait()

    scripted = Slow()
    scripted.start_error = EngineUnavailable("no model")
    async with running(scripted) as engine:
        loop = asyncio.get_running_loop()
        began = loop.time()
        assert isinstance(await outcome(use(engine)), EngineUnavailable)
        assert loop.time() == began
        await settle()
        assert scripted.closes == 1
        await asyncio.sleep(5.1)
        scripted.start_error = None
        again = asyncio.create_task(use(engine))
        await settle()
        assert scripted.starts == 1
        closing.set()
        await again
        assert scripted.starts == 2


@virtual_time
async def test_a_start_that_hangs_holds_nobody_longer_than_its_time() -> None:
    scripted = Scripted()
    scripted.start_gate = asyncio.Event()
    async with running(scripted, start_timeout=60.0) as engine:
        ends = await asyncio.gather(*(outcome(use(engine)) for _ in range(5)))
        assert [str(end) for end in ends] == ["engine 'scripted' did not start within 60 seconds"] * 5
        assert (scripted.starts, scripted.closes, engine.status.users) == (1, 1, 0)


@virtual_time
async def test_the_error_of_a_start_says_when_to_come_back() -> None:
    scripted = Scripted()
    scripted.start_error = EngineUnavailable("no model")
    async with running(scripted) as engine:
        await outcome(use(engine))
        await asyncio.sleep(2)
        with pytest.raises(EngineUnavailable) as raised:
            engine.offer()
        assert raised.value.retry_after == pytest.approx(3.0, abs=0.1)


@virtual_time
async def test_an_engine_that_may_be_tried_again_is_no_reason_to_send_nobody() -> None:
    scripted = Scripted()
    scripted.start_error = EngineUnavailable("no model")
    async with running(scripted) as engine:
        await outcome(use(engine))
        assert engine.status.state is State.FAILED
        await asyncio.sleep(5.1)
        status = engine.status
        assert (status.state, status.message, status.retry_after) == (State.IDLE, "no model", 0.0)


@virtual_time
async def test_a_preloaded_engine_that_failed_tries_again_by_itself() -> None:
    scripted = Scripted()
    scripted.start_error = EngineUnavailable("no model")
    async with running(scripted, preload=None) as engine:
        await asyncio.sleep(4.0)
        # Who is refused meanwhile does not put it off.
        await outcome(use(engine))
        await asyncio.sleep(1.1)
        assert (scripted.starts, engine.status.state) == (2, State.FAILED)
        scripted.start_error = None
        await asyncio.sleep(10.1)
        assert (scripted.starts, engine.status.state) == (3, State.READY)
        await asyncio.sleep(1000)
        assert scripted.starts == 3


@virtual_time
async def test_an_engine_that_failed_while_its_close_hangs_tries_again_by_itself() -> None:
    scripted = StuckOnce()
    scripted.start_error = EngineUnavailable("no model")
    async with running(scripted, preload=None) as engine:
        scripted.start_error = None
        await asyncio.sleep(10.1)
        assert (scripted.starts, engine.status.state) == (2, State.READY)


@virtual_time
async def test_an_engine_whose_voices_could_not_be_had_asks_for_them_again() -> None:
    class Shy(Scripted):
        asked = 0

        async def voices(self) -> Sequence[Voice]:
            self.asked += 1
            if self.asked < 3:
                raise EngineUnavailable("its server is down")
            return await super().voices()

    async with running(Shy()) as engine:
        assert (engine.status.state, engine.voices) == (State.FAILED, ())
        await asyncio.sleep(5.1 + 10.1)
        assert engine.status.state is State.IDLE
        assert engine.status.message is None
        await use(engine)


@virtual_time
async def test_an_engine_that_is_not_installed_is_not_tried_again_by_itself() -> None:
    scripted = Scripted()
    scripted.start_error = MissingDependency("scripted", "pip install it")
    async with running(scripted, preload=None) as engine:
        await asyncio.sleep(10_000)
        assert scripted.starts == 1
        with pytest.raises(MissingDependency) as raised:
            engine.use()
        assert raised.value.fix == "pip install it"


@virtual_time
async def test_an_engine_that_fails_for_ever_is_tried_every_five_minutes() -> None:
    scripted = Scripted()
    scripted.start_error = EngineUnavailable("no model")
    async with running(scripted, preload=None) as engine:
        engine._backoff.failures = 5000
        await asyncio.sleep(5.1)
        before = scripted.starts
        await asyncio.sleep(3000)
        assert scripted.starts - before == 10


@virtual_time
async def test_one_engine_fails_while_another_loads() -> None:
    slow, broken = Scripted(voices=("slow",)), Scripted(voices=("broken",))
    slow.start_gate = asyncio.Event()
    broken.start_error = Panic()
    engines = Engine("slow", _maker(slow)), Engine("broken", _maker(broken))
    starting = [asyncio.create_task(engine.start()) for engine in engines]
    await settle()
    assert [engine.state for engine in engines] == [State.STARTING, State.FAILED]
    slow.start_gate.set()
    await asyncio.gather(*starting)
    assert engines[0].ready
    for engine in engines:
        await engine.close()


def _maker(provider: Provider):  # type: ignore[no-untyped-def]
    async def make() -> Provider:
        return provider

    return make


def test_an_import_that_hangs_holds_nobody_longer_than_its_time(monkeypatch: pytest.MonkeyPatch) -> None:
    gate, reached = threading.Event(), threading.Event()
    asked: list[str] = []

    def resolve(name: str) -> type[Scripted]:
        asked.append(name)
        reached.set()
        gate.wait()
        return Scripted

    monkeypatch.setattr(registry, "resolve", resolve)

    async def check() -> None:
        providers = Providers(["scripted"], start_timeout=0.1)
        async with asyncio.timeout(60):
            await providers.start()
            assert "did not start" in (providers.status["scripted"].message or "")
            # How soon a thread begins is the machine's to say.
            await asyncio.to_thread(reached.wait)
            # Another try needs no other thread.
            await providers.engine("scripted").start()
            assert asked == ["scripted"]
            gate.set()
            while not providers.engine("scripted").ready:
                await providers.engine("scripted").start()
            await providers.close()

    try:
        asyncio.run(check())
    finally:
        gate.set()


def test_an_engine_of_a_name_that_nobody_knows_is_not_tried_again_by_itself() -> None:
    async def check() -> None:
        providers = Providers(["nope"])
        await providers.start()
        engine = providers.engine("nope")
        assert isinstance(await outcome(use(engine)), UnknownProvider)
        assert engine._timer is None
        await providers.close()

    asyncio.run(check())


# ---- what is remembered of an error


class Model:
    """What an engine has in its hands."""


@virtual_time
async def test_a_remembered_error_keeps_no_half_loaded_model_and_no_caller_alive() -> None:
    alive: list[weakref.ref[Model]] = []

    class Half(Scripted):
        async def start(self) -> None:
            model = Model()
            alive.append(weakref.ref(model))
            try:
                raise OSError("half of it is there")
            except OSError as error:
                raise EngineUnavailable("no model") from error

    async def call(engine: Engine) -> None:
        mine = Model()
        alive.append(weakref.ref(mine))
        async with engine.hold():
            pass

    async with running(Half()) as engine:
        gc.collect()
        gc.disable()
        try:
            for _ in range(2):
                with suppress(EngineUnavailable):
                    await call(engine)
            await settle()
            assert [model() for model in alive] == [None] * 3
        finally:
            gc.enable()


@virtual_time
async def test_each_caller_is_told_in_an_error_of_his_own() -> None:
    scripted = Scripted()
    scripted.start_error = EngineUnavailable("no model", retry_after=7.0)
    async with running(scripted) as engine:
        ends = await asyncio.gather(*(outcome(use(engine)) for _ in range(3)))
        assert [(type(end), str(end), end.retry_after) for end in ends] == [(EngineUnavailable, "no model", 7.0)] * 3
        assert len({id(end) for end in ends}) == 3


# ---- closing


@virtual_time
async def test_a_close_that_hangs_is_not_waited_for_for_ever(caplog: pytest.LogCaptureFixture) -> None:
    class Stuck(Scripted):
        async def close(self) -> None:
            await asyncio.Event().wait()

    loop = asyncio.get_running_loop()
    async with running(Stuck(), preload=None) as engine:
        began = loop.time()
        await engine.close()
        assert "did not close within" in caplog.text
    assert loop.time() - began == pytest.approx(10.0)


@virtual_time
async def test_an_unload_that_hangs_holds_nobody_for_ever() -> None:
    scripted = StuckOnce()
    async with running(scripted, preload=None) as engine:
        unloading = asyncio.create_task(engine.unload())
        await settle()
        ends = await asyncio.gather(*(outcome(use(engine)) for _ in range(3)))
        assert [str(end) for end in ends] == ["engine 'scripted' did not unload within 10 seconds"] * 3
        assert not await unloading
        await asyncio.sleep(5.1)
        await use(engine)
        assert scripted.starts == 2


@pytest.mark.parametrize("error", [OSError("no"), Panic(), asyncio.CancelledError()])
def test_what_a_close_raises_is_logged_and_the_engine_can_be_loaded_again(
    error: BaseException, caplog: pytest.LogCaptureFixture
) -> None:
    class Rude(Scripted):
        async def close(self) -> None:
            await super().close()
            if self.closes == 1:
                raise error

    @virtual_time
    async def check() -> None:
        async with running(Rude(), preload=None) as engine:
            with caplog.at_level(logging.ERROR, "providers"):
                assert await engine.unload()
            assert "failed to close" in caplog.text
            await use(engine)

    check()


@virtual_time
async def test_a_start_that_succeeds_after_the_close_leaves_the_engine_closed() -> None:
    class Stubborn(Scripted):
        async def start(self) -> None:
            try:
                await super().start()
            except asyncio.CancelledError:
                await asyncio.sleep(1)

    scripted = Stubborn()
    scripted.start_gate = asyncio.Event()
    async with running(scripted) as engine:
        using = asyncio.create_task(outcome(use(engine)))
        await settle()
        await engine.close()
        assert isinstance(await using, EngineUnavailable)
        assert (engine.ready, engine.status.message) == (False, "engine 'scripted' is closed")
        assert scripted.closes == 1


# ---- everything at once


class Moody(Scripted):
    """Starts and closes take their time, and fail now and then. Notices whoever uses it as it must not be used."""

    def __init__(self, chance: random.Random) -> None:
        super().__init__()
        self.chance = chance
        self.up = self.changing = False

    @asynccontextmanager
    async def _change(self) -> AsyncIterator[None]:
        assert not self.changing, "two changes at a time"
        self.changing = True
        try:
            await asyncio.sleep(self.chance.choice([0.0, 0.1, 3.0, 30.0]))
            yield
        finally:
            self.changing = False

    async def start(self) -> None:
        assert not self.up, "started twice"
        async with self._change():
            if self.chance.random() < 0.3:
                raise self.chance.choice([EngineUnavailable("no"), OSError("no"), Panic(), asyncio.CancelledError()])
            self.up = True

    async def close(self) -> None:
        async with self._change():
            self.up = False
            if self.chance.random() < 0.1:
                raise OSError("no")


@pytest.mark.parametrize("seed", range(30))
def test_whatever_happens_who_holds_an_engine_has_it(seed: int) -> None:
    @virtual_time
    async def check() -> None:
        chance = random.Random(seed)
        moody = Moody(chance)
        providers = Providers([moody], start_timeout=20.0, preload=chance.choice([(), None]), idle=10.0)
        await asyncio.wait_for(providers.start(), 100)
        engine = providers.engine("scripted")
        held = 0

        async def session() -> None:
            nonlocal held
            async with engine.hold() as provider:
                held += 1
                try:
                    for _ in range(3):
                        assert provider is moody
                        assert moody.up or engine.status.state is State.FAILED
                        await asyncio.sleep(chance.choice([0.0, 0.5, 5.0]))
                finally:
                    held -= 1

        tasks: list[asyncio.Task[None]] = []
        served = 0
        for _ in range(200):
            tasks += [asyncio.create_task(session()) for _ in range(chance.choice([0, 0, 1, 3]))]
            if tasks and chance.random() < 0.3:
                chance.choice(tasks).cancel()
            if chance.random() < 0.1:
                tasks.append(asyncio.create_task(_quietly(engine.unload())))
            if chance.random() < 0.05:
                tasks.append(asyncio.create_task(engine.start()))
            await asyncio.sleep(chance.choice([0.0, 0.1, 1.0, 6.0]))
            assert engine.status.users >= held
            served += sum(task.done() and not task.cancelled() and task.exception() is None for task in tasks)
            for task in tasks:
                if task.done() and not task.cancelled() and task.exception() is not None:
                    assert isinstance(task.exception(), ProviderError), task.exception()
            tasks = [task for task in tasks if not task.done()]
        await asyncio.wait_for(asyncio.gather(*tasks, return_exceptions=True), 1000)
        assert (engine.status.users, held) == (0, 0)
        assert served > 20
        await asyncio.wait_for(providers.close(), 100)
        # What hung was left to itself; nothing else is.
        assert engine._timer is None

    check()


async def _quietly(work: object) -> None:
    assert isinstance(work, types.CoroutineType)
    await work
