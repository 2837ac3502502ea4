"""How many sessions one core holds in time."""

from __future__ import annotations

import sys

from tests.bench.servers import Server, serving
from tests.bench.speaking import listen
from tests.bench.table import Figure

_AIM = 600
_LATENESS = 0.020
_WINDOW = 4.0
_BUSY = 0.9
"""Share of its core above which the load generator itself may be what is late."""
_STEPS = (100, 150, 200, 300, 400, 500, 600, 700, 800, 1000, 1200, 1500, 1800)
_QUICK_STEPS = (200, 400, 600)
_FIRST = {20: 600, 40: 800, 100: 1000}


def figures(*, quick: bool) -> list[Figure]:
    """Steps up and down a fixed ladder until one is held and the next is not; ``quick`` tries a few of them once."""
    found = []
    for frame_ms in (20,) if quick else (20, 40, 100):
        with serving("gateway") as server:
            held, lateness = _search(server, frame_ms, quick=quick)
        top = " or more" if held == (_QUICK_STEPS if quick else _STEPS)[-1] else ""
        value = f"{held}{top} (p99 late {lateness * 1000:.1f} ms)"
        aim = (f">= {_AIM}", held >= _AIM) if frame_ms == 20 else ("", None)
        found.append(Figure(f"sessions held on one core, {frame_ms} ms frames", value, *aim))
    return found


def _search(server: Server, frame_ms: int, *, quick: bool) -> tuple[int, float]:
    ladder, tries = (_QUICK_STEPS, 1) if quick else (_STEPS, 2)
    step = ladder.index(_FIRST[frame_ms])
    lateness = _held(server, ladder[step], frame_ms, tries)
    if lateness is None:
        while step > 0:
            step -= 1
            if (lateness := _held(server, ladder[step], frame_ms, tries)) is not None:
                return ladder[step], lateness
        return 0, float("inf")
    while step + 1 < len(ladder):
        higher = _held(server, ladder[step + 1], frame_ms, tries)
        if higher is None:
            break
        step, lateness = step + 1, higher
    return ladder[step], lateness


def _held(server: Server, sessions: int, frame_ms: int, tries: int) -> float | None:
    """The 99th percentile of lateness where ``sessions`` were held, else ``None``. A second try is allowed: on a
    shared machine a neighbour's second of work is not the gateway's."""
    for _ in range(tries):
        heard = listen(server, sessions, _WINDOW, frame_ms=frame_ms)
        expected = sessions * _WINDOW * 1000 / frame_ms
        busy = heard.load_busy / heard.wall
        ok = heard.lateness < _LATENESS and not heard.underruns and not heard.lost and heard.frames > 0.98 * expected
        print(
            f"  {sessions} sessions, {frame_ms} ms: p99 late {heard.lateness * 1000:.1f} ms, "
            f"{heard.underruns} underruns, server {heard.server_cpu / heard.wall:.0%}, load {busy:.0%}"
            + (", the load generator is too busy" if busy > _BUSY else ""),
            file=sys.stderr,
        )
        if ok:
            return heard.lateness
    return None
