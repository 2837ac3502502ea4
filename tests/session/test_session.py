import asyncio
from itertools import pairwise

import pytest

from gateway.errors import IllegalMove, ListenerGone, Overloaded
from gateway.events import Cancelled, Ended, Event, Failed, Pace, Queued, Words
from providers.base import EngineFailed
from tests.support.engines import Deaf, Hang, Raise, Say, Scripted, Wait, sound
from tests.support.rig import Listener, gateway
from tests.support.virtual_time import settle, virtual_time


@virtual_time
async def test_a_session_says_that_it_starts_its_sound_and_that_it_ends() -> None:
    engine = Scripted()
    async with gateway(engine) as made:
        listener = Listener(made).start().say("Hello there.")
        last = await listener.done()
        assert listener.names == ["Started", "Ended"]
        assert last == Ended(audio=pytest.approx(0.2), ttfa=0.0, frames=10)
        assert listener.sound == sound(200)


@virtual_time
async def test_frames_are_numbered_and_positioned_without_gaps() -> None:
    engine = Scripted()
    engine.otherwise(Say(sound(33)), Say(sound(7)), Say(sound(65)))
    async with gateway(engine) as made:
        listener = Listener(made, frame_ms=20).start().say("Hello there.")
        await listener.done()
        assert [frame.sequence for frame in listener.frames] == list(range(6))
        assert [frame.samples for frame in listener.frames] == [480] * 5 + [120]
        for before, after in pairwise(listener.frames):
            assert after.position == before.position + before.samples
        assert listener.sound == sound(105)


@virtual_time
async def test_realtime_keeps_at_most_the_lead_ahead_of_the_listener() -> None:
    engine = Scripted()
    engine.otherwise(*[Say(sound(500))] * 6)
    async with gateway(engine, lead_ms=400) as made:
        listener = Listener(made, pace=Pace.REALTIME).start().say("A long story.")
        await listener.done()
        began = listener.times[1]
        for frame, time in zip(listener.frames, listener.times[1:], strict=False):
            due = max(0.0, (frame.position + frame.samples) / 24000 - 0.4 - 0.02)
            assert due - 0.001 <= time - began <= due + 0.02 + 0.007
        assert listener.times[-1] - began == pytest.approx(2.6, abs=0.03)


@virtual_time
async def test_burst_takes_no_time() -> None:
    engine = Scripted()
    engine.otherwise(*[Say(sound(500))] * 60)
    async with gateway(engine) as made:
        listener = Listener(made).start().say("A long story.")
        await listener.done()
        assert listener.times[-1] == listener.times[0]


@virtual_time
async def test_cancel_stops_the_engine_and_says_what_was_heard() -> None:
    engine = Scripted()
    engine.otherwise(Say(sound(1000)), Say(sound(1000)), Hang())
    async with gateway(engine, lead_ms=0) as made:
        listener = Listener(made, pace=Pace.REALTIME).start()
        listener.session.text("One two three four. Five six seven eight. And not ended")
        await asyncio.sleep(1.0)
        frames = len(listener.frames)
        listener.session.cancel()
        last = await listener.done()
        assert isinstance(last, Cancelled)
        assert last.stop == 0.0
        assert last.text_spoken.startswith("One ")
        assert last.text_spoken + last.text_remaining == "One two three four. Five six seven eight. And not ended"
        assert len(listener.frames) == frames
        assert engine.active == 0


@virtual_time
async def test_cancel_loses_no_text_that_waits_for_its_turn() -> None:
    engine = Scripted()
    engine.otherwise(Say(sound(1000)), Hang())
    text = "The first sentence is here. The second sentence is here. The third sentence is here. And the"
    async with gateway(engine) as made:
        listener = Listener(made).start()
        listener.session.text(text)
        await settle()
        listener.session.cancel()
        last = await listener.done()
        assert isinstance(last, Cancelled)
        assert last.text_spoken + last.text_remaining == text


