"""The servers that are measured, each the whole of its process: ``python -m tests.bench.peers NAME PORT``.

Beside the gateway there are two that only send: the same frames of the same header and PCM, at the same pace from
the same kind of wheel. They show how much of a frame's cost is the socket and how much is the gateway.
"""

from __future__ import annotations

import asyncio
import gc
import struct
import sys
from collections.abc import AsyncIterator

from gateway.clock import Clock
from gateway.config import Settings
from gateway.pipeline.pacing import Wheel

HEADER = struct.Struct("!BBBxHHII")
FRAME_MS = 20
SAMPLES = 24_000 * FRAME_MS // 1000
PCM = bytes(SAMPLES * 2)


async def paced(wheel: Wheel, clock: Clock, lead: float) -> AsyncIterator[bytes]:
    """The messages of one endless stream, each when it may leave."""
    zero = clock.now()
    sequence = position = 0
    while True:
        due = zero + position / 24_000 - lead
        if due > clock.now():
            await wheel.until(due)
        yield HEADER.pack(1, 1, sequence == 0, 1, 1, sequence, position) + PCM
        sequence += 1
        position += SAMPLES


def gateway(port: int) -> None:
    """Voxwire itself, with settings from the environment."""
    from gateway.server import serve

    serve(Settings(host="127.0.0.1", port=port))


def picows(port: int, lead: float) -> None:
    """The cheapest WebSocket server for Python that we know."""
    import uvloop
    from picows import WSFrame, WSListener, WSMsgType, WSTransport, WSUpgradeRequest, ws_create_server

    clock = Clock()
    wheel = Wheel(clock)

    async def stream(transport: WSTransport) -> None:
        async for message in paced(wheel, clock, lead):
            transport.send(WSMsgType.BINARY, message)

    class Sender(WSListener):  # type: ignore[misc]
        task: asyncio.Task[None] | None = None

        def on_ws_frame(self, transport: WSTransport, frame: WSFrame) -> None:
            if frame.msg_type is WSMsgType.TEXT and self.task is None:
                self.task = asyncio.get_running_loop().create_task(stream(transport))

        def on_ws_disconnected(self, _: WSTransport) -> None:
            if self.task is not None:
                self.task.cancel()

    def accept(_: WSUpgradeRequest) -> Sender:
        return Sender()

    async def main() -> None:
        server = await ws_create_server(accept, "127.0.0.1", port, backlog=2048)
        gc.collect()
        gc.freeze()
        await server.serve_forever()

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(main())


def starlette(port: int, lead: float) -> None:
    """What the gateway stands on, without the gateway: uvicorn and a Starlette app that only sends."""
    import uvicorn
    from starlette.applications import Starlette
    from starlette.routing import WebSocketRoute
    from starlette.websockets import WebSocket, WebSocketDisconnect

    clock = Clock()
    wheel = Wheel(clock)

    async def stream(socket: WebSocket) -> None:
        await socket.accept()
        await socket.receive_text()
        try:
            async for message in paced(wheel, clock, lead):
                await socket.send_bytes(message)
        except WebSocketDisconnect:
            pass

    app = Starlette(routes=[WebSocketRoute("/v1/stream", stream)])
    uvicorn.run(
        app,
        host="127.0.0.1",
        port=port,
        loop="uvloop",
        ws="websockets-sansio",
        ws_per_message_deflate=False,
        log_config=None,
        access_log=False,
        backlog=2048,
    )


def main(name: str, port: int) -> None:
    lead = Settings().lead_ms / 1000
    if name == "gateway":
        gateway(port)
    elif name == "picows":
        picows(port, lead)
    elif name == "starlette":
        starlette(port, lead)
    else:
        raise SystemExit(f"there is no server {name!r}")


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]))
