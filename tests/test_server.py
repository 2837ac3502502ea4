"""How the server stops."""

from __future__ import annotations

import asyncio
import signal

import pytest

from gateway.config import Settings
from gateway.runtime import Gateway
from gateway.server import listen, server
from providers.base import EngineUnavailable
from tests.support.duplex import duplex
from tests.support.engines import Hang, Scripted
from tests.support.serving import serving


async def test_a_second_signal_does_not_wait_for_what_is_being_spoken() -> None:
    engine = Scripted()
    engine.otherwise(Hang())
    async with serving(engines=[engine], drain_s=1000.0) as served, duplex(served.ws) as client:
        await (await client.speak("a", "Hello there.")).admitted.wait()
        served.server.handle_exit(signal.SIGINT, None)
        assert (await client.other())["type"] == "goaway"
        served.server.handle_exit(signal.SIGINT, None)
        await client.socket.wait_closed()
        assert client.socket.close_code == 1012
        assert not served.server.force_exit


async def test_a_signal_ends_a_start_in_which_an_engine_loads_for_minutes() -> None:
    engine = Scripted()
    engine.start_gate = asyncio.Event()
    settings = Settings(_env_file=None)
    made = server(settings, Gateway(settings, engines=[engine]))
    told: list[str] = []
    made.on_ready = told.append
    with listen("127.0.0.1", 0) as listener:
        serving = asyncio.create_task(made._serve([listener]))
        while not engine.starts:  # noqa: ASYNC110 - until it loads
            await asyncio.sleep(0)
        made.handle_exit(signal.SIGTERM, None)
        await serving
    assert engine.closes
    assert not told
    with pytest.raises(EngineUnavailable, match="closed"):
        made._gateway.providers.get("scripted")
