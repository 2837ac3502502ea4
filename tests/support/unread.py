"""What the clients of a server on loopback have not read yet, as the kernel counts it."""

from __future__ import annotations

import asyncio
import socket
import struct

from gateway.clock import Clock
from gateway.dialects import sse
from gateway.dialects.responder import Produce
from gateway.events import Event
from gateway.pipeline.pacing import Wheel
from gateway.session.session import Emit
from tests.support.serving import Served

_INET_DIAG = 4
_SOCK_DIAG_BY_FAMILY = 20
_REQUEST = 1
_HEADER = struct.Struct("=IHHII")
_ASKED = struct.Struct("=BBBBI")
_NAMED = struct.Struct("!HH4s12x4s12x")
_ANY = struct.Struct("=III")
"""Whatever its interface, and its cookie."""
_ANSWER = struct.Struct("=IHHII4x48x4xII8x")

Address = tuple[str, int]


class Diagnosis:
    """``sock_diag(7)``: the kernel looks one connection up, however many there are."""

    def __enter__(self) -> Diagnosis:
        self._socket = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, _INET_DIAG)
        return self

    def __exit__(self, *_: object) -> None:
        self._socket.close()

    def queued(self, ours: Address, theirs: Address) -> int:
        """Bytes that came to the socket ``ours`` and were not read, and those that it sent and ``theirs`` has not
        acknowledged. 0 where it is closed."""
        asked = _ASKED.pack(socket.AF_INET, socket.IPPROTO_TCP, 0, 0, 0xFFFFFFFF)
        named = _NAMED.pack(ours[1], theirs[1], socket.inet_aton(ours[0]), socket.inet_aton(theirs[0]))
        body = asked + named + _ANY.pack(0, 0xFFFFFFFF, 0xFFFFFFFF)
        length = _HEADER.size + len(body)
        self._socket.send(_HEADER.pack(length, _SOCK_DIAG_BY_FAMILY, _REQUEST, 0, 0) + body)
        answer = self._socket.recv(4096)
        if _HEADER.unpack_from(answer)[1] != _SOCK_DIAG_BY_FAMILY:
            return 0
        *_, came, sent = _ANSWER.unpack_from(answer)
        return int(came + sent)


def unread(served: Served, diagnosis: Diagnosis) -> int:
    """Bytes that were sent on any connection of this server and are still in the kernel."""
    total = 0
    for connection in served.server.server_state.connections:
        ours, theirs = (connection.transport.get_extra_info(name) for name in ("sockname", "peername"))
        if ours and theirs:
            total += diagnosis.queued(theirs, ours) + diagnosis.queued(ours, theirs)
    return total


class SpacedByReading:
    """``gateway.dialects.sse.spaced``, and each event waits until the one before it was read: a client that takes what
    it reads for whole events does so however long its process stands. On Linux, whose kernel can be asked."""

    def __init__(self, served: Served) -> None:
        self._served = served

    def __call__(self, produce: Produce, wheel: Wheel, clock: Clock) -> Produce:
        if not hasattr(socket, "AF_NETLINK"):
            return sse.spaced(produce, wheel, clock)

        async def run(emit: Emit) -> None:
            with Diagnosis() as diagnosis:

                async def say(event: Event) -> None:
                    while unread(self._served, diagnosis):  # noqa: ASYNC110 - the kernel tells nobody when a peer reads
                        await asyncio.sleep(0.001)
                    await emit(event)

                await produce(say)

        return sse.spaced(run, wheel, clock)
