"""The engine against a server with the service's rules."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager, aclosing, asynccontextmanager
from typing import Any

import pytest

from providers.base import PcmChunk, Segment, Spoken, Word
from providers.volcano import pool as pooling
from providers.volcano import speech as module
from providers.volcano.engine import Volcano
from providers.volcano.settings import VolcanoSettings
from tests.support.volcano import VolcanoService, serving

SECOND, FIRST = "zh_female_vv_uranus_bigtts", "zh_male_wennuanahu_moon_bigtts"
UNIDIRECTIONAL, SMALL = "ja_male_yusuke_uranus_bigtts", "BV001_streaming"
KEY, ACCESS = "the-secret-key", "the-secret-access"

Opened = Callable[..., AbstractAsyncContextManager[Volcano]]


@pytest.fixture(autouse=True)
def _soon(monkeypatch: pytest.MonkeyPatch) -> None:
    """Other tries come at once; and nobody despairs of a cancelled session while the machine does something else."""
    monkeypatch.setattr(module, "_FIRST_WAIT", 0.0)
    monkeypatch.setattr(pooling, "_CANCEL", 60.0)


@pytest.fixture
async def service() -> AsyncIterator[VolcanoService]:
    """Ends with a look at its books: nothing is left, and the client has kept the rules."""
    async with serving() as service:
        service.account(KEY, app_id="app", access_key=ACCESS)
        yield service
        async with asyncio.timeout(60):
            await service.until(lambda: service.open == 0 and service.live == 0)
        assert service.problems == []


@pytest.fixture
def volcano(service: VolcanoService) -> Opened:
    """Makes an engine for the service; closed at the end. Only where a test says so does a pause of seconds finish a
    session: others are the machine's."""

    @asynccontextmanager
    async def open(**settings: Any) -> AsyncIterator[Volcano]:
        account = {"api_key": KEY, "app_id": "app", "access_key": ACCESS}
        given = {"url": service.url, "finish_after": 60.0, **account, **settings}
        made = Volcano(VolcanoSettings(_env_file=None, **given))
        try:
            yield made
        finally:
            await made.close()

    return open


async def segment(engine: Volcano, text: str, voice: str = SECOND, **more: Any) -> Segment:
    (found,) = [known for known in await engine.voices() if known.id == voice]
    return Segment(text, found, **more)


class Script:
    """Segments that a test sends one by one, or all at once."""

    def __init__(self, engine: Volcano, voice: str = SECOND, **more: Any) -> None:
        self._engine = engine
        self._voice = voice
        self._more = more
        self._texts: asyncio.Queue[str | None] = asyncio.Queue()

    def send(self, *texts: str | None) -> Script:
        for text in texts:
            self._texts.put_nowait(text)
        return self

    def __aiter__(self) -> Script:
        return self

    async def __anext__(self) -> Segment:
        text = await self._texts.get()
        if text is None:
            raise StopAsyncIteration
        return await segment(self._engine, text, self._voice, **self._more)


class Heard:
    """What a conversation gave, as it comes."""

    def __init__(self) -> None:
        self.pcm = b""
        self.words: list[Word] = []
        self.spoken: list[int] = []

    @property
    def seconds(self) -> float:
        return len(self.pcm) / 48000

    def take(self, item: PcmChunk | Spoken) -> None:
        self.words += item.words
        if isinstance(item, PcmChunk):
            assert item.pcm
            assert len(item.pcm) % 2 == 0
            self.pcm += item.pcm
        else:
            self.spoken.append(item.segments)


async def hear(items: AsyncGenerator[PcmChunk | Spoken, None], into: Heard | None = None) -> Heard:
    """All of a conversation; what was heard before an error is in ``into``."""
    heard = into or Heard()
    async with aclosing(items) as taken:
        async for item in taken:
            heard.take(item)
    return heard


async def say(engine: Volcano, *texts: str, voice: str = SECOND, **more: Any) -> Heard:
    return await hear(engine.converse(Script(engine, voice, **more).send(*texts, None)))


async def within(seconds: float, work: Awaitable[Any]) -> Any:
    async with asyncio.timeout(seconds):
        return await work
