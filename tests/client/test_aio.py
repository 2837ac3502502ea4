"""The asyncio client against a gateway that does what it is told."""

from __future__ import annotations

import asyncio
import threading
import wave
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import pytest

from gateway.client import (
    AsyncClient,
    AsyncSpeech,
    CancelResult,
    ConnectionFailed,
    Ended,
    GatewayError,
    SpeechError,
    TimedOut,
    Voice,
    VoxwireClientError,
    Word,
)
from gateway.client.connection import Connection
from gateway.client.messages import MAX_TEXT
from tests.support.fake_gateway import FRAME, FakeGateway, Peer, heard, sound


async def heard_before_error(speech: AsyncSpeech, match: str) -> str:
    audio = bytearray()

    async def read() -> None:
        async for chunk in speech:
            audio.extend(chunk)

    with pytest.raises(SpeechError, match=match):
        await read()
    return heard(bytes(audio))


def names(folder: Path) -> list[str]:
    return [path.name for path in folder.iterdir()]


async def nothing(peer: Peer, message: dict[str, Any]) -> None:
    pass


# ---- speaking


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
        one = [{"text": "Hi", "start_ms": 0, "end_ms": 40}]
        await peer.say("words", message["context"], words=one, estimated=True)
        await peer.ended(message["context"])

    async with (
        FakeGateway(on={"end": words}) as gateway,
        AsyncClient(gateway.url) as client,
        client.speak("Hi", timestamps=True) as speech,
    ):
        await speech.read()
    assert speech.words == [Word("Hi", 0, 40)]
    assert speech.words_estimated


async def test_many_speeches_share_one_connection() -> None:
    async with FakeGateway() as gateway, AsyncClient(gateway.url) as client:

        async def speak(text: str) -> str:
            async with client.speak(text) as speech:
                return heard(await speech.read())

        texts = [f"Speech number {n}." for n in range(20)]
        assert await asyncio.gather(*map(speak, texts)) == texts
    assert len(gateway.peers) == 1


# ---- text from elsewhere


async def test_tokens_of_an_async_source_are_spoken_while_it_goes_on() -> None:
    first_heard = asyncio.Event()

    async def say_it(peer: Peer, message: dict[str, Any]) -> None:
        await peer.audio(message["context"], message["text"])

    async def end(peer: Peer, message: dict[str, Any]) -> None:
        await peer.ended(message["context"])

    async def tokens() -> AsyncIterator[str]:
        yield "one "
        await first_heard.wait()
        yield "two"

    async with (
        FakeGateway(on={"text": say_it, "end": end}) as gateway,
        AsyncClient(gateway.url) as client,
        client.speak(tokens()) as speech,
    ):
        audio = b""
        async for chunk in speech:
            audio += chunk
            first_heard.set()
    assert heard(audio) == "one two"


async def test_a_source_that_blocks_is_pulled_on_a_thread_that_ends() -> None:
    threads = set[threading.Thread]()

    def tokens() -> Iterator[str]:
        for token in ("a", "b", "c"):
            threads.add(threading.current_thread())
            yield token

    async with FakeGateway() as gateway, AsyncClient(gateway.url) as client, client.speak(tokens()) as speech:
        assert heard(await speech.read()) == "abc"
    (thread,) = threads
    assert thread is not threading.current_thread()
    await asyncio.to_thread(thread.join, 10)
    assert not thread.is_alive()


async def test_what_a_source_raises_reaches_the_reader() -> None:
    def tokens() -> Iterator[str]:
        yield "a"
        raise LookupError("no more tokens")

    async with FakeGateway() as gateway, AsyncClient(gateway.url) as client:
        async with client.speak(tokens()) as speech:
            with pytest.raises(LookupError):
                await speech.read()
        await gateway.message("cancel")


