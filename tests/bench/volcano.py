"""From the first sound that Volcano Engine's test server sends to the client's first byte: what the gateway adds to the
service. The server writes the time of sending into its samples."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from statistics import quantiles

from tests.bench.crowd import Crowd, Listener
from tests.bench.engine import age
from tests.bench.servers import LOAD_CORE, serving
from tests.bench.speaking import LEAD
from tests.bench.table import Figure, at_most

_PLACES = 10
_WORDS = "Hello there, friend."
# A twentieth of a second before its first sound, and then five times as fast as it is heard.
_PACE = ("--latency", "0.05", "--interval", "0.02")


def figures(*, quick: bool) -> list[Figure]:
    seconds = 3.0 if quick else 10.0
    figures: list[Figure] = []
    for callers in (1, _PLACES):
        who = f"{callers} caller{'s' if callers > 1 else ''}"
        cuts = quantiles(_measure(callers, seconds), n=100)
        name = f"Volcano's first sound to first byte, {who}"
        figures.append(at_most(f"{name}, p50", cuts[49] * 1000, 5, "ms", digits=2))
        figures.append(Figure(f"{name}, p99", f"{cuts[98] * 1000:.2f} ms"))
    return figures


@contextmanager
def _service() -> Iterator[int]:
    """The test server on the load's core; gives its port."""
    command = [sys.executable, "-m", "tests.support.volcano", "--quota", str(_PLACES), "--stamp", *_PACE]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    try:
        os.sched_setaffinity(process.pid, {LOAD_CORE})
        assert process.stdout is not None
        yield int(process.stdout.readline())
    finally:
        process.terminate()
        process.wait()


def _measure(callers: int, seconds: float) -> list[float]:
    """Each caller says the next sentence as soon as one is over."""
    delays: list[float] = []

    def heard(now: float, pcm: memoryview) -> None:
        delays.append(age(pcm, now))

    def again(listener: Listener, _: float, message: dict[str, object]) -> None:
        if message["type"] == "ended":
            listener.speak("c", _WORDS)

    settings = {"VOXWIRE_PROVIDERS": "volcano", "VOXWIRE_VOLCANO_API_KEY": "key"}
    with _service() as port, serving("gateway", VOXWIRE_VOLCANO_URL=f"http://127.0.0.1:{port}", **settings) as server:
        crowd = Crowd(server.port, LEAD)
        try:
            starts = []
            for index in range(callers):
                listener = crowd.connect()
                listener.on_first = heard
                listener.on_event = partial(again, listener)
                starts.append((index * 0.05, partial(listener.speak, "c", _WORDS)))
            crowd.run(1.0, starts)
            delays.clear()
            crowd.run(seconds)
        finally:
            crowd.close()
    return delays
