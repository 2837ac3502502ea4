"""What a connection and a speaking session hold of the server's memory."""

from __future__ import annotations

from functools import partial
from statistics import median

from tests.bench.crowd import Crowd
from tests.bench.servers import serving
from tests.bench.speaking import LEAD, text
from tests.bench.table import Figure, at_most

_WARM = 30
_IDLE = 500
_SPEAKING = 200


def figures(*, quick: bool) -> list[Figure]:
    rounds = [_measure() for _ in range(1 if quick else 3)]
    idle, speaking = (median(values) for values in zip(*rounds, strict=True))
    return [
        at_most("memory, idle connection", idle, 20.0, "KiB"),
        at_most("memory, speaking PCM session with its connection", speaking, 40.0, "KiB"),
    ]


def _measure() -> tuple[float, float]:
    """KiB of resident memory that each of 500 connections adds, and each of 200 that speak, in a fresh server.

    30 listeners speak first and stay, so that what is loaded and cached on first use is there before the count
    starts, while no memory that they gave back can serve the ones that are counted.
    """
    with serving("gateway") as server:
        crowd = Crowd(server.port, LEAD)
        try:
            words = text(8.0)
            for _ in range(_WARM):
                crowd.connect().speak("warm", text(1.0))
            crowd.run(6.0)
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
