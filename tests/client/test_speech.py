"""One speech: text in, audio out, and its end."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from gateway.client import (
    AsyncClient,
    CancelResult,
    Ended,
    VoxwireClientError,
    Word,
)
from gateway.client.messages import MAX_TEXT
from tests.support.fake_gateway import FRAME, FakeGateway, Peer, heard, nothing, sound


async def test_a_text_comes_back_as_its_audio() -> None:
    async with FakeGateway() as gateway, AsyncClient(gateway.url) as client, client.speak("Hello there.") as speech:
        assert speech.started.provider == "fake"
        assert speech.sample_rate == 8000
        assert heard(await speech.read()) == "Hello there."
        assert speech.ended == Ended(audio_ms=240.0, ttfa_ms=12.5, frames=12)
    assert gateway.kinds() == ["start", "text", "end"]


async def test_only_what_was_asked_for_is_sent() -> None:
    async with (
        FakeGateway() as gateway,
        AsyncClient(gateway.url) as client,
        client.speak("A", voice="heart", speed=1.5, pace="burst") as speech,
    ):
        await speech.read()
    start = {"type": "start", "context": "1", "voice": "heart", "speed": 1.5, "pace": "burst"}
    assert gateway.received[0] == start


async def test_text_is_sent_piece_by_piece_and_flushed() -> None:
    async with FakeGateway() as gateway, AsyncClient(gateway.url) as client, client.stream() as speech:
        await speech.send("Hel")
        await speech.send("lo.", flush=True)
        await speech.flush()
        await speech.end()
        await speech.end()
        assert heard(await speech.read()) == "Hello."
    texts = [(m["text"], m.get("flush", False)) for m in gateway.received if m["type"] == "text"]
    assert texts == [("Hel", False), ("lo.", True), ("", True)]
    assert gateway.kinds().count("end") == 1


async def test_a_long_text_is_sent_in_messages_that_a_gateway_takes() -> None:
    async with (
        FakeGateway(on={"end": nothing}) as gateway,
        AsyncClient(gateway.url) as client,
        client.stream() as speech,
    ):
        await speech.send("x" * (MAX_TEXT * 2 + 1), flush=True)
        await speech.end()
        await gateway.message("end")
    texts = [(len(m["text"]), m.get("flush", False)) for m in gateway.received if m["type"] == "text"]
    assert texts == [(MAX_TEXT, False), (MAX_TEXT, False), (1, True)]


async def test_frames_have_their_place_in_the_speech() -> None:
    async with FakeGateway() as gateway, AsyncClient(gateway.url) as client, client.speak("abc") as speech:
        frames = [frame async for frame in speech.frames()]
    assert [(f.sequence, f.position) for f in frames] == [(0, 0), (1, FRAME), (2, 2 * FRAME)]
    assert frames[1].data == sound("b")


async def test_word_times_are_collected() -> None:
    async def words(peer: Peer, message: dict[str, Any]) -> None:
        for number, text in enumerate(("Hi", "there")):
            one = [{"text": text, "start_ms": 40 * number, "end_ms": 40 * number + 40}]
            await peer.say("words", message["context"], words=one, estimated=not number)
        await peer.ended(message["context"])

    async with (
        FakeGateway(on={"end": words}) as gateway,
        AsyncClient(gateway.url) as client,
        client.speak("Hi there", timestamps=True) as speech,
    ):
        await speech.read()
    assert speech.words == [Word("Hi", 0, 40, estimated=True), Word("there", 40, 80)]
    assert speech.words_estimated


async def test_many_speeches_share_one_connection() -> None:
    async with FakeGateway() as gateway, AsyncClient(gateway.url) as client:

        async def speak(text: str) -> str:
            async with client.speak(text) as speech:
                return heard(await speech.read())

        texts = [f"Speech number {n}." for n in range(20)]
        assert await asyncio.gather(*map(speak, texts)) == texts
    assert len(gateway.peers) == 1


# ---- stopping


async def test_cancel_tells_what_was_heard() -> None:
    async with (
        FakeGateway(on={"end": nothing}) as gateway,
        AsyncClient(gateway.url) as client,
        client.speak("Hello there.") as speech,
    ):
        result = await speech.cancel(played_ms=100)
        assert result == CancelResult("Hello", " there.", 1.5)
        assert await speech.read() == b""
        with pytest.raises(VoxwireClientError):
            await speech.send("more")
        assert await speech.cancel() == result


async def test_audio_under_way_at_a_cancel_is_thrown_away() -> None:
    async def late(peer: Peer, message: dict[str, Any]) -> None:
        await peer.audio(message["context"], "late")
        await peer.say("cancelled", message["context"], stop_ms=1, text_spoken="", text_remaining="x")

    async with (
        FakeGateway(on={"end": nothing, "cancel": late}) as gateway,
        AsyncClient(gateway.url) as client,
        client.speak("x") as speech,
    ):
        await speech.cancel()
        assert [chunk async for chunk in speech] == []


async def test_cancel_after_all_was_sent_says_that_all_was_spoken() -> None:
    async with FakeGateway() as gateway, AsyncClient(gateway.url) as client, client.speak("Hello.") as speech:
        await speech.read()
        assert await speech.cancel() == CancelResult("Hello.", "", 0.0)
    assert "cancel" not in gateway.kinds()


async def test_leaving_cancels_what_still_runs() -> None:
    async with FakeGateway(on={"end": nothing}) as gateway, AsyncClient(gateway.url) as client:
        async with client.speak("Hello."):
            pass
        assert (await gateway.message("cancel"))["context"] == "1"


async def test_frames_of_a_generation_that_was_dropped_reach_no_other_speech() -> None:
    async def stale(peer: Peer, message: dict[str, Any]) -> None:
        await peer.audio(message["context"], "old", generation=peer.generations[message["context"]] - 1)
        peer.sequences[message["context"]] = 0
        await peer.audio(message["context"], "new")
        await peer.ended(message["context"])

    async with FakeGateway(on={"end": stale}) as gateway, AsyncClient(gateway.url) as client:
        async with client.stream():
            pass
        async with client.speak("x") as speech:
            assert heard(await speech.read()) == "new"


async def test_a_playhead_is_reported() -> None:
    async with FakeGateway() as gateway, AsyncClient(gateway.url) as client, client.stream() as speech:
        await speech.playhead(120.0, underruns=1)
        message = await gateway.message("playhead")
    assert message == {"type": "playhead", "context": "1", "played_ms": 120.0, "underruns": 1}
