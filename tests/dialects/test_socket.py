"""The one WebSocket loop, with a server and a listener that are the test's."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Sequence
from typing import Any

from starlette.websockets import WebSocket

from gateway.dialects.native import NativeDialect
from gateway.dialects.socket import Connection
from gateway.runtime import Gateway
from tests.support.engines import Hang, Scripted
from tests.support.rig import gateway
from tests.support.virtual_time import settle, virtual_time


class Client:
    """One connection. It takes messages only while ``reads`` is set, and goes when ``goes`` is."""

    def __init__(self, made: Gateway, messages: Sequence[dict[str, Any]]) -> None:
        self.reads = asyncio.Event()
        self.goes = asyncio.Event()
        self.said: list[dict[str, Any]] = []
        self._connected = False
        self._messages = list(messages)
        scope = {"type": "websocket", "path": "/v1/stream", "headers": [], "subprotocols": [], "extensions": {}}
        self.connection = Connection(WebSocket(scope, self._receive, self._send), NativeDialect(None), made)

    async def _receive(self) -> dict[str, Any]:
        if not self._connected:
            self._connected = True
            return {"type": "websocket.connect"}
        # A network's message never comes in the same turn of the loop as the one before.
        await asyncio.sleep(0)
        if self._messages:
            return {"type": "websocket.receive", "text": json.dumps(self._messages.pop(0))}
        await self.goes.wait()
        return {"type": "websocket.disconnect", "code": 1000}

    async def _send(self, message: Any) -> None:
        if message["type"] == "websocket.send":
            await self.reads.wait()
            message = json.loads(message["text"])
        self.said.append(message)


@virtual_time
async def test_a_client_that_starts_and_cancels_and_never_reads_has_no_more_contexts_than_the_limit() -> None:
    engine = Scripted()
    engine.otherwise(Hang())
    storm = [
        message
        for number in range(20)
        for message in (
            {"type": "start", "context": str(number)},
            {"type": "text", "context": str(number), "text": "Hello there. "},
            {"type": "cancel", "context": str(number)},
        )
    ]
    async with gateway(engine, max_contexts=3) as made:
        client = Client(made, storm)
        serving = asyncio.create_task(client.connection.serve())
        await settle()
        assert len(made.sessions.live) == 3
        client.reads.set()
        await settle()
        client.goes.set()
        await serving
        over = [said["context"] for said in client.said if said["type"] == "cancelled"]
        assert over[:3] == ["0", "1", "2"]
        refused = [said["code"] for said in client.said if said["type"] == "error"]
        assert refused[0] == "too_many_contexts"


@virtual_time
async def test_a_defect_closes_the_connection_with_1011_and_leaves_nothing() -> None:
    engine = Scripted()
    engine.otherwise(Hang())
    async with gateway(engine) as made:
        client = Client(made, [{"type": "start", "context": "a"}, {"type": "ping"}])
        client.reads.set()
        client.connection._dialect.pong = lambda: 1 / 0  # type: ignore[method-assign, assignment, return-value]
        await client.connection.serve()
        assert client.said[-1] == {"type": "websocket.close", "code": 1011, "reason": ""}
        assert made.connections == set()
