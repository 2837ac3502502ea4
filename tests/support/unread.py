"""What the clients of a server on loopback have not read yet, as the kernel counts it."""

from __future__ import annotations

import asyncio
from pathlib import Path

from gateway.clock import Clock
from gateway.dialects import sse
from gateway.dialects.responder import Produce
from gateway.events import Event
from gateway.pipeline.pacing import Wheel
from gateway.session.session import Emit

_CONNECTIONS = Path("/proc/net/tcp")


def unread(port: int) -> int:
    """Bytes that were sent by ``127.0.0.1:port`` and are still in the kernel. 0 on systems without ``/proc``."""
    if not _CONNECTIONS.exists():
        return 0
    total = 0
    for line in _CONNECTIONS.read_text().splitlines()[1:]:
        _, ours, theirs, _, queues, *_ = line.split()
        sent, came = (int(part, 16) for part in queues.split(":"))
        if _port(ours) == port:
            total += sent
        if _port(theirs) == port:
            total += came
    return total


def _port(address: str) -> int:
    return int(address.partition(":")[2], 16)


class SpacedByReading:
    """``gateway.dialects.sse.spaced``, and each event waits until the one before it was read: a client that takes what
    it reads for whole events does so however long its process stands."""

    def __init__(self, port: int) -> None:
        self._port = port

    def __call__(self, produce: Produce, wheel: Wheel, clock: Clock) -> Produce:
        async def run(emit: Emit) -> None:
            async def say(event: Event) -> None:
                while unread(self._port):  # noqa: ASYNC110 - the kernel tells nobody when a peer has read
                    await asyncio.sleep(0.001)
                await emit(event)

            await produce(say)

        return sse.spaced(run, wheel, clock)
