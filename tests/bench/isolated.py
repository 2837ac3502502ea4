"""What a process of its own costs an engine: time to the first chunk, and time for each after it, against the same
engine in this process, taken in turns. And what it spares the gateway: how late its loop is while the engine speaks.

    python -m tests.bench.isolated mock_tone hibari piper
"""

from __future__ import annotations

import asyncio
import sys
import time
from collections.abc import Awaitable, Callable
from statistics import median, quantiles

from providers.base import Provider, Segment
from providers.isolated.engine import isolate
from providers.registry import load

_TEXT = "The morning train leaves the station at seven, and nobody is on it today."
_ROUNDS = 40
_TOGETHER = 4
"""Segments that are spoken at a time while the loop is watched, in each of so many rounds."""
_WATCHES = 6
_TICK = 0.005


async def main(names: list[str]) -> None:
    heads = ("first chunk", "isolated", "more", "chunks", "more a chunk", "start", "loop late", "isolated")
    print(f"{'engine':12}" + "".join(f"{head:>14}" for head in heads))
    for name in names:
        await _compare(name)


async def _compare(name: str) -> None:
    async def here() -> Provider:
        return load(name)

    engines = [await _started(here), await _started(lambda: isolate(name, {}, here))]
    taken: list[list[tuple[float, float, int]]] = [[], []]
    for turn in range(_ROUNDS + 3):
        for (engine, _), found in zip(engines, taken, strict=True):
            measured = await _speak(engine)
            if turn >= 3:
                found.append(measured)
    late: list[list[float]] = [[], []]
    for _ in range(_WATCHES):
        for (engine, _), found in zip(engines, late, strict=True):
            found.extend(await _watch(engine))
    for engine, _ in engines:
        await engine.close()
    chunks = taken[0][0][2]
    first = [median(first for first, _, _ in found) * 1000 for found in taken]
    rest = [median((whole - first) / max(1, chunks - 1) for first, whole, _ in found) * 1000 for found in taken]
    cells = (
        f"{first[0]:.2f} ms",
        f"{first[1]:.2f} ms",
        f"{first[1] - first[0]:.2f} ms",
        str(chunks),
        f"{rest[1] - rest[0]:.3f} ms",
        f"{engines[0][1]:.1f} > {engines[1][1]:.1f} s",
        *(f"{quantiles(found, n=100)[98] * 1000:.1f} ms" for found in late),
    )
    print(f"{name:12}" + "".join(f"{cell:>14}" for cell in cells))


async def _started(make: Callable[[], Awaitable[Provider]]) -> tuple[Provider, float]:
    began = time.perf_counter()
    engine = await make()
    await engine.start()
    return engine, time.perf_counter() - began


async def _speak(engine: Provider) -> tuple[float, float, int]:
    """Seconds to the first chunk and to the last, and how many there are."""
    voice = (await engine.voices())[0]
    began, first, count = time.perf_counter(), 0.0, 0
    async for _ in engine.synthesize(Segment(_TEXT, voice)):
        count += 1
        first = first or time.perf_counter() - began
    return first, time.perf_counter() - began, count


async def _watch(engine: Provider) -> list[float]:
    """Seconds by which the loop is late, tick by tick, while some segments are spoken. The 99th percentile is shown."""
    late: list[float] = []
    speaking = asyncio.gather(*(_speak(engine) for _ in range(_TOGETHER)))
    while not speaking.done():
        due = time.perf_counter() + _TICK
        await asyncio.sleep(_TICK)
        late.append(time.perf_counter() - due)
    await speaking
    return late


if __name__ == "__main__":
    import uvloop

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(main(sys.argv[1:] or ["mock_tone", "hibari"]))
