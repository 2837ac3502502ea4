"""The other process's side, on this loop: what it answers to a gateway that is quick."""

from __future__ import annotations

import asyncio
import socket
from typing import Any

from providers.isolated.connection import Connection
from providers.isolated.frames import Frame, Nonsense
from providers.isolated.host import Host
from tests.providers.isolated.processes import PLAIN


class Gateway:
    """Says what a test says, and keeps what comes."""

    def __init__(self, end: socket.socket) -> None:
        self.connection = Connection(end, self)
        self.came: asyncio.Queue[Frame] = asyncio.Queue()

    def received(self, frame: Frame) -> None:
        if frame.header["is"] != "state":
            self.came.put_nowait(frame)

    def broken(self, nonsense: Nonsense | None) -> None:
        self.came.put_nowait(Frame({"is": "broken", "why": str(nonsense)}))

    def ask(self, do: str, number: int = 0, what: Any = None) -> None:
        self.connection.send(Frame({"do": do, "id": number, "what": what}))

    async def answer(self) -> tuple[str, int | None]:
        frame = await self.came.get()
        return frame.header["is"], frame.header.get("id")


class Staying(Host):
    """Where the gateway is gone, the process goes on: it is that of the tests."""

    def broken(self, nonsense: Nonsense | None) -> None:
        super().broken(nonsense or Nonsense("the gateway is gone"))


async def test_every_question_has_one_last_answer_whenever_it_is_stopped() -> None:
    ours, theirs = socket.socketpair()
    host, gateway = Staying(theirs), Gateway(ours)
    serving = asyncio.create_task(host.serve())
    await gateway.connection.open()
    gateway.ask("hello", 1, {"engine": PLAIN, "options": {}, "log": 30})
    assert await gateway.answer() == ("done", 1)
    voice = {"id": "one", "name": "One", "language": "en", "sample_rate": 24000}
    for turns in range(60):
        number = turns + 2
        gateway.ask("speak", number, {"text": "failed" if turns % 2 else "", "voice": voice, "prompted": False})
        for _ in range(turns // 4):
            await asyncio.sleep(0)
        # As the loop of the host may take it: after the answer, and before the task is seen to be over.
        host.received(Frame({"do": "stop", "id": number}))
        kind, answered = await gateway.answer()
        assert kind in ("done", "error")
        assert answered == number
        gateway.ask("ping")
        assert await gateway.answer() == ("pong", None), "there was a second one"
    gateway.ask("close")
    assert await serving
    gateway.connection.close()