@virtual_time
async def test_cancel_believes_the_caller_about_what_was_heard() -> None:
    engine = Scripted()
    engine.otherwise(Say(sound(4000)))
    async with gateway(engine) as made:
        listener = Listener(made).start()
        listener.session.text("One two three four. ", flush=True)
        await settle()
        listener.session.cancel(played=0.0)
        last = await listener.done()
        assert isinstance(last, Cancelled)
        assert (last.text_spoken, last.text_remaining) == ("", "One two three four. ")


@virtual_time
async def test_a_playhead_is_what_a_later_cancel_goes_by() -> None:
    engine = Scripted()
    engine.otherwise(Say(sound(4000)))
    async with gateway(engine) as made:
        listener = Listener(made).start()
        listener.session.text("One two three four. ", flush=True)
        await settle()
        listener.session.playhead(4.0, underruns=2)
        listener.session.cancel()
        last = await listener.done()
        assert isinstance(last, Cancelled)
        assert last.text_spoken == "One two three four. "
        assert b'voxwire_reported_underruns_total{provider="scripted"} 2.0' in await made.scrape()


@virtual_time
async def test_cancel_waits_for_no_listener() -> None:
    engine = Scripted()
    async with gateway(engine) as made:
        listener = Listener(made).start().say("Hello there.")
        listener.hold.clear()
        await settle()
        listener.session.cancel()
        await settle()
        assert engine.active == 0
        assert made.capacities.sessions.taken == 0
        listener.hold.set()
        await listener.done()
        assert listener.names == ["Cancelled"]


@virtual_time
async def test_a_second_cancel_is_refused_and_changes_nothing() -> None:
    engine = Scripted()
    engine.otherwise(Hang())
    async with gateway(engine) as made:
        listener = Listener(made).start().say("Hello there.")
        await settle()
        listener.session.cancel()
        with pytest.raises(IllegalMove):
            listener.session.cancel()
        await listener.done()
        assert listener.names == ["Started", "Cancelled"]


@virtual_time
async def test_cancel_before_the_first_step_never_starts() -> None:
    engine = Scripted()
    async with gateway(engine) as made:
        listener = Listener(made)
        listener.session.text("Hello there.")
        listener.session.cancel()
        last = await listener.start().done()
        assert isinstance(last, Cancelled)
        assert last.text_remaining == "Hello there."
        assert engine.segments == []


@virtual_time
async def test_cancel_while_waiting_for_a_place_gives_the_turn_to_the_next() -> None:
    engine = Scripted()
    go_on = asyncio.Event()
    engine.otherwise(Wait(go_on), Say(sound(100)))
    async with gateway(engine, max_sessions=1) as made:
        first, second, third = (Listener(made).start().say("Hello there.") for _ in range(3))
        await settle()
        assert second.events == [Queued(1, None)]
        assert third.events == [Queued(2, None)]
        second.session.cancel()
        await second.done()
        assert second.names == ["Queued", "Cancelled"]
        go_on.set()
        assert isinstance(await first.done(), Ended)
        assert isinstance(await third.done(), Ended)


@virtual_time
async def test_a_full_waiting_room_fails_the_session_with_a_time_to_retry() -> None:
    engine = Scripted()
    go_on = asyncio.Event()
    engine.otherwise(Wait(go_on), Say(sound(100)))
    async with gateway(engine, max_sessions=1, max_waiting=0) as made:
        first = Listener(made).start().say("Hello there.")
        await settle()
        second = Listener(made).start().say("Hello there.")
        last = await second.done()
        assert isinstance(last, Failed)
        assert last.error.code == "overloaded"
        assert last.error.retry_after
        go_on.set()
        await first.done()


@virtual_time
async def test_a_failure_comes_after_the_sound_before_it() -> None:
    engine = Scripted()
    engine.otherwise(Say(sound(100)), Raise(EngineFailed("the engine died")))
    async with gateway(engine) as made:
        listener = Listener(made).start().say("Hello there.")
        last = await listener.done()
        assert isinstance(last, Failed)
        assert last.error.code == "engine_failed"
        assert listener.sound == sound(100)


