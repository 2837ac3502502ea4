"""A client that never reads: how much the server lets go for it, and how soon it gives it up."""

from __future__ import annotations

import time

from tests.bench.crowd import HEADER, RATE, Crowd
from tests.bench.servers import serving
from tests.bench.speaking import LEAD, text
from tests.bench.table import Figure

_SEND_TIMEOUT = 2.0
_LIMIT = 20.0
_EVERY = 0.02
_FRAME_S = 0.02
_FRAMING = HEADER.size + 4


def figures(*, quick: bool) -> list[Figure]:
    realtime, freed_realtime = _measure("realtime")
    burst, freed_burst = _measure("burst")
    size = (burst / _FRAME_S) * (_FRAME_S * RATE * 2 + _FRAMING) / 1000
    # The frame on its way when the count stops is one more.
    return [
        Figure("taken for a client that never reads, realtime", f"{realtime:.2f} s", "about 1 s", realtime <= 1.1),
        Figure("taken for a client that never reads, burst", f"{size:.0f} kB", "<= 200 kB", size <= 200),
        Figure(
            f"its sender freed after (send_timeout {_SEND_TIMEOUT:g} s)",
            f"{freed_realtime:.1f} and {freed_burst:.1f} s",
        ),
    ]


def _measure(pace: str) -> tuple[float, float]:
    """Seconds of sound that were sent, and seconds from the last of it to the end of the session."""
    with serving("gateway", VOXWIRE_SEND_TIMEOUT=str(_SEND_TIMEOUT)) as server:
        crowd = Crowd(server.port, LEAD)
        listener = crowd.connect(read=False)
        try:
            listener.speak("c", text(60.0), pace=pace)
            sent, grown = 0.0, time.monotonic()
            while time.monotonic() - grown < _LIMIT:
                active, now_sent = (
                    server.metric("voxwire_sessions_active"),
                    server.metric("voxwire_audio_seconds_total"),
                )
                if now_sent > sent:
                    sent, grown = now_sent, time.monotonic()
                if sent and not active:
                    break
                crowd.run(_EVERY)
            return sent, time.monotonic() - grown
        finally:
            listener.socket.close()
            crowd.close()
