"""What a connection and a speaking session hold of the server's memory."""

from __future__ import annotations

from functools import partial
from statistics import median

from gateway.config import Settings
from tests.bench.crowd import Crowd
from tests.bench.servers import serving
from tests.bench.speaking import LEAD, text
from tests.bench.table import Figure, at_most

_WARM = 5
_IDLE = 500
_SPEAKING = 200
_LITTLE = 0.1
"""Seconds of sound ahead with which a session holds hardly more than itself."""


def figures(*, quick: bool) -> list[Figure]:
    rounds = [_measure() for _ in range(1 if quick else 3)]
    idle, speaking = (median(values) for values in zip(*rounds, strict=True))
    ahead = f"ahead_s {Settings().ahead_s:g}"
    found = [
        at_most("memory, idle connection", idle, 20.0, "KiB"),
        at_most(f"memory, speaking PCM session and its connection, {ahead}", speaking, 40.0, "KiB"),
    ]
    if not quick:
        _, lean = _measure(VOXWIRE_AHEAD_S=str(_LITTLE))
        found.append(Figure(f"the same with ahead_s {_LITTLE:g}", f"{lean:.1f} KiB"))
    return found


def _measure(**settings: str) -> tuple[float, float]:
    """KiB of resident memory that each of 500 connections adds, and each of 200 that speak, in a fresh server.

    A few listeners speak first and stay, so that what is loaded on first use is there before the count starts. They
    are few because memory that they have given back would serve some of those that are counted.
    """
    with serving("gateway", **settings) as server:
        crowd = Crowd(server.port, LEAD)
        try:
            words = text(8.0)
            for _ in range(_WARM):
                crowd.connect().speak("warm", text(1.0))
            crowd.run(4.0)
            before = server.rss
            idle = [crowd.connect() for _ in range(_IDLE)]
            crowd.run(1.0)
            connected = server.rss
            each_idle = (connected - before) / _IDLE
            starts = [
                (index * 0.005, partial(member.speak, "c", words)) for index, member in enumerate(idle[:_SPEAKING])
            ]
            crowd.run(1.0 + 3.0, starts)
            each_speaking = each_idle + (server.rss - connected) / _SPEAKING
        finally:
            crowd.close()
    return each_idle / 1024, each_speaking / 1024