async def test_leaving_stops_a_source_that_never_ends() -> None:
    closed = asyncio.Event()

    async def tokens() -> AsyncIterator[str]:
        try:
            while True:
                await asyncio.sleep(0)
                yield "x"
        finally:
            closed.set()

    source = tokens()
    async with FakeGateway() as gateway, AsyncClient(gateway.url) as client:
        async with client.speak(source):
            await gateway.message("text")
        assert "cancel" in [*gateway.kinds(), (await gateway.message("cancel"))["type"]]
    await source.aclose()  # type: ignore[attr-defined]
    assert closed.is_set()


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


# ---- trouble


async def test_a_refused_speech_raises_when_it_is_entered() -> None:
    async def refuse(peer: Peer, message: dict[str, Any]) -> None:
        await peer.error(message["context"], "overloaded", retryable=True, retry_after_ms=1500)

    async with FakeGateway(on={"start": refuse, "text": nothing}) as gateway, AsyncClient(gateway.url) as client:
        with pytest.raises(SpeechError) as caught:
            async with client.speak("Hello.", voice="nobody"):
                raise AssertionError("not reached")
    assert (caught.value.code, caught.value.retryable, caught.value.retry_after) == ("overloaded", True, 1.5)


async def test_a_speech_that_fails_midway_raises_after_the_audio_that_came() -> None:
    async def fail(peer: Peer, message: dict[str, Any]) -> None:
        await peer.audio(message["context"], "He")
        await peer.error(message["context"], "engine_failed")

    async with (
        FakeGateway(on={"end": fail}) as gateway,
        AsyncClient(gateway.url) as client,
        client.speak("Hello.") as speech,
    ):
        assert await heard_before_error(speech, "engine_failed") == "He"
        with pytest.raises(SpeechError):
            await speech.read()


async def test_a_refused_piece_of_text_ends_the_speech() -> None:
    async def refuse(peer: Peer, message: dict[str, Any]) -> None:
        await peer.error(message["context"], "text_too_long", final=False)

    async with (
        FakeGateway(on={"text": refuse}) as gateway,
        AsyncClient(gateway.url) as client,
        client.stream() as speech,
    ):
        await speech.send("Hello.")
        with pytest.raises(SpeechError, match="text_too_long"):
            await speech.read()
        await gateway.message("cancel")


async def test_one_failed_speech_leaves_the_others_alone() -> None:
    async def end(peer: Peer, message: dict[str, Any]) -> None:
        if peer.text[message["context"]] == "bad":
            await peer.error(message["context"], "engine_failed")
        else:
            await peer.audio(message["context"], peer.text[message["context"]])
            await peer.ended(message["context"])

    async with (
        FakeGateway(on={"end": end}) as gateway,
        AsyncClient(gateway.url) as client,
        client.speak("bad") as bad,
        client.speak("good") as good,
    ):
        with pytest.raises(SpeechError):
            await bad.read()
        assert heard(await good.read()) == "good"


async def test_a_cut_connection_is_told_to_every_speech() -> None:
    async with (
        FakeGateway(on={"end": nothing}) as gateway,
        AsyncClient(gateway.url) as client,
        client.speak("one") as one,
        client.speak("two") as two,
    ):
        reads = [asyncio.create_task(speech.read()) for speech in (one, two)]
        gateway.peers[0].cut()
        results = await asyncio.gather(*reads, return_exceptions=True)
        assert [type(result) for result in results] == [ConnectionFailed, ConnectionFailed]
        with pytest.raises(ConnectionFailed):
            await one.send("more")
        with pytest.raises(ConnectionFailed):
            await one.cancel()


async def test_after_a_cut_the_next_speech_connects_anew() -> None:
    async with FakeGateway() as gateway, AsyncClient(gateway.url) as client:
        async with client.stream() as speech:
            gateway.peers[0].cut()
            with pytest.raises(ConnectionFailed):
                await speech.read()
        async with client.speak("Again.") as speech:
            assert heard(await speech.read()) == "Again."
    assert len(gateway.peers) == 2


