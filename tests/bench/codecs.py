"""What the formats cost: the gateway's way to each against the encoder alone, and against ffmpeg's processes."""

from __future__ import annotations

import asyncio
import multiprocessing
import time
from concurrent.futures import ProcessPoolExecutor
from statistics import median

from audio.formats import FORMATS, AudioFormat
from gateway.pipeline.transcoding import TranscodingPool, transcoder
from providers.base import Segment
from providers.hibari import Hibari
from tests.audio.endurance import endure
from tests.bench import ffmpeg_processes as ffmpeg
from tests.bench.table import Figure, at_most
from tests.bench.transcoding import CHUNK, RATE, WHOLE, Chunks, cpu, cut, drain, held, lateness, run
from tests.support.sentences import SENTENCES

_SECONDS = 10
_STREAMS = 10
_COST = {"mp3": 5.0, "opus": 9.0}
_MEMORY = {"mp3": 300.0, "opus": 70.0}
_SESSIONS = {"mp3": 140, "opus": 85}
_WINDOW = 4
"""Seconds of sound in real time."""
_TRIES = 3
"""Whatever else runs on the machine only takes from what it can hold."""
_LATE = 0.05
"""Seconds after which a piece of 100 ms counts as late."""


def figures(*, quick: bool) -> list[Figure]:
    sound = asyncio.run(_speech())
    rounds = 3 if quick else 7
    return [
        *(figure for row in FORMATS.values() for figure in _cost(row, sound, rounds)),
        *(figure for name in _COST for figure in _processes(FORMATS[name], sound, 1 if quick else 3)),
        *(_first_byte(row, sound) for row in FORMATS.values() if row.coded),
        *(_memory(name, limit, sound[: RATE * 2]) for name, limit in _MEMORY.items()),
        *(_capacity(name, aim, sound, 2 if quick else 8) for name, aim in _SESSIONS.items()),
        *(_hours(row) for row in FORMATS.values() if row.coded and not quick),
    ]


async def _speech() -> bytes:
    """Ten seconds of the default engine's voice."""
    engine = Hibari()
    await engine.start()
    try:
        voice = (await engine.voices())[0]
        said = b""
        for text in SENTENCES:
            said += b"".join([chunk.pcm async for chunk in engine.synthesize(Segment(text, voice))])
    finally:
        await engine.close()
    return said[: RATE * _SECONDS * 2]


def _rate(row: AudioFormat) -> int:
    """The telephone's for its formats: with the resampler then."""
    return 8000 if row.name in ("mulaw", "alaw") else RATE


# ---- CPU


def _way(row: AudioFormat, sound: bytes) -> float:
    """CPU-ms a second of sound, of the gateway's way."""
    return cpu(row, _rate(row), sound, _STREAMS) * 1000 / _STREAMS / _SECONDS


def _alone(row: AudioFormat, sound: bytes) -> float:
    """The same of the encoder in a loop."""
    streams = [row.open(RATE, _rate(row)) for _ in range(_STREAMS)]
    began = time.process_time()
    for stream in streams:
        for part in cut(sound, WHOLE):
            stream.encode(part)
        stream.finish()
    return (time.process_time() - began) * 1000 / _STREAMS / _SECONDS


def _cost(row: AudioFormat, sound: bytes, rounds: int) -> list[Figure]:
    pairs = [(_way(row, sound), _alone(row, sound)) for _ in range(rounds)]
    way, alone = median(mine for mine, _ in pairs), median(bare for _, bare in pairs)
    limit = _COST.get(row.name)
    value = f"{way:.2f} ms (encoder alone {alone:.2f})"
    aim = ("", None) if limit is None else (f"<= {limit:g} ms", way <= limit)
    found = [Figure(f"CPU a second of {row.name}, {_rate(row)} Hz", value, *aim)]
    if row.coded:
        ratio = median(mine / bare for mine, bare in pairs)
        found.append(Figure(f"{row.name}, gateway / encoder alone", f"{ratio:.2f}", "<= 1.5", ratio <= 1.5))
    return found


def _processes(row: AudioFormat, sound: bytes, rounds: int) -> list[Figure]:
    way = median(_way(row, sound) for _ in range(3))
    session = median(ffmpeg.session(row.name, sound, RATE, CHUNK) for _ in range(rounds))
    chunk = ffmpeg.each_chunk(row.name, sound[: RATE * 2 * 2], RATE, WHOLE)
    return [
        _times(f"{row.name}, an ffmpeg a session", session, way, 2.0),
        _times(f"{row.name}, an ffmpeg a chunk of 100 ms", chunk, way, 100.0),
    ]


def _times(name: str, theirs: float, ours: float, aim: float) -> Figure:
    value = f"{theirs:.1f} ms, {theirs / ours:.1f} times the gateway"
    return Figure(f"CPU a second of {name}", value, f">= {aim:g} times", theirs >= aim * ours)


# ---- the first byte


def _first_byte(row: AudioFormat, sound: bytes) -> Figure:
    """How much sound it takes, and how long the gateway's way then takes."""
    stream = row.open(RATE, RATE)
    # FLAC's header comes before there is any sound in the stream.
    head = len(row.open(RATE, RATE).encode(bytes(2))) if row.name == "flac" else 0
    taken = next(count for count, part in enumerate(cut(sound, CHUNK), 1) if len(stream.encode(part)) > head)

    async def main(pool: TranscodingPool) -> float:
        made = transcoder(Chunks(cut(sound[: CHUNK * taken], CHUNK)), row.open(RATE, RATE), RATE // 50, pool)
        moments: list[float] = []
        began = time.perf_counter()
        await drain(made, lambda: moments.append(time.perf_counter()))
        return moments[1 if head else 0] - began

    spent = median(run(main) for _ in range(15))
    return Figure(f"first byte of {row.name}", f"after {taken * 20} ms of sound, {spent * 1000:.1f} ms later")


# ---- memory, sessions, hours


def _memory(name: str, limit: float, sound: bytes) -> Figure:
    """In a process of its own, whose memory nobody else has used."""
    with ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as fresh:
        return at_most(f"memory a session, {name}", fresh.submit(held, FORMATS[name], sound).result(), limit, "KiB")


def _capacity(name: str, aim: int, sound: bytes, steps: int) -> Figure:
    """The most streams at the speed of listening, of which 99 in 100 pieces are ready within 50 ms."""
    most, late = 0, 0.0
    for step in range(steps):
        sessions = round(aim * 1.2**step)
        tries = (lateness(FORMATS[name], sound[: _WINDOW * RATE * 2], sessions) for _ in range(_TRIES))
        measured = next((one for one in tries if one <= _LATE), None)
        if measured is None:
            break
        most, late = sessions, measured
    value = f"{most} (p99 {late * 1000:.0f} ms late)"
    return Figure(f"{name} sessions in real time on one core", value, f">= {aim}", most >= aim)


def _hours(row: AudioFormat) -> Figure:
    began = time.process_time()
    growth = endure(row.name, 180).growth
    value = f"valid, memory +{growth / 1024:.0f} KiB, {time.process_time() - began:.0f} s of CPU"
    return Figure(f"three hours of {row.name}", value, "<= 1024 KiB", growth <= 1 << 20)
