"""Crowds that listen to speech: connected first, started one after the other, measured once all of them speak."""

from __future__ import annotations

import time
from dataclasses import dataclass
from functools import partial

from gateway.config import Settings
from tests.bench.crowd import Crowd, Listener
from tests.bench.servers import Server

LEAD = Settings().lead_ms / 1000
SENTENCE = "The quick brown fox jumps over the lazy dog near the river bank. "
SENTENCE_S = 0.06 * len(SENTENCE)
"""The tone engine speaks for 60 ms a character."""
SETTLE = 0.5


def text(seconds: float) -> str:
    """Sentences that take at least ``seconds`` to speak."""
    return SENTENCE * (int(seconds / SENTENCE_S) + 1)


@dataclass(frozen=True, slots=True)
class Listened:
    """What a crowd has heard within the window. Seconds."""

    server_cpu: float
    load_busy: float
    wall: float
    frames: int
    lateness: float
    """The 99th percentile."""
    underruns: int
    lost: int


def listen(server: Server, listeners: int, window: float, *, frame_ms: int = 20) -> Listened:
    """Connect everybody, start their streams spread over a second or more, and measure for ``window`` seconds."""
    crowd = Crowd(server.port, LEAD)
    try:
        ramp = start(crowd, listeners, frame_ms=frame_ms, speech=window)
        crowd.run(ramp[-1][0] + SETTLE, ramp)
        crowd.measuring = True
        crowd.reset()
        began, cpu = time.monotonic(), server.cpu
        crowd.run(window)
        wall, cpu = time.monotonic() - began, server.cpu - cpu
        late = sorted(crowd.lateness)
        p99 = late[int(0.99 * len(late))] if late else float("inf")
        silent = sum(1 for listener in crowd.listeners if not listener.first)
        return Listened(cpu, crowd.busy, wall, crowd.frames, p99, crowd.underruns, crowd.lost + silent)
    finally:
        crowd.close()


def start(crowd: Crowd, listeners: int, *, frame_ms: int, speech: float) -> list[tuple[float, partial[None]]]:
    """Connect, and return the starts of the streams as actions, spread evenly so that their frames are as well."""
    # 200 starts a second: each costs about as much as a second of its stream, and must not be what is measured.
    ramp = max(1.0, listeners / 200)
    words = text(ramp + SETTLE + speech + LEAD)
    members: list[Listener] = [crowd.connect() for _ in range(listeners)]
    return [
        (index * ramp / listeners, partial(member.speak, "c", words, frame_ms=frame_ms))
        for index, member in enumerate(members)
    ]