@pytest.mark.parametrize("text", ["", "   ", "...", "\N{GRINNING FACE}", "?!"])
@pytest.mark.parametrize("format_", ["pcm16", "wav", "mp3", "opus"])
def test_text_that_cannot_be_spoken_is_an_error_without_a_byte_of_sound(text: str, format_: str) -> None:
    @virtual_time
    async def check() -> None:
        async with gateway(Scripted()) as made:
            listener = Listener(made, format=format_).start().say(text)
            last = await listener.done()
            assert isinstance(last, Failed)
            assert last.error.code == "nothing_to_speak"
            assert listener.frames == []

    check()


@virtual_time
async def test_a_listener_who_goes_ends_the_session_and_is_told_nothing() -> None:
    engine = Scripted()
    engine.otherwise(*[Say(sound(100))] * 100)
    async with gateway(engine) as made:
        session = Listener(made).session
        session.text("Hello there.")
        session.end()
        said: list[Event] = []

        async def emit(event: Event) -> None:
            said.append(event)
            if len(said) == 3:
                raise ListenerGone

        with pytest.raises((ListenerGone, ExceptionGroup)):
            await session.run(emit)
        made.sessions.close(session)
        assert len(said) == 3
        assert engine.active == 0
        assert b'outcome="vanished",provider="scripted"} 1.0' in await made.scrape()


@virtual_time
async def test_a_listener_who_goes_while_words_are_told_is_not_the_engines_failure() -> None:
    engine = Scripted()
    engine.otherwise(*[Say(sound(1000))] * 3)
    async with gateway(engine) as made:
        session = Listener(made, timestamps=True).session
        session.text("One two three four five six. ", flush=True)

        async def emit(event: Event) -> None:
            if isinstance(event, Words):
                raise ListenerGone

        with pytest.raises((ListenerGone, ExceptionGroup)):
            await session.run(emit)
        made.sessions.close(session)
        page = await made.scrape()
        assert b'outcome="vanished"' in page
        assert b'outcome="failed"' not in page


@virtual_time
async def test_cancelling_the_task_ends_the_session_without_a_word() -> None:
    engine = Scripted()
    engine.otherwise(Say(sound(100)), Hang())
    async with gateway(engine) as made:
        listener = Listener(made).start().say("Hello there.")
        await settle()
        assert listener.task is not None
        listener.task.cancel()
        await asyncio.wait([listener.task])
        assert listener.task.cancelled()
        assert listener.names == ["Started"]
        assert engine.active == 0


@virtual_time
async def test_a_cancel_and_a_vanished_socket_at_once_end_quietly() -> None:
    engine = Scripted()
    engine.otherwise(Hang())
    async with gateway(engine) as made:
        listener = Listener(made).start().say("Hello there.")
        await settle()
        assert listener.task is not None
        listener.session.cancel()
        listener.task.cancel()
        await asyncio.wait([listener.task])
        assert engine.active == 0


@virtual_time
async def test_a_cancel_while_a_failure_winds_up_is_answered_and_leaves_the_task_uncancelled() -> None:
    engine = Scripted()
    chunk_made, breaks = asyncio.Event(), asyncio.Event()
    engine.on("The first one.", Say(sound(100)), Wait(breaks), Raise(EngineFailed("it broke")))
    engine.on("The second one.", Deaf(chunk_made), Say(sound(100)))
    cancelling: list[int] = []
    async with gateway(engine) as made:
        listener = Listener(made)
        take = listener._take

        async def note(event: Event) -> None:
            task = asyncio.current_task()
            assert task is not None
            cancelling.append(task.cancelling())
            await take(event)

        listener._take = note  # type: ignore[method-assign]
        listener.start().say("The first one. The second one.")
        await settle()
        breaks.set()
        await settle()
        listener.session.cancel()
        await settle()
        chunk_made.set()
        assert isinstance(await listener.done(), Cancelled)
        assert set(cancelling) == {0}


