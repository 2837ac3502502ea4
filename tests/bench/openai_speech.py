"""Another server's speech through the ``openai_speech`` engine, and the same asked for directly, taking turns.

The server is another Voxwire, on a core of its own. Directly is a plain streaming client on the same loop, which keeps
its connections as the engine does. With Hibari in the server the figures are those of speech; with the tone, which
costs nothing, they show what the engine itself takes.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from statistics import median

import aiohttp
import uvloop

from providers.base import SAMPLE_WIDTH, Segment
from providers.openai_speech import OpenAISpeech, OpenAISpeechSettings
from tests.bench.servers import serving
from tests.bench.table import Figure, at_most
from tests.bench.takes import Take, more, part, spoken

_RATE = 24_000
_HIBARI, _TONE = ("hibari", "heart"), ("mock_tone", "en-US-mock-1")
_SENTENCES = (
    "The morning train leaves the station at seven and arrives before noon.",
    "Fresh vegetables are cheaper at the market on Saturday.",
    "She took a long vacation after the project was completed.",
    "An airplane flew low over the quiet neighborhood.",
    "My father taught me how to swim in the ocean.",
    "The doctor asked her to come back again next week.",
)
_TEXTS = {"a sentence": _SENTENCES[0], "twelve sentences": " ".join(_SENTENCES * 2)}
_MORE = 4
"""Times as many rounds for what is short: another's millisecond counts for more there."""
_TOGETHER = 16
"""The engine's places, where nothing else is set."""
_UNCOUNTED = 2
"""Rounds before the others, in which things are still made ready."""

Speak = Callable[[str], Awaitable[Take]]
Sides = tuple[Speak, Speak]
"""Ours, and directly."""


def figures(*, quick: bool) -> list[Figure]:
    rounds = 5 if quick else 30
    with (
        serving("gateway", VOXWIRE_PROVIDERS=f"{_HIBARI[0]},{_TONE[0]}") as server,
        asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner,
    ):
        return runner.run(_all(f"http://127.0.0.1:{server.port}/v1", rounds))


async def _all(url: str, rounds: int) -> list[Figure]:
    lines = []
    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=_TOGETHER)) as client:
        for model, voice in (_HIBARI, _TONE):
            engine = OpenAISpeech(OpenAISpeechSettings(_env_file=None, url=url, model=model, voices=(voice,)))
            await engine.start()
            try:
                sides = _ours(engine), _directly(client, f"{url}/audio/speech", model, voice)
                lines += await (_speech(sides, rounds) if model == _HIBARI[0] else _cost(sides, rounds * _MORE))
            finally:
                await engine.close()
    return lines


# ---- the two


def _ours(engine: OpenAISpeech) -> Speak:
    async def speak(text: str) -> Take:
        return await spoken(engine, Segment(text, (await engine.voices())[0]))

    return speak


def _directly(client: aiohttp.ClientSession, url: str, model: str, voice: str) -> Speak:
    async def speak(text: str) -> Take:
        body = {"model": model, "voice": voice, "input": text, "response_format": "pcm"}
        began, first, size, pieces = time.perf_counter(), 0.0, 0, 0
        async with client.post(url, json=body, raise_for_status=True) as answer:
            async for piece in answer.content.iter_any():
                first = first or time.perf_counter() - began
                size += len(piece)
                pieces += 1
        return Take(first, time.perf_counter() - began, size / SAMPLE_WIDTH / _RATE, pieces)

    return speak


# ---- what is told of them


async def _speech(sides: Sides, rounds: int) -> list[Figure]:
    lines = []
    for name, text in _TEXTS.items():
        ours, directly, _ = await _compared(sides, text, rounds * (_MORE if text == _SENTENCES[0] else 1))
        lines += [
            Figure(f"openai_speech, Hibari, {name}: first sound, real-time factor", _shown(ours)),
            Figure("  the same asked directly", _shown(directly)),
            at_most("  its first sound comes later by", more(ours, directly, "first") * 1000, 2, "ms", digits=2),
            at_most("  all of its sound, as a part of that", part(ours, directly, "whole"), 1.05, "", digits=2),
        ]
    return lines


async def _cost(sides: Sides, rounds: int) -> list[Figure]:
    lines = []
    for name, text in _TEXTS.items():
        ours, directly, cpu = await _compared(sides, text, rounds)
        lines += [
            Figure(f"openai_speech, the tone, {name}: first sound, all of it", _both(ours)),
            Figure("  the same asked directly", _both(directly)),
            at_most("  its first sound comes later by", more(ours, directly, "first") * 1000, 0.5, "ms", digits=2),
            at_most("  all of its sound, as a part of that", part(ours, directly, "whole"), 1.1, "", digits=2),
            Figure("  CPU of this process for a second of sound, asked directly", ", ".join(map(_us, cpu))),
            at_most("  ours as a part of that", cpu[0] / cpu[1], 1.5, "", digits=2),
        ]
    crowds: Sides = _crowd(sides[0]), _crowd(sides[1])
    ours, directly, _ = await _compared(crowds, _SENTENCES[0], max(5, rounds // _MORE))
    return [
        *lines,
        Figure(f"openai_speech, the tone, {_TOGETHER} at once: the last first sound, all of it", _both(ours)),
        Figure("  the same asked directly", _both(directly)),
        at_most("  the last first sound, as a part of that", part(ours, directly, "first"), 1.2, "", digits=2),
        at_most("  all of the sound, as a part of that", part(ours, directly, "whole"), 1.2, "", digits=2),
    ]


async def _compared(sides: Sides, text: str, rounds: int) -> tuple[list[Take], list[Take], list[float]]:
    """The takes of both, and the seconds of this process's CPU that a second of sound took each, as a median. Who
    begins changes from round to round."""
    takes: tuple[list[Take], list[Take]] = [], []
    cpus: tuple[list[float], list[float]] = [], []
    for number in range(rounds + _UNCOUNTED):
        for side in (0, 1) if number % 2 else (1, 0):
            cpu = time.process_time()
            take = await sides[side](text)
            if number >= _UNCOUNTED:
                takes[side].append(take)
                cpus[side].append((time.process_time() - cpu) / take.sound)
    return *takes, [median(cpu) for cpu in cpus]


def _crowd(speak: Speak) -> Speak:
    """So many at once: the last one's first sound, and all of everybody's."""

    async def speak_together(text: str) -> Take:
        takes = await asyncio.gather(*(speak(text) for _ in range(_TOGETHER)))
        return Take(max(t.first for t in takes), max(t.whole for t in takes), sum(t.sound for t in takes))

    return speak_together


def _shown(takes: list[Take]) -> str:
    return f"{_first(takes):.1f} ms, {median(take.factor for take in takes):.4f}"


def _both(takes: list[Take]) -> str:
    return f"{_first(takes):.2f} ms, {median(take.whole for take in takes) * 1000:.1f} ms"


def _us(seconds: float) -> str:
    return f"{seconds * 1e6:.0f} us"


def _first(takes: list[Take]) -> float:
    return median(take.first for take in takes) * 1000
