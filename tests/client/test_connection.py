"""One socket for many speeches: what goes wrong on it, and readers that are slow."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from gateway.client import (
    AsyncClient,
    AsyncSpeech,
    ConnectionFailed,
    GatewayError,
    Queued,
    SpeechError,
    TimedOut,
    VoxwireClientError,
)
from gateway.client.connection import Connection
from tests.support.fake_gateway import FakeGateway, Peer, heard, nothing


async def heard_before_error(speech: AsyncSpeech, match: str) -> str:
    audio = bytearray()

    async def read() -> None:
        async for chunk in speech:
            audio.extend(chunk)

    with pytest.raises(SpeechError, match=match):
        await read()
    return heard(bytes(audio))


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


async def test_waiting_in_the_queue_is_no_timeout(monkeypatch: pytest.MonkeyPatch) -> None:
    admitted = asyncio.Event()

    async def queue(peer: Peer, message: dict[str, Any]) -> None:
        await peer.say("queued", message["context"], position=2, eta_ms=None)
        await admitted.wait()
        await peer.started(message["context"])

    async with FakeGateway(on={"start": queue}) as gateway, AsyncClient(gateway.url) as client:
        speech = client.stream()
        told, event = asyncio.Event(), speech.event

        def tell(kind: str, message: dict[str, Any]) -> None:
            event(kind, message)
            told.set()

        monkeypatch.setattr(speech, "event", tell)
        entering = asyncio.create_task(speech.__aenter__())
        await told.wait()
        # The wait for an answer is over, so its time cannot run out any more.
        assert speech.queued == Queued(2, None)
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