async def test_after_goaway_what_runs_is_finished_and_what_is_new_goes_elsewhere() -> None:
    async with FakeGateway() as gateway, AsyncClient(gateway.url) as client:
        async with client.stream() as old:
            await gateway.peers[0].say("goaway", deadline_ms=5000)
            # The answer to this comes behind the goaway.
            await old.send("old")
            await old.end()
            first = await anext(old)
            async with client.speak("new") as new:
                assert heard(await new.read()) == "new"
            assert heard(first + await old.read()) == "old"
        await gateway.peers[0].socket.wait_closed()
    assert len(gateway.peers) == 2


async def test_a_gateway_that_does_not_answer_is_a_timeout() -> None:
    async with FakeGateway(on={"start": nothing}) as gateway, AsyncClient(gateway.url, timeout=0.05) as client:
        with pytest.raises(TimedOut):
            async with client.stream():
                raise AssertionError("not reached")


async def test_waiting_in_the_queue_is_no_timeout() -> None:
    admitted = asyncio.Event()

    async def queue(peer: Peer, message: dict[str, Any]) -> None:
        await peer.say("queued", message["context"], position=2, eta_ms=None)
        await admitted.wait()
        await peer.started(message["context"])

    async with FakeGateway(on={"start": queue}) as gateway, AsyncClient(gateway.url, timeout=0.05) as client:
        speech = client.stream()
        entering = asyncio.create_task(speech.__aenter__())
        done, _ = await asyncio.wait([entering], timeout=0.2)
        assert not done
        assert speech.queued is not None
        assert speech.queued.position == 2
        admitted.set()
        await entering
        await speech.__aexit__(None, None, None)


async def test_an_address_where_nobody_answers_is_named() -> None:
    async with FakeGateway() as gateway:
        url = gateway.url
    async with AsyncClient(url) as client:
        with pytest.raises(ConnectionFailed, match=f"no gateway answers at {url}"):
            async with client.speak("Hello."):
                raise AssertionError("not reached")


async def test_a_wrong_key_is_refused_with_its_code() -> None:
    body = {"error": {"code": "unauthorized", "message": "this key is not known", "retryable": False}}
    async with FakeGateway(refuse=(401, body)) as gateway, AsyncClient(gateway.url, api_key="wrong") as client:
        with pytest.raises(GatewayError) as caught:
            async with client.stream():
                raise AssertionError("not reached")
        assert caught.value.code == "unauthorized"
        with pytest.raises(GatewayError, match="this key is not known"):
            await client.voices()
    assert [headers["Authorization"] for headers in gateway.headers] == ["Bearer wrong"] * 2


async def test_another_server_is_not_taken_for_a_gateway() -> None:
    async with FakeGateway(refuse=(404, "not here")) as gateway, AsyncClient(gateway.url) as client:
        with pytest.raises(ConnectionFailed, match="is it a Voxwire gateway"):
            async with client.stream():
                raise AssertionError("not reached")


async def test_a_message_that_is_no_protocol_ends_the_connection() -> None:
    async def babble(peer: Peer, message: dict[str, Any]) -> None:
        await peer.socket.send("this is not JSON")

    async with (
        FakeGateway(on={"end": babble}) as gateway,
        AsyncClient(gateway.url) as client,
        client.speak("Hello.") as speech,
    ):
        with pytest.raises(ConnectionFailed, match="cannot read"):
            await speech.read()


async def test_closing_the_client_ends_speeches_that_run() -> None:
    async with FakeGateway(on={"end": nothing}) as gateway:
        client = AsyncClient(gateway.url)
        async with client.speak("Hello.") as speech:
            reading = asyncio.create_task(speech.read())
            await client.close()
            with pytest.raises(ConnectionFailed):
                await reading
        with pytest.raises(VoxwireClientError, match="closed"):
            async with client.stream():
                raise AssertionError("not reached")


async def test_nothing_is_left_behind() -> None:
    before = asyncio.all_tasks()
    async with FakeGateway() as gateway:
        async with AsyncClient(gateway.url) as client, client.speak(["a", "b"]) as speech:
            await anext(speech)
        assert not [task for task in asyncio.all_tasks() - before if task.get_name().startswith("voxwire")]


# ---- readers that are slow


