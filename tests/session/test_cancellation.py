"""A cancel, or a client that goes, at every step of a session's life."""

from __future__ import annotations

import asyncio

import pytest

from gateway.events import Cancelled, Ended
from tests.support.engines import Say, Scripted, sound
from tests.support.rig import Listener, gateway
from tests.support.virtual_time import settle, virtual_time

TEXT = "First one here. Second one, there! ... Third one is here? "
STEPS = 60
"""Turns of the loop; without a cancel the session is over before that."""


async def wait(turns: int) -> None:
    for _ in range(turns):
        await asyncio.sleep(0)


def speaking() -> Scripted:
    engine = Scripted()
    engine.otherwise(Say(sound(100)), Say(sound(100)), Say(sound(30)))
    return engine


@virtual_time
async def test_a_cancel_at_any_step_is_answered_once_with_all_the_text() -> None:
    outcomes: list[type] = []
    for step in range(STEPS):
        engine = speaking()
        async with gateway(engine) as made:
            listener = Listener(made, timestamps=True).start().say(TEXT)
            await wait(step)
            if not listener.session.over:
                listener.session.cancel()
            last = await listener.done()
            outcomes.append(type(last))
            if isinstance(last, Cancelled):
                assert last.text_spoken + last.text_remaining == TEXT
            await settle()
            assert [name for name in listener.names if name in {"Ended", "Cancelled", "Failed"}] == [listener.names[-1]]
            assert engine.active == 0
    assert set(outcomes) == {Cancelled, Ended}


@pytest.mark.parametrize("cancelled_too", [False, True])
def test_a_client_that_goes_at_any_step_leaves_nothing(cancelled_too: bool) -> None:
    @virtual_time
    async def run() -> None:
        for step in range(STEPS):
            engine = speaking()
            async with gateway(engine) as made:
                listener = Listener(made, format="mp3").start().say(TEXT)
                await wait(step)
                if cancelled_too and not listener.session.over:
                    listener.session.cancel()
                assert listener.task is not None
                listener.task.cancel()
                await asyncio.wait([listener.task])
                await settle()
                assert engine.active == 0

    run()


@virtual_time
async def test_a_cancel_at_any_step_of_a_wait_for_a_place_passes_the_place_on() -> None:
    for step in range(STEPS):
        engine = speaking()
        async with gateway(engine, max_sessions=1) as made:
            first = Listener(made).start()
            await settle()
            second, third = Listener(made).start().say(TEXT), Listener(made).start().say(TEXT)
            await wait(step // 2)
            first.session.cancel()
            await wait(step - step // 2)
            if not second.session.over:
                second.session.cancel()
            assert isinstance(await second.done(), Cancelled | Ended)
            assert isinstance(await third.done(), Ended)
            await settle()
