"""Keys go to the service that was configured, and to nobody whom it names; and accounts are kept apart."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest

from providers.base import ProviderError
from tests.providers.volcano.conftest import KEY, SECOND, UNIDIRECTIONAL, Opened, hear, say, segment, within
from tests.support.web_server import WebServer, answer, redirect, web_server


@pytest.fixture
async def elsewhere() -> AsyncIterator[WebServer]:
    async with web_server() as made:
        yield made


@pytest.mark.parametrize("status", ["301 Moved", "302 Found", "303 See Other", "307 Temporary", "308 Permanent"])
async def test_a_websocket_that_is_redirected_takes_no_key_anywhere(
    volcano: Opened, elsewhere: WebServer, status: str
) -> None:
    async with web_server() as web:
        away = redirect(f"http://localhost:{elsewhere.port}/stolen", status)
        web.paths["/api/v3/tts/bidirection"] = away
        async with volcano(url=f"http://127.0.0.1:{web.port}") as engine:
            with pytest.raises(ProviderError):
                await within(60, say(engine, "Hello there.", voice=SECOND))
        assert any("upgrade: websocket" in head.lower() and KEY in head for head in web.heads)
    assert elsewhere.heads == []
    await asyncio.wait_for(web.quiet(), 60)


async def test_a_cookie_of_one_account_goes_along_with_no_other(volcano: Opened) -> None:
    async with web_server() as web:
        web.paths["/api/v3/tts/unidirectional"] = answer(status="401 Unauthorized", set_cookie="who=first; Path=/")
        async with volcano(url=f"http://localhost:{web.port}") as engine:
            for _ in range(2):
                with pytest.raises(ProviderError):
                    await within(60, hear(engine.synthesize(await segment(engine, "Hello.", UNIDIRECTIONAL))))
        assert len(web.heads) == 2
        assert not any("who=first" in head for head in web.heads)