async def test_a_slow_reader_that_is_alone_holds_the_gateway_back_and_loses_nothing() -> None:
    text = "abcdefghij" * 100
    async with (
        FakeGateway() as gateway,
        AsyncClient(gateway.url, max_unread=0.5) as client,
        client.speak(text) as speech,
    ):
        audio = b""
        async for chunk in speech:
            assert speech.unread <= 0.52
            audio += chunk
    assert heard(audio) == text


async def test_a_speech_that_nobody_reads_is_cancelled_where_others_wait(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(Connection.__init__, "__kwdefaults__", {"stalled": 0.0})
    async with (
        FakeGateway() as gateway,
        AsyncClient(gateway.url, max_unread=0.5) as client,
        client.stream() as other,
        client.speak("x" * 100) as unread,
    ):
        await gateway.message("cancel")
        await other.send("Still here.")
        await other.end()
        assert heard(await other.read()) == "Still here."
        assert await heard_before_error(unread, "not_read") == "x" * 27


async def test_the_client_can_be_closed_while_a_full_speech_holds_the_socket() -> None:
    async with (
        FakeGateway() as gateway,
        AsyncClient(gateway.url, max_unread=0.5) as client,
        client.speak("x" * 1000) as speech,
    ):
        await anext(speech)
        await client.close()


# ---- files and voices


async def test_a_wav_file_has_an_exact_header(tmp_path: Path) -> None:
    async with FakeGateway() as gateway, AsyncClient(gateway.url) as client, client.speak("Hello.") as speech:
        assert (await speech.save(tmp_path / "hello.wav")).frames == 6
    with wave.open(str(tmp_path / "hello.wav")) as file:
        assert (file.getnchannels(), file.getsampwidth(), file.getframerate()) == (1, 2, 8000)
        assert heard(file.readframes(file.getnframes())) == "Hello."


@pytest.mark.parametrize(
    ("name", "format"),
    [("a.wav", "pcm16"), ("a.mp3", "mp3"), ("a.OGG", "opus"), ("a.ulaw", "mulaw"), ("a.bin", "pcm16")],
)
async def test_a_file_name_chooses_the_format(tmp_path: Path, name: str, format: str) -> None:
    async with FakeGateway() as gateway, AsyncClient(gateway.url) as client:
        await client.save("Hi.", tmp_path / name)
    assert gateway.received[0]["format"] == format
    assert gateway.received[0]["pace"] == "burst"


async def test_other_formats_are_written_as_they_came(tmp_path: Path) -> None:
    async with FakeGateway() as gateway, AsyncClient(gateway.url) as client:
        await client.save("Hi.", tmp_path / "a.mp3")
    assert (tmp_path / "a.mp3").read_bytes() == sound("Hi.")


async def test_a_name_of_another_format_is_refused(tmp_path: Path) -> None:
    async with FakeGateway() as gateway, AsyncClient(gateway.url) as client, client.speak("Hi.") as speech:
        with pytest.raises(ValueError, match="format='mp3'"):
            await speech.save(tmp_path / "a.mp3")


async def test_a_file_that_failed_is_not_there(tmp_path: Path) -> None:
    async def fail(peer: Peer, message: dict[str, Any]) -> None:
        await peer.audio(message["context"], "He")
        await peer.error(message["context"], "engine_failed")

    async with FakeGateway(on={"end": fail}) as gateway, AsyncClient(gateway.url) as client:
        with pytest.raises(SpeechError):
            await client.save("Hello.", tmp_path / "a.wav")
    assert names(tmp_path) == []


async def test_voices_are_listed() -> None:
    rows = [{"id": "heart", "name": "Heart", "provider": "hibari", "language": "en-US", "sample_rate_hz": 24000}]
    expected = [Voice("heart", "Heart", "hibari", "en-US", 24000, None, None)]
    async with FakeGateway(voices=rows) as gateway, AsyncClient(gateway.url) as client:
        assert await client.voices() == expected
    async with FakeGateway(voices={"voices": rows}) as gateway, AsyncClient(gateway.url) as client:
        assert await client.voices() == expected
