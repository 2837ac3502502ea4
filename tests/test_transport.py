"""The WebSocket's last metre, on real sockets."""

from __future__ import annotations

import asyncio
import socket

from websockets.frames import Frame, Opcode

from gateway.transport import VoxwireWebSocketProtocol
from tests.support.serving import serving

UPGRADE = (
    b"GET /v1/stream HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n"
)


async def test_a_client_that_pings_and_never_reads_is_not_answered_into_memory() -> None:
    pings = Frame(Opcode.PING, b"x" * 125).serialize(mask=True) * 500
    # Who reads nothing is disconnected after a while, which is not what this is about.
    async with serving(send_timeout=600.0) as served:
        with socket.socket() as client:
            client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            client.setblocking(False)
            loop = asyncio.get_running_loop()
            await loop.sock_connect(client, ("127.0.0.1", served.port))
            await loop.sock_sendall(client, UPGRADE)
            assert b"101" in await loop.sock_recv(client, 64)
            for _ in range(300):
                await loop.sock_sendall(client, pings)
            (connection,) = served.server.server_state.connections
            assert isinstance(connection, VoxwireWebSocketProtocol)
            # Of 20 MB of answers no more waits than one read of the socket gave rise to.
            assert connection.transport.get_write_buffer_size() < 600_000
