"""Streams that go the gateway's way to a format, without a network: many at once, fast, paced, or held."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Coroutine, Iterable, Iterator
from pathlib import Path
from typing import Any, TypeVar

import uvloop

from audio.formats import AudioFormat
from gateway.pipeline.transcoding import Transcoder, TranscodingPool, transcoder

R = TypeVar("R")
RATE = 24000
"""Hz of the engine's sound."""
CHUNK = 960
"""Bytes that an engine gives at a time, where nothing else is said: 20 ms, the hardest case."""
WHOLE = 4800
"""100 ms: what the gateway gives an encoder at a time."""


class Chunks:
    """An engine that has said it all already."""

    def __init__(self, parts: Iterable[bytes]) -> None:
        self._parts = iter(parts)

    async def get(self) -> bytes | None:
        return next(self._parts, None)


def cut(sound: bytes, size: int) -> Iterator[bytes]:
    return (sound[at : at + size] for at in range(0, len(sound), size))


def run(main: Callable[[TranscodingPool], Coroutine[Any, Any, R]]) -> R:
    """On a loop like the gateway's, with a pool of one thread."""
    pool = TranscodingPool(1)
    try:
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            return runner.run(main(pool))
    finally:
        pool.close()


async def drain(made: Transcoder, each: Callable[[], object] = lambda: None) -> None:
    async with asyncio.TaskGroup() as group:
        group.create_task(made.run())
        while await made.get() is not None:
            each()


# ---- CPU


def cpu(row: AudioFormat, rate: int, sound: bytes, streams: int) -> float:
    """Seconds for ``streams`` that go side by side, each as fast as it can."""

    async def main(pool: TranscodingPool) -> float:
        made = [transcoder(Chunks(cut(sound, CHUNK)), row.open(RATE, rate), rate // 50, pool) for _ in range(streams)]
        began = time.process_time()
        await asyncio.gather(*map(drain, made))
        return time.process_time() - began

    return run(main)


# ---- memory


class _Endless(Chunks):
    """After its sound it is silent until it may end."""

    def __init__(self, parts: Iterable[bytes], end: asyncio.Event) -> None:
        super().__init__(parts)
        self.silent = asyncio.Event()
        self._end = end

    async def get(self) -> bytes | None:
        if (part := await super().get()) is None:
            self.silent.set()
            await self._end.wait()
        return part


def held(row: AudioFormat, sound: bytes) -> float:
    """KiB that each of 200 streams holds in the midst of its sound; 30 more go before and stay."""

    async def main(pool: TranscodingPool) -> float:
        end = asyncio.Event()
        tasks: list[asyncio.Task[None]] = []

        async def add(count: int) -> None:
            for _ in range(count):
                source = _Endless(cut(sound, CHUNK), end)
                tasks.append(asyncio.create_task(drain(transcoder(source, row.open(RATE, RATE), RATE // 50, pool))))
                await source.silent.wait()

        await add(30)
        before = _resident()
        await add(200)
        each = (_resident() - before) / 200
        end.set()
        await asyncio.gather(*tasks)
        return each

    return run(main)


def _resident() -> float:
    """KiB."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * 4.0


# ---- real time

_RAMP = 2.0
"""Seconds over which the streams begin: each takes a millisecond or two to be made."""


class _Paced(Chunks):
    """A piece of 100 ms every 100 ms."""

    def __init__(self, parts: Iterable[bytes], start: float) -> None:
        super().__init__(parts)
        self.due = start

    async def get(self) -> bytes | None:
        self.due += 0.1
        await asyncio.sleep(self.due - asyncio.get_running_loop().time())
        return await super().get()


def lateness(row: AudioFormat, sound: bytes, sessions: int) -> float:
    """The 99th percentile of the seconds from the moment a piece of sound is there to that of its frame."""

    async def main(pool: TranscodingPool) -> float:
        loop = asyncio.get_running_loop()
        late: list[float] = []

        def listen(number: int) -> Awaitable[None]:
            source = _Paced(cut(sound, WHOLE), loop.time() + _RAMP * number / sessions)
            made = transcoder(source, row.open(RATE, RATE), RATE // 50, pool)
            return drain(made, lambda: late.append(loop.time() - source.due))

        await asyncio.gather(*map(listen, range(sessions)))
        return sorted(late)[len(late) * 99 // 100]

    return run(main)
