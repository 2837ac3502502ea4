"""The socket's end: what may wait to be taken by the other side."""

from __future__ import annotations

import asyncio
import socket

from providers.isolated.connection import Connection
from providers.isolated.frames import Frame, Nonsense

MIB = 1024 * 1024


class Deaf:
    def received(self, frame: Frame) -> None: ...

    def broken(self, nonsense: Nonsense | None) -> None: ...


async def test_of_many_who_send_much_one_at_a_time_fills_the_memory() -> None:
    ours, theirs = socket.socketpair()
    theirs.setblocking(False)
    connection = Connection(ours, Deaf())
    await connection.open()
    transport = connection._transport
    assert transport is not None
    waiting: list[int] = []

    async def send() -> None:
        await connection.room()
        connection.send(Frame({}, bytes(MIB)))
        waiting.append(transport.get_write_buffer_size())

    async def take() -> None:
        loop = asyncio.get_running_loop()
        while len(waiting) < 8:
            assert await loop.sock_recv(theirs, MIB)

    await asyncio.gather(take(), *(send() for _ in range(8)))
    assert max(waiting) < 1.5 * MIB
    connection.close()
    theirs.close()
