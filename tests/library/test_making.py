"""An engine makes one voice at a time, gives way to speech, and what it does wrong is told in a sentence."""

from __future__ import annotations

import asyncio

import pytest

from gateway.errors import BadRequest, EngineError, Overloaded, TimedOut, VoxwireError
from gateway.events import Priority
from gateway.library.voice import MAX_PROMPT
from providers.base import BadClip, BadOption, Clip, EngineBusy, EngineFailed, Voice
from tests.library.rig import design
from tests.support.engines import RATE, Hang, Making, Mark, Places, Raise, Say, Scripted, Wait, sound
from tests.support.rig import Listener, gateway
from tests.support.scene import scene
from tests.support.virtual_time import outcome, settle, virtual_time


@virtual_time
async def test_one_voice_is_made_at_a_time_and_few_wait() -> None:
    engine = Making()
    go = asyncio.Event()
    engine.making = (Wait(go),)
    async with gateway(engine, voice_rate_limit=0) as made:
        tasks = [asyncio.create_task(outcome(design(made, f"V{number}"))) for number in range(11)]
        await settle()
        refused = [task.result() for task in tasks if task.done()]
        assert [type(error) for error in refused] == [Overloaded] * 2
        go.set()
        await asyncio.wait(tasks)
        assert engine.most == 1
        assert len(made.library.list("")) == 9


@virtual_time
async def test_the_first_engine_that_is_configured_to_makes_it() -> None:
    first, second = Making(), Places()
    first.designs = second.clones = False
    async with scene(first, second) as seen:
        made = seen.gateway
        assert (await design(made)).provider == "places"
        assert (first.descriptions, len(second.descriptions)) == ([], 1)
        await made.library.clone("", Clip(bytes(2), RATE))
        assert (len(first.clips), second.clips) == (1, [])


@virtual_time
async def test_an_engine_alone_that_is_not_configured_to_says_what_it_lacks() -> None:
    engine = Making()
    engine.designs, engine.making = False, (Raise(BadOption("this engine lacks a model")),)
    async with scene(Scripted(), engine) as made:
        with pytest.raises(BadRequest, match="this engine lacks a model"):
            await design(made.gateway)


@virtual_time
async def test_a_voice_is_made_when_nobody_speaks_with_its_engine() -> None:
    engine = Making()
    go = asyncio.Event()
    engine.otherwise(Say(sound(100)), Wait(go), Say(sound(100)))
    async with gateway(engine) as made:
        listener = Listener(made).start().say("Hello.")
        await settle()
        making = asyncio.create_task(design(made))
        await asyncio.sleep(5.0)
        assert engine.descriptions == []
        go.set()
        await listener.done()
        await settle()
        assert making.done()
        await making


@virtual_time
async def test_an_engine_that_is_never_quiet_makes_it_after_a_while() -> None:
    engine = Making()
    go = asyncio.Event()
    engine.otherwise(Say(sound(100)), Wait(go), Say(sound(100)))
    async with gateway(engine) as made:
        listener = Listener(made).start().say("Hello.")
        await settle()
        began = asyncio.get_running_loop().time()
        await design(made)
        assert asyncio.get_running_loop().time() - began == pytest.approx(10.0, abs=0.1)
        go.set()
        await listener.done()


@virtual_time
async def test_a_voice_takes_no_place_that_speech_has_or_waits_for() -> None:
    engine = Places()
    go = asyncio.Event()
    engine.otherwise(Say(sound(100)), Wait(go), Say(sound(100)))
    async with gateway(engine) as made:
        speaking = Listener(made).start().say("Hello.")
        waiting = Listener(made).start().say("Hello.")
        await settle()
        with pytest.raises(Overloaded, match="no room to make voices") as error:
            await design(made)
        assert error.value.retry_after == 10.0
        assert engine.descriptions == []
        go.set()
        await speaking.done()
        await waiting.done()


