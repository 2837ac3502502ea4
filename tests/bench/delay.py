"""From the engine's first PCM to the client's first byte, by the time that the engine writes into its samples."""

from __future__ import annotations

import random
from functools import partial
from statistics import quantiles

from tests.bench.crowd import Crowd, Listener
from tests.bench.engine import age
from tests.bench.servers import serving
from tests.bench.speaking import LEAD, text
from tests.bench.table import Figure

_SPEECH = 2.0


def figures(*, quick: bool) -> list[Figure]:
    alone = _measure(1, 12.0 if not quick else 3.0)
    crowded = _measure(200, 12.0 if not quick else 4.0)
    return [*_lines("1 session", alone), *_lines("200 sessions", crowded)]


def _lines(who: str, delays: list[float]) -> list[Figure]:
    cuts = quantiles(delays, n=100)
    p50, p99 = cuts[49] * 1000, cuts[98] * 1000
    name = f"first PCM to first byte, {who}"
    return [
        Figure(f"{name}, p50 of {len(delays)}", f"{p50:.2f} ms", "<= 0.5 ms", p50 <= 0.5),
        Figure(f"{name}, p99", f"{p99:.2f} ms", "<= 5 ms", p99 <= 5.0),
    ]


def _measure(sessions: int, seconds: float) -> list[float]:
    """Each listener starts its next utterance as soon as one is over, so that starts fall among running streams."""
    delays: list[float] = []
    # One listener alone says as little as it can, to start often.
    words = text(_SPEECH) if sessions > 1 else "Hello."
    chance = random.Random(1)

    def heard(now: float, pcm: memoryview) -> None:
        delays.append(age(pcm, now))

    def again(listener: Listener, _: float, message: dict[str, object]) -> None:
        if message["type"] == "ended":
            listener.speak("c", words)

    with serving("gateway", VOXWIRE_PROVIDERS="tests.bench.engine:Stamped") as server:
        crowd = Crowd(server.port, LEAD)
        try:
            starts = []
            for _ in range(sessions):
                listener = crowd.connect()
                listener.on_first = heard
                listener.on_event = partial(again, listener)
                starts.append((chance.uniform(0.0, _SPEECH), partial(listener.speak, "c", words)))
            starts.sort(key=lambda start: start[0])
            crowd.run(_SPEECH, starts)
            delays.clear()
            crowd.run(seconds)
        finally:
            crowd.close()
    return delays
