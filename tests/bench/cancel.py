"""From a cancel to the last audio and to its acknowledgement, on a socket where two other contexts speak on."""

from __future__ import annotations

import time
from statistics import median

from tests.bench.crowd import Crowd, Gone, Listener
from tests.bench.servers import serving
from tests.bench.speaking import LEAD, text
from tests.bench.table import Figure, at_most

_TRIES = 20
_LIMIT = 5.0


def figures(*, quick: bool) -> list[Figure]:
    last, acknowledged = [], []
    tries = 5 if quick else _TRIES
    with serving("gateway") as server:
        crowd = Crowd(server.port, LEAD)
        crowd.trace = True
        try:
            listener = crowd.connect()
            for other in ("a", "b"):
                listener.speak(other, text(60.0))
            for _ in range(tries):
                audio, said = _cancel(crowd, listener)
                last.append(audio)
                acknowledged.append(said)
        finally:
            crowd.close()
    return [
        at_most(f"cancel to last audio, median of {tries}", median(last) * 1000, 50, "ms"),
        at_most(f"cancel to 'cancelled', median of {tries}", median(acknowledged) * 1000, 50, "ms"),
    ]


def _cancel(crowd: Crowd, listener: Listener) -> tuple[float, float]:
    """Start one more context, let it speak for half a second, and cancel it. Seconds; 0 where no audio came."""
    listener.events.clear()
    listener.speak("c", text(10.0))
    started = _event(crowd, listener, "started")
    crowd.run(0.5)
    sent = time.monotonic()
    listener.send({"type": "cancel", "context": "c"})
    cancelled = _event(crowd, listener, "cancelled")
    # Audio that came after its end would come now.
    crowd.run(0.1)
    number = started[1]["number"]
    assert isinstance(number, int)
    return max(0.0, listener.last_audio[number] - sent), cancelled[0] - sent


def _event(crowd: Crowd, listener: Listener, kind: str) -> tuple[float, dict[str, object]]:
    def found() -> list[tuple[float, dict[str, object]]]:
        return [(at, m) for at, m in listener.events if m["type"] == kind and m["context"] == "c"]

    if not crowd.run_until(lambda: bool(found()), _LIMIT):
        raise Gone(f"no {kind!r} came within {_LIMIT:g} seconds")
    return found()[-1]
