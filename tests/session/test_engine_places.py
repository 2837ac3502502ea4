"""Engines that speak a known number of utterances at once, take options, or know that they cannot serve."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Any, ClassVar

import pytest

from gateway.errors import BadOption, EngineError, Overloaded
from gateway.events import Ended, Priority, Queued, SpeechRequest
from providers import base
from providers.base import Capabilities, EngineUnavailable, ProviderError
from tests.support import rig
from tests.support.engines import Say, Scripted, Wait, sound
from tests.support.virtual_time import settle, virtual_time


class Narrow(Scripted):
    """One utterance at a time, or as many as the test says."""

    id: ClassVar[str] = "narrow"
    capabilities: ClassVar[Capabilities] = Capabilities(streams=True, deterministic=True, segments_at_once=1)
    places = 1


class Tuned(Scripted):
    option_names: ClassVar[frozenset[str]] = frozenset({"temperature"})

    def check(self, options: Mapping[str, Any]) -> Mapping[str, Any]:
        if options.keys() - self.option_names:
            raise base.BadOption("there is no such option; there are: temperature")
        return {"temperature": float(options["temperature"])}


class Ailing(Scripted):
    trouble: ProviderError | None = None


@virtual_time
async def test_who_finds_no_place_at_the_engine_waits_and_is_told_where() -> None:
    engine = Narrow()
    gate = asyncio.Event()
    engine.otherwise(Wait(gate), Say(sound(20)))
    async with rig.gateway(engine) as made:
        first, second, third = (rig.Listener(made).say("Hello there.").start() for _ in range(3))
        await settle()
        assert engine.active == 1
        assert [event.position for event in second.events + third.events if isinstance(event, Queued)] == [1, 2]
        capacity = dict(made.capacities.engines())["narrow"]
        assert (capacity.taken, capacity.waiting) == (1, 2)
        assert made.capacities.sessions.taken == 1, "whoever waits for an engine takes no place from others"
        gate.set()
        for listener in (first, second, third):
            assert isinstance(await listener.done(), Ended)
        assert (capacity.taken, capacity.waiting) == (0, 0)


@virtual_time
async def test_a_place_that_the_engine_gains_is_given_to_the_next_in_line() -> None:
    engine = Narrow()
    gate = asyncio.Event()
    engine.otherwise(Wait(gate), Say(sound(20)))
    async with rig.gateway(engine) as made:
        waiting = [rig.Listener(made).say("Hello there.").start() for _ in range(3)]
        await settle()
        engine.places = 3
        late = rig.Listener(made).say("Hello there.").start()
        await settle()
        assert engine.active == 3
        gate.set()
        for listener in (*waiting, late):
            await listener.done()


@virtual_time
async def test_one_that_waits_for_an_engine_can_be_cancelled() -> None:
    engine = Narrow()
    gate = asyncio.Event()
    engine.otherwise(Wait(gate), Say(sound(20)))
    async with rig.gateway(engine) as made:
        first, second = (rig.Listener(made).say("Hello there.").start() for _ in range(2))
        await settle()
        second.session.cancel()
        assert type(await second.done()).__name__ == "Cancelled"
        gate.set()
        await first.done()
        assert len(engine.segments) == 1


@virtual_time
async def test_a_full_waiting_room_of_an_engine_refuses_with_a_time() -> None:
    engine = Narrow()
    gate = asyncio.Event()
    engine.otherwise(Wait(gate), Say(sound(20)))
    async with rig.gateway(engine, max_waiting=1) as made:
        running = [rig.Listener(made).say("Hello there.").start() for _ in range(2)]
        await settle()
        with pytest.raises(Overloaded) as refused:
            made.sessions.check(made.sessions.plan(SpeechRequest()))
        assert refused.value.retry_after is not None
        gate.set()
        for listener in running:
            await listener.done()


@virtual_time
@pytest.mark.parametrize("scarce", [{}, {"max_sessions": 1}])
async def test_batch_work_waits_behind_whoever_is_listened_to(scarce: dict[str, Any]) -> None:
    engine = Scripted() if scarce else Narrow()
    gate = asyncio.Event()
    engine.otherwise(Wait(gate), Say(sound(20)))
    async with rig.gateway(engine, **scarce) as made:

        def ask(text: str, priority: Priority) -> rig.Listener:
            return rig.Listener(made, priority=priority).say(text).start()

        batch = [ask(f"Batch {number}.", Priority.BATCH) for number in range(4)]
        await settle()
        listened = [ask(f"Listened {number}.", Priority.INTERACTIVE) for number in range(3)]
        await settle()
        told = [[event.position for event in one.events if isinstance(event, Queued)] for one in (*batch, *listened)]
        assert told == [[], [1], [2], [3], [1], [2], [3]]
        for gone in (batch[1], listened[0]):
            gone.session.cancel()
            await gone.done()
        gate.set()
        for one in (*batch, *listened):
            await one.done()
        assert engine.texts == ["Batch 0.", "Listened 1.", "Listened 2.", "Batch 2.", "Batch 3."]


@virtual_time
async def test_a_batch_that_fills_the_room_keeps_no_listener_out() -> None:
    engine = Narrow()
    gate = asyncio.Event()
    engine.otherwise(Wait(gate), Say(sound(20)))
    async with rig.gateway(engine, max_waiting=2) as made:
        batch = SpeechRequest(priority=Priority.BATCH)
        running = [rig.Listener(made, priority=Priority.BATCH).say("Hello there.").start() for _ in range(3)]
        await settle()
        with pytest.raises(Overloaded):
            made.sessions.check(made.sessions.plan(batch))
        made.sessions.check(made.sessions.plan(SpeechRequest()))
        running.append(rig.Listener(made).say("Hello there.").start())
        gate.set()
        for listener in running:
            assert isinstance(await listener.done(), Ended)


@virtual_time
async def test_an_engine_of_one_segment_at_a_time_is_asked_for_one() -> None:
    engine = Narrow()
    most = 0
    gate = asyncio.Event()
    engine.otherwise(Say(sound(2000)), Wait(gate), Say(sound(20)))
    async with rig.gateway(engine) as made:
        listener = rig.Listener(made).say("One is here. Two is here. Three is here.").start()
        for _ in range(50):
            await asyncio.sleep(0.1)
            most = max(most, engine.active)
        assert most == 1
        gate.set()
        await listener.done()
        assert len(engine.segments) > 1


@virtual_time
async def test_options_reach_the_engine_as_it_has_checked_them() -> None:
    engine = Tuned()
    async with rig.gateway(engine) as made:
        await rig.Listener(made, options={"temperature": "0.5"}).say("Hello there.").start().done()
        assert [segment.options for segment in engine.segments] == [{"temperature": 0.5}]
        with pytest.raises(BadOption, match="no such option"):
            made.sessions.plan(SpeechRequest(options={"top_p": 1}))


@virtual_time
async def test_options_for_an_engine_that_takes_none_are_refused() -> None:
    async with rig.gateway(Scripted()) as made:
        with pytest.raises(BadOption, match="takes no options"):
            made.sessions.plan(SpeechRequest(options={"temperature": 1}))


@virtual_time
async def test_an_engine_that_knows_its_trouble_is_not_asked() -> None:
    engine = Ailing()
    async with rig.gateway(engine) as made:
        engine.trouble = EngineUnavailable("its server is down", retry_after=2.0)
        with pytest.raises(EngineError, match="down") as refused:
            made.sessions.plan(SpeechRequest())
        assert (refused.value.code, refused.value.retry_after) == ("engine_unavailable", 2.0)
        assert made.providers.status["scripted"].state == "failed"
        engine.trouble = None
        assert isinstance(await rig.Listener(made).say("Hello there.").start().done(), Ended)


@virtual_time
async def test_a_bit_rate_is_the_encoders_own_or_refused() -> None:
    async with rig.gateway(Scripted()) as made:
        low, high = (made.sessions.plan(SpeechRequest(format="mp3", bit_rate=rate)) for rate in (32_000, 128_000))
        assert (low.bit_rate, high.bit_rate) == (32_000, 128_000)
        for request in (SpeechRequest(format="mp3", bit_rate=1), SpeechRequest(format="pcm16", bit_rate=64_000)):
            with pytest.raises(Exception, match="bit rate"):
                made.sessions.plan(request)
