"""Questions over HTTP, and what is looked at in an answer."""

from __future__ import annotations

import asyncio
import base64
import io
import itertools
import wave
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import httpx

from gateway.client import AsyncClient
from tests.support.serving import Served


@asynccontextmanager
async def client(served: Served, **options: Any) -> AsyncIterator[httpx.AsyncClient]:
    async with httpx.AsyncClient(base_url=served.http, timeout=60, **options) as made:
        yield made


async def post(served: Served, path: str, body: Any = None, **options: Any) -> httpx.Response:
    """``body`` goes as JSON; ``options`` are httpx' own."""
    async with client(served) as made:
        return await made.post(path, **options if body is None else {"json": body, **options})


async def spoken_natively(served: Served, text: str, **request: Any) -> bytes:
    """The PCM that the native protocol gives."""
    async with (
        AsyncClient(served.http) as native,
        native.speak(text, **{"format": "pcm16", "pace": "burst", **request}) as speech,
    ):
        return await speech.read()


async def empty(served: Served) -> None:
    """Wait until no session is left, and see that nothing of one is."""
    await served.gateway.sessions.drained()
    places = served.gateway.capacities.sessions
    assert (served.gateway.sessions.live, places.taken, places.waiting) == ((), 0, 0)


async def until(condition: Callable[[], bool]) -> None:
    """Let the loop turn until ``condition`` holds."""
    async with asyncio.timeout(60):
        for _ in itertools.count():
            if condition():
                return
            await asyncio.sleep(0)


def b64(data: bytes) -> str:
    return base64.b64encode(data).decode()


def wav_of(pcm: bytes, rate: int = 24_000) -> bytes:
    buffer = io.BytesIO()
    with wave.open(buffer, "wb") as file:
        file.setparams((1, 2, rate, 0, "NONE", ""))
        file.writeframes(pcm)
    return buffer.getvalue()


def pcm_of_wav(data: bytes, rate: int | None = None) -> bytes:
    """Of a file whose header is true; of this rate, where one is named."""
    with wave.open(io.BytesIO(data)) as file:
        assert (file.getnchannels(), file.getsampwidth()) == (1, 2)
        assert len(data) == 44 + file.getnframes() * 2
        assert rate in (None, file.getframerate())
        return file.readframes(file.getnframes())