@virtual_time
async def test_a_voice_is_made_before_the_rest_of_a_batch() -> None:
    engine = Places()
    go, begun = asyncio.Event(), asyncio.Event()
    engine.making = (Mark(begun), Wait(go))
    engine.otherwise(Say(sound(100)), Wait(go), Say(sound(100)))
    async with gateway(engine) as made:
        batch = [Listener(made, priority=Priority.BATCH).start().say("Hello.") for _ in range(3)]
        await settle()
        making = asyncio.create_task(design(made))
        await asyncio.sleep(11.0)  # Longer than it waits to have the engine to itself.
        assert not begun.is_set()
        engine.otherwise(Say(sound(100)))
        go.set()
        await batch[0].done()
        go.clear()
        await begun.wait()
        assert [listener.names[-1] for listener in batch] == ["Ended", "Queued", "Queued"]
        go.set()
        await making
        for listener in batch:
            await listener.done()


@virtual_time
async def test_a_voice_that_is_made_has_a_place_of_the_engines() -> None:
    engine = Places()
    go, begun = asyncio.Event(), asyncio.Event()
    engine.making = (Mark(begun), Wait(go))
    async with gateway(engine) as made:
        making = asyncio.create_task(design(made))
        await begun.wait()
        listener = Listener(made).start().say("Hello.")
        await settle()
        assert listener.names == ["Queued"]
        go.set()
        await making
        await listener.done()
        assert listener.names == ["Queued", "Started", "Ended"]


WRONG = {
    "it says that the clip is none": (BadClip("it is too quiet"), "bad_clip", "it is too quiet"),
    "it is busy": (EngineBusy("no room", retry_after=3.0), "overloaded", "no room"),
    "it failed": (EngineFailed("it broke"), "engine_failed", "it broke"),
    "it raised": (RuntimeError("/a/path"), "engine_failed", "engine 'making' failed"),
    "it gave up": (TimeoutError("its own"), "engine_failed", "engine 'making' failed"),
}


@pytest.mark.parametrize("kind", WRONG)
def test_what_an_engine_raises_is_told(kind: str) -> None:
    error, code, message = WRONG[kind]

    @virtual_time
    async def run() -> None:
        engine = Making()
        engine.making = (Raise(error),)
        async with gateway(engine) as made:
            with pytest.raises(VoxwireError) as told:
                await design(made)
            assert (told.value.code, told.value.message) == (code, message)
            engine.making = ()
            await design(made)

    run()


@virtual_time
async def test_an_engine_that_hangs_is_given_up_and_stopped() -> None:
    engine = Making()
    engine.making = (Hang(),)
    async with gateway(engine) as made:
        with pytest.raises(TimedOut, match="120 seconds"):
            await design(made)
        assert engine.made == 0
        engine.making = ()
        await design(made)


@pytest.mark.parametrize("prompt", [None, b"", bytes(MAX_PROMPT + 1)], ids=["none", "empty", "too large"])
def test_a_prompt_that_cannot_be_kept_is_the_engines_failure(prompt: bytes | None) -> None:
    @virtual_time
    async def run() -> None:
        engine = Making()

        async def made_wrong(*_: object) -> Voice:
            return Voice("x", "X", "en", 24000, prompt=prompt)

        engine.design = made_wrong  # type: ignore[method-assign]
        async with gateway(engine) as made:
            with pytest.raises(EngineError, match="cannot be kept"):
                await design(made)
            assert made.library.list("") == []

    run()


@virtual_time
async def test_who_gives_up_takes_the_engine_with_him() -> None:
    engine = Making()
    begun = asyncio.Event()
    engine.making = (Mark(begun), Hang())
    async with gateway(engine) as made:
        making = asyncio.create_task(design(made))
        await begun.wait()
        making.cancel()
        await asyncio.wait([making])
        assert engine.made == 0
        engine.making = ()
        await design(made)


@virtual_time
async def test_an_engine_that_is_not_loaded_is_loaded_to_make_one_and_to_speak_with_it() -> None:
    engine = Making()
    async with gateway(engine, preload=(), engine_idle_s=5.0) as made:
        assert engine.starts == 0
        voice = await design(made)
        assert engine.starts == 1
        await asyncio.sleep(6.0)
        assert (engine.closes, made.library.usable(voice)) == (1, True)
        await Listener(made, voice="anna").start().say("Hello.").done()
        assert engine.starts == 2
