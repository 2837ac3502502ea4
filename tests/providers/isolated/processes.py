"""Engines in processes of their own, for these tests, and whether a process is over."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, cast

from providers.base import PcmChunk, Provider, Segment
from providers.isolated.engine import IsolatedEngine, isolate
from providers.registry import load

WILD = "tests.support.wild:Wild"
PLAIN = "tests.support.wild:Plain"


async def made(name: str = WILD, **options: Any) -> Any:
    """One that is not started."""

    async def here() -> Provider:
        return load(name, **{key: value for key, value in options.items() if key != "at"})

    return cast(IsolatedEngine, await isolate(name, options, here))


@asynccontextmanager
async def running(name: str = WILD, **options: Any) -> AsyncIterator[Any]:
    engine = await made(name, **options)
    try:
        await engine.start()
        yield engine
    finally:
        await engine.close()


async def speak(engine: Any, text: str, **segment: Any) -> list[PcmChunk]:
    voice = segment.pop("voice", None) or (await engine.voices())[0]
    return [chunk async for chunk in engine.synthesize(Segment(text, voice, **segment))]


async def over(pid: int, limit: float = 60.0) -> None:
    """Wait for the end of a process, whosever child it is. Raises ``TimeoutError``."""
    try:
        watched = os.pidfd_open(pid)
    except ProcessLookupError:
        return
    loop, ended = asyncio.get_running_loop(), asyncio.Event()
    loop.add_reader(watched, ended.set)
    try:
        async with asyncio.timeout(limit):
            await ended.wait()
    finally:
        loop.remove_reader(watched)
        os.close(watched)
