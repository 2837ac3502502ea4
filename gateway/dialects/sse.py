"""Server-sent events (the HTML standard, section 9.2) whose data is JSON, in ASCII alone.

Some clients take each piece that they read for whole events, and fail where one is cut. HTTP promises them nothing of
the kind. But an event of ``WHOLE`` bytes that comes alone (``spaced``) is one piece wherever the network leaves it so.
"""

from __future__ import annotations

import json
from typing import Any

from gateway.clock import Clock
from gateway.dialects.responder import Produce
from gateway.events import Audio, Event
from gateway.pipeline.pacing import Wheel
from gateway.session.session import Emit

SSE_HEADERS = {
    "content-type": "text/event-stream; charset=utf-8",
    "cache-control": "no-cache",
    # nginx would gather events until its buffer is full.
    "x-accel-buffering": "no",
}
WHOLE = 2048
"""Bytes of an event that is not cut. The first lies behind the head of the answer in the 4096 bytes that Chromium reads
at once. A page's unread events lie in a ring of 2 MiB, or another power of two, so that none lies across its end; only
the last few bytes of one may be torn off there, and those are empty lines. Two packets of a usual network."""
SPACING = 0.004
"""Seconds between two events, rounded up to a turn of the pacing wheel, 5 ms. What comes faster than it is read is read
64 KiB at a time and cut there: so a client may be late by thirty events."""


def sse_event(content: Any, size: int = 0) -> bytes:
    """One event, and empty lines up to ``size`` bytes. ASCII, so that a client that decodes each piece by itself cannot
    cut a character in two."""
    event = b"data: %b\n\n" % json.dumps(content, separators=(",", ":")).encode()
    return event.ljust(size, b"\n")


def spaced(produce: Produce, wheel: Wheel, clock: Clock) -> Produce:
    """``produce``, with ``SPACING`` behind every frame."""

    async def run(emit: Emit) -> None:
        due = 0.0

        async def say(event: Event) -> None:
            nonlocal due
            if due > clock.now():
                await wheel.turn(due)
            await emit(event)
            if type(event) is Audio:
                due = clock.now() + SPACING

        await produce(say)

    return run
