"""How the server stops."""

from __future__ import annotations

import signal

import pytest

from tests.support.duplex import duplex
from tests.support.engines import Hang, Scripted
from tests.support.serving import serving


@pytest.mark.timeout(20)
async def test_a_second_signal_does_not_wait_for_what_is_being_spoken() -> None:
    engine = Scripted()
    engine.otherwise(Hang())
    async with serving(engines=[engine], drain_s=60.0) as served, duplex(served.ws) as client:
        await (await client.speak("a", "Hello there.")).admitted.wait()
        served.server.handle_exit(signal.SIGINT, None)
        assert (await client.other())["type"] == "goaway"
        served.server.handle_exit(signal.SIGINT, None)
        await client.socket.wait_closed()
        assert client.socket.close_code == 1012
        assert not served.server.force_exit