@virtual_time
async def test_text_after_the_end_is_refused_and_the_rest_is_still_spoken() -> None:
    engine = Scripted()
    async with gateway(engine) as made:
        listener = Listener(made).start().say("Hello there.")
        with pytest.raises(IllegalMove):
            listener.session.text("More.")
        assert isinstance(await listener.done(), Ended)


@virtual_time
async def test_an_engine_that_is_late_is_counted_as_an_underrun() -> None:
    engine = Scripted()
    late = asyncio.Event()
    engine.otherwise(Say(sound(100)), Wait(late), Say(sound(100)))
    async with gateway(engine) as made:
        listener = Listener(made, pace=Pace.REALTIME).start().say("Hello there.")
        await asyncio.sleep(0.35)
        late.set()
        await listener.done()
        assert listener.session.playback.underruns == 1
        assert listener.session.playback.longest_gap == pytest.approx(0.25, abs=0.02)
        page = (await made.scrape()).decode()
        assert 'voxwire_continuity_sessions_total{le_ms="200",provider="scripted"}' not in page
        assert 'voxwire_continuity_sessions_total{le_ms="+Inf",provider="scripted"} 1.0' in page


@virtual_time
async def test_a_caller_who_is_slow_with_text_is_not_an_underrun() -> None:
    engine = Scripted()
    async with gateway(engine) as made:
        listener = Listener(made, pace=Pace.REALTIME).start()
        listener.session.text("Hello there. ", flush=True)
        await asyncio.sleep(5.0)
        listener.session.text("And more.")
        listener.session.end()
        assert isinstance(await listener.done(), Ended)
        assert listener.session.playback.underruns == 0


@virtual_time
async def test_every_gauge_is_zero_afterwards() -> None:
    engine = Scripted()
    async with gateway(engine) as made:
        for text in ("Hello there.", "...", "More."):
            await Listener(made).start().say(text).done()
        page = (await made.scrape()).decode()
        assert 'voxwire_sessions_active{provider="scripted"} 0.0' in page
        assert 'tts_active_streams{provider="scripted"} 0.0' in page
        assert 'voxwire_queue_audio_seconds{queue="pcm"} 0.0' in page


@virtual_time
async def test_a_draining_gateway_opens_no_session_and_lets_the_others_end() -> None:
    engine = Scripted()
    go_on = asyncio.Event()
    engine.otherwise(Wait(go_on), Say(sound(100)))
    async with gateway(engine) as made:
        listener = Listener(made).start().say("Hello there.")
        await settle()
        draining = asyncio.create_task(made.drain())
        await settle()
        with pytest.raises(Overloaded):
            Listener(made)
        assert not draining.done()
        go_on.set()
        await draining
        assert isinstance(await listener.done(), Ended)


@virtual_time
async def test_draining_has_a_limit() -> None:
    engine = Scripted()
    engine.otherwise(Hang())
    async with gateway(engine, drain_s=5.0) as made:
        listener = Listener(made).start().say("Hello there.")
        await settle()
        began = asyncio.get_running_loop().time()
        await made.drain()
        assert asyncio.get_running_loop().time() - began == pytest.approx(5.0)
        listener.session.cancel()
        await listener.done()


@virtual_time
async def test_a_cancelled_engine_that_cannot_stop_yet_holds_its_place() -> None:
    engine = Scripted()
    chunk_made = asyncio.Event()
    engine.otherwise(Deaf(chunk_made), Say(sound(100)))
    async with gateway(engine) as made:
        listener = Listener(made).start().say("Hello there.")
        await settle()
        listener.session.cancel()
        await asyncio.sleep(1.0)
        assert made.capacities.sessions.taken == 1
        chunk_made.set()
        last = await listener.done()
        assert isinstance(last, Cancelled)
        assert last.stop == pytest.approx(1.0)
