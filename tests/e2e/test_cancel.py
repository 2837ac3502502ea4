"""Barge-in on a real socket, with the tone engine."""

from __future__ import annotations

import time
from statistics import median

from tests.e2e.conftest import RunningGateway
from tests.support.duplex import duplex

TONE = {"provider": "mock_tone", "voice": "en-US-mock-1"}


async def test_cancelling_one_of_three_contexts_stops_it_and_leaves_the_others_whole(gateway: RunningGateway) -> None:
    """The last audio of the cancelled context comes within 50 ms of the cancel, in the median of 20 tries, beside what
    the machine takes to carry a message there and back at that time."""
    stops: list[float] = []
    ways: list[float] = []
    text = "This is spoken at the speed of listening, " * 3
    async with duplex(gateway.ws) as client:
        whole = await client.speak("whole", text, **TONE, pace="burst")
        await whole.over.wait()
        for turn in range(20):
            a, b, c = [await client.speak(f"{name}{turn}", text, **TONE) for name in "abc"]
            for heard in (a, b, c):
                await heard.begun.wait()
            asked = time.monotonic()
            await client.send("cancel", context=f"b{turn}")
            await client.send("ping")
            assert (await client.other())["type"] == "pong"
            ways.append(time.monotonic() - asked)
            await b.over.wait()
            assert b.last["type"] == "cancelled"
            stops.append(max(0.0, b.last_audio - asked))
            assert len(b.sound) < len(whole.sound)
            # The others are hurried along only in that the test does not wait for all of their sound.
            if turn == 0:
                for heard in (a, c):
                    await heard.over.wait()
                    assert heard.last["type"] == "ended"
                    assert heard.sound == whole.sound
            else:
                for name in "ac":
                    await client.send("cancel", context=f"{name}{turn}")
                await a.over.wait()
                await c.over.wait()
    print(f"last audio after a cancel: median {median(stops) * 1000:.2f} ms, worst {max(stops) * 1000:.2f} ms")
    assert median(stop - way for stop, way in zip(stops, ways, strict=True)) < 0.05
    assert min(stops) < 0.05


async def test_a_context_can_be_started_again_after_its_cancel(gateway: RunningGateway) -> None:
    async with duplex(gateway.ws) as client:
        first = await client.speak("a", "This is going to be interrupted soon enough. " * 9, **TONE)
        await first.begun.wait()
        await client.send("cancel", context="a")
        await first.over.wait()
        second = await client.speak("a", "Now this.", **TONE)
        await second.over.wait()
        assert second.last["type"] == "ended"
        assert second.started["generation"] == first.started["generation"] + 1
        assert [sequence for sequence, _ in second.frames] == list(range(len(second.frames)))
