"""What becomes of an engine whose process ends by itself: it is started again, and more and more seldom in a row."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import pytest

from gateway.log import session_id
from providers.base import EngineUnavailable, ProviderError
from providers.registry import Providers
from providers.status import State
from tests.support.engines import Scripted
from tests.support.virtual_time import virtual_time

LOST = EngineUnavailable("engine 'scripted' has crashed")


class Mortal(Scripted):
    """A scripted engine that a test can take away."""

    memory = 4096
    lose: Callable[[ProviderError], None]

    def when_lost(self, tell: Callable[[ProviderError], None]) -> None:
        self.lose = tell


async def use(providers: Providers) -> None:
    async with providers.hold("scripted"):
        pass


@virtual_time
async def test_the_next_who_asks_starts_a_lost_engine_again() -> None:
    engine = Mortal()
    providers = Providers([engine])
    await providers.start()
    status = providers.status["scripted"]
    assert (status.isolated, status.memory, status.state) == (True, 4096, State.READY)
    engine.lose(LOST)
    assert (engine.starts, providers.status["scripted"].state) == (1, State.IDLE)
    await use(providers)
    assert (engine.starts, providers.status["scripted"].state) == (2, State.READY)
    await providers.close()


@virtual_time
async def test_one_that_is_lost_again_and_again_is_left_alone_for_longer_and_longer() -> None:
    engine = Mortal()
    providers = Providers([engine])
    await providers.start()
    engine.lose(LOST)
    for pause in (5.0, 10.0, 20.0):
        await use(providers)
        engine.lose(LOST)
        status = providers.status["scripted"]
        assert (status.state, status.message, status.retry_after) == (State.FAILED, str(LOST), pytest.approx(pause))
        with pytest.raises(EngineUnavailable, match="crashed"):
            await use(providers)
        await asyncio.sleep(pause)
    await use(providers)
    await asyncio.sleep(61)
    engine.lose(LOST)
    await use(providers)
    assert engine.starts == 6
    await providers.close()


@virtual_time
async def test_one_that_is_lost_while_it_starts_has_failed_to_start() -> None:
    class Sickly(Mortal):
        async def start(self) -> None:
            await super().start()
            self.lose(LOST)

    providers = Providers([Sickly()])
    await providers.start()
    status = providers.status["scripted"]
    assert (status.state, status.message, status.retry_after) == (State.FAILED, str(LOST), pytest.approx(5.0))
    await providers.close()


@virtual_time
async def test_the_loss_of_one_that_was_unloaded_or_closed_is_none() -> None:
    engine = Mortal()
    providers = Providers([engine])
    await providers.start()
    assert await providers.engine("scripted").unload()
    engine.lose(LOST)
    assert providers.status["scripted"].state is State.IDLE
    await use(providers)
    await providers.close()
    engine.lose(LOST)
    assert "closed" in (providers.status["scripted"].message or "")


@virtual_time
async def test_an_engine_is_started_in_nobodys_name() -> None:
    """Else its process would log for ever as a part of the session that happened to come first."""
    found: list[str | None] = []

    class Curious(Mortal):
        async def start(self) -> None:
            await super().start()
            found.append(session_id.get())

    providers = Providers([Curious()], preload=())
    await providers.start()
    session_id.set("a session")
    await use(providers)
    assert (found, session_id.get()) == ([None], "a session")
    await providers.close()
