"""The key goes to the gateway that was named, and to nobody whom that names."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest

from gateway.client import AsyncClient, ConnectionFailed
from gateway.client.address import Address
from tests.support.web_server import WebServer, redirect, web_server

STATUSES = ["301 Moved", "302 Found", "303 See Other", "307 Temporary", "308 Permanent"]


@pytest.fixture
async def elsewhere() -> AsyncIterator[WebServer]:
    async with web_server() as made:
        yield made


@pytest.fixture
async def leading(elsewhere: WebServer) -> AsyncIterator[WebServer]:
    async with web_server() as made:
        yield made
    assert elsewhere.heads == []


@pytest.mark.parametrize("status", STATUSES)
async def test_a_socket_that_is_redirected_takes_the_key_nowhere(
    leading: WebServer, elsewhere: WebServer, status: str
) -> None:
    leading.paths["/v1/stream"] = redirect(f"ws://localhost:{elsewhere.port}/stolen", status)
    async with AsyncClient(leading.url("", "127.0.0.1"), api_key="the-secret-key") as client:
        with pytest.raises(ConnectionFailed, match="redirects elsewhere"):
            async with client.speak("Hello."):
                raise AssertionError("not reached")
    assert "the-secret-key" in leading.heads[0]


@pytest.mark.parametrize("status", STATUSES)
async def test_a_question_that_is_redirected_takes_the_key_nowhere(
    leading: WebServer, elsewhere: WebServer, status: str
) -> None:
    leading.paths["/v1/voices"] = redirect(elsewhere.url("/stolen", "localhost"), status)
    address = Address(leading.url("", "127.0.0.1"), "the-secret-key")
    with pytest.raises(ConnectionFailed, match="redirects elsewhere"):
        await asyncio.to_thread(address.get, "/v1/voices", 10.0)
    assert "the-secret-key" in leading.heads[0]
