"""Clients that go away, in every way and at every moment, leave nothing behind."""

from __future__ import annotations

import asyncio
import gc
import random
import re
import threading
from contextlib import suppress

import pytest
from websockets.asyncio.client import connect

from tests.support.asking import until
from tests.support.duplex import duplex
from tests.support.processes import descriptors
from tests.support.serving import Served, serving

pytestmark = pytest.mark.timeout(120)

CLIENTS = 300
LAST = ("ended", "cancelled", "error")


def files() -> set[tuple[int, str]]:
    """What is open, each by what only it is called: a number is used again."""
    return set(descriptors().items())


async def vanish(served: Served, chance: random.Random) -> None:
    """Connect, ask for one to three contexts in some format, and go after some number of messages."""
    if chance.random() < 0.1:
        # Gone in the middle of the handshake.
        _, writer = await asyncio.open_connection("127.0.0.1", served.port)
        writer.write(b"GET /v1/stream HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\n")
        await writer.drain()
        writer.transport.abort()
        return
    socket = await connect(f"{served.ws}/v1/stream", compression=None)
    for number in range(chance.randint(0, 3)):
        name = f"c{number}"
        kind = chance.choice(["pcm16", "wav", "mulaw", "mp3", "opus"])
        pace = chance.choice(["realtime", "burst"])
        await socket.send(f'{{"type":"start","context":"{name}","format":"{kind}","pace":"{pace}","timestamps":true}}')
        await socket.send(f'{{"type":"text","context":"{name}","text":"This is spoken. And this is. "}}')
        if chance.random() < 0.5:
            await socket.send(f'{{"type":"end","context":"{name}"}}')
        if chance.random() < 0.3:
            await socket.send(f'{{"type":"cancel","context":"{name}"}}')
        # As many messages as come for certain: one that never comes would be waited for.
        for _ in range(chance.randint(0, 4)):
            message = await socket.recv()
            if isinstance(message, str) and any(f'"type":"{last}"' in message for last in LAST):
                break
    if chance.random() < 0.3:
        await socket.close()
    else:
        socket.transport.abort()
        await socket.wait_closed()


async def test_300_clients_that_vanish_leave_no_task_thread_descriptor_session_or_gauge() -> None:
    async with serving(unread_s=1.0) as served:
        # Once through everything, so that pools and caches have what they will have.
        async with duplex(served.ws) as client:
            for kind in ("mp3", "opus"):
                heard = await client.speak(kind, "Warm.", format=kind, pace="burst")
                await heard.over.wait()
        await served.gateway.scrape()
        await served.gateway.sessions.drained()
        await gone(served)
        # What other tests have left may end meanwhile, and is nothing that came of this one.
        tasks, threads, before = asyncio.all_tasks(), set(threading.enumerate()), files()

        chance = random.Random(2)
        places = asyncio.Semaphore(30)

        async def one(seed: int) -> None:
            async with places:
                await vanish(served, random.Random(seed))

        async with asyncio.TaskGroup() as group:
            for _ in range(CLIENTS):
                group.create_task(one(chance.getrandbits(32)))

        await served.gateway.sessions.drained()
        await gone(served)
        left = asyncio.all_tasks() - tasks
        if left:
            await asyncio.wait(left, timeout=60)
        assert {task for task in left if not task.done()} == set()
        gc.collect()
        # A connection that is gone before the server has seen it has no task: its end is a matter of turns.
        with suppress(TimeoutError):
            await until(lambda: files() <= before and set(threading.enumerate()) <= threads)
        assert files() - before == set()
        assert set(threading.enumerate()) - threads == set()
        assert served.gateway.sessions.live == ()
        assert served.gateway.connections == set()
        assert (served.gateway.capacities.sessions.taken, served.gateway.capacities.sessions.waiting) == (0, 0)
        assert served.gateway.wheel.waiting == 0
        assert await gauges_that_are_not_zero(served) == {}


async def gone(served: Served) -> None:
    """Wait until the server has let go of every connection."""
    tasks = tuple(served.server.server_state.tasks)
    if tasks:
        await asyncio.wait(tasks, timeout=60)
    for _ in range(3):
        # Closing a transport takes a turn of the loop after its task.
        await turn()


async def gauges_that_are_not_zero(served: Served) -> dict[str, float]:
    page = (await served.gateway.scrape()).decode()
    gauges = re.findall(r"^# TYPE (\S+) gauge$", page, re.MULTILINE)
    # What the deployment is, and how busy the loop is, are not about sessions. `_created` is a time.
    about = {"tts_session_queue_maxsize", "tts_session_workers_total", "voxwire_pacing_lateness_seconds"}
    values: dict[str, float] = {}
    for name in gauges:
        if name in about or name.endswith("_created"):
            continue
        for series, value in re.findall(rf"^({name}(?:{{[^}}]*}})?) (\S+)$", page, re.MULTILINE):
            if float(value):
                values[series] = float(value)
    return values


@pytest.mark.parametrize(("pace", "most"), [("realtime", 72_000), ("burst", 200_000)])
async def test_a_client_that_never_reads_is_sent_little_and_then_let_go(pace: str, most: int) -> None:
    """Little: 1 second of sound and a half of slack at pace realtime, 200 KB at burst."""
    async with serving(send_timeout=1.0) as served:
        reader, writer = await asyncio.open_connection("127.0.0.1", served.port, limit=1024)
        request = (
            "GET /v1/stream HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n"
        )
        writer.write(request.encode())
        await reader.readuntil(b"\r\n\r\n")
        writer.write(masked(f'{{"type":"start","context":"a","pace":"{pace}"}}'))
        text = "This goes on and on, and nobody reads it. " * 40
        writer.write(masked(f'{{"type":"text","context":"a","text":"{text}"}}'))
        writer.transport.pause_reading()
        await until_open(served)
        session = served.gateway.sessions.live[0]
        await served.gateway.sessions.drained()
        accepted = round(session.playback.sent * 48_000)
        print(f"a client that never reads was sent {accepted} bytes at pace {pace}")
        assert 0 < accepted <= most
        writer.transport.abort()


async def turn() -> None:
    """Let the loop go round once."""
    loop = asyncio.get_running_loop()
    turned = loop.create_future()
    loop.call_soon(turned.set_result, None)
    await turned


async def until_open(served: Served) -> None:
    """Wait for the first session."""
    async with asyncio.timeout(60):
        while not served.gateway.sessions.live:
            await turn()


def masked(text: str) -> bytes:
    """A client's text frame."""
    data = text.encode()
    size = bytes([0x80 | len(data)]) if len(data) < 126 else b"\xfe" + len(data).to_bytes(2, "big")
    return b"\x81" + size + b"\0\0\0\0" + data
