from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

from providers.base import Segment, Voice
from providers.volcano.text import Text
from tests.support.virtual_time import virtual_time

VOICE = Voice("v", "V", "en", 24000)


class Coming:
    """Segments as a test sends them."""

    def __init__(self) -> None:
        self.queue: asyncio.Queue[str | None] = asyncio.Queue()

    def send(self, *texts: str | None) -> None:
        for text in texts:
            self.queue.put_nowait(text)

    def __aiter__(self) -> AsyncIterator[Segment]:
        return self

    async def __anext__(self) -> Segment:
        text = await self.queue.get()
        if text is None:
            raise StopAsyncIteration
        return Segment(text, VOICE)


def texts() -> tuple[Coming, Text]:
    coming = Coming()
    return coming, Text(coming)


@virtual_time
async def test_a_session_has_what_comes_until_the_end() -> None:
    coming, text = texts()
    coming.send("one ", "two", None)
    first = await text.begin()
    assert first is not None
    assert first.text == "one "
    assert await text.more(2.0) == "two"
    assert await text.more(2.0) is None
    assert text.session == ["one ", "two"]
    assert await text.begin() is None
    assert text.before == 2


@virtual_time
async def test_a_flush_ends_a_session_and_what_comes_after_it_is_another() -> None:
    coming, text = texts()
    coming.send("one", "", "two", None)
    assert await text.begin() is not None
    assert await text.more(2.0) is None
    # Asked again by a session that is begun again, it does not take what is the next one's.
    assert await text.more(2.0) is None
    assert await text.begin() is not None
    assert (text.session, text.before) == (["two"], 1)
    await text.close()


@virtual_time
async def test_a_pause_ends_a_session_and_loses_nothing() -> None:
    coming, text = texts()
    coming.send("one")
    await text.begin()
    began = asyncio.get_running_loop().time()
    assert await text.more(2.0) is None
    assert asyncio.get_running_loop().time() - began == 2.0
    coming.send("two", None)
    second = await text.begin()
    assert second is not None
    assert second.text == "two"
    await text.close()


@virtual_time
async def test_a_wait_that_is_cancelled_loses_nothing() -> None:
    coming, text = texts()
    waiting = asyncio.create_task(text.begin())
    await asyncio.sleep(1)
    waiting.cancel()
    await asyncio.wait([waiting])
    coming.send("one")
    segment = await text.begin()
    assert segment is not None
    assert segment.text == "one"
    await text.close()


@virtual_time
async def test_what_nobody_can_speak_begins_no_session_and_is_counted() -> None:
    coming, text = texts()
    coming.send("", "...", " ", "one", None)
    await text.begin()
    assert (text.before, text.session) == (2, ["one"])
    await text.close()


@virtual_time
async def test_segments_are_spoken_when_their_letters_are() -> None:
    coming, text = texts()
    coming.send("Hello. ", "you there", None)
    await text.begin()
    await text.more(2.0)
    assert [text.spoken(letters) for letters in (0, 4, 5, 12, 13, 99)] == [0, 0, 1, 1, 2, 2]
    await text.close()


@virtual_time
async def test_half_a_character_is_made_one_that_can_be_written() -> None:
    coming, text = texts()
    coming.send("a\ud800b", None)
    await text.begin()
    assert text.session == ["a?b"]
    await text.close()


@virtual_time
async def test_closing_leaves_the_iterator_alone() -> None:
    coming, text = texts()
    waiting = asyncio.create_task(text.begin())
    await asyncio.sleep(1)
    waiting.cancel()
    await text.close()
    coming.send("one")
    assert (await coming.__anext__()).text == "one"
