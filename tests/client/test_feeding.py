"""Text from any kind of source."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator, Iterator
from typing import Any

import pytest

from gateway.client import (
    AsyncClient,
)
from tests.support.fake_gateway import FakeGateway, Peer, heard


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
