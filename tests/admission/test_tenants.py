"""Whoever calls is a tenant by his key, through every door."""

from __future__ import annotations

import asyncio
from typing import Any, ClassVar

import httpx
import pytest
from websockets.asyncio.client import connect

from gateway.config import Settings
from providers.base import Capabilities
from tests.admission.gateways import turns
from tests.support.engines import Mark, Say, Scripted, Wait, sound
from tests.support.serving import Served, serving

KEYS = ("web:0123456789", "batch:9876543210")


async def spoken(served: Served, engine: Scripted, door: str, key: str) -> str:
    """The tenant of a session that was asked for there with that key."""
    begun, over = asyncio.Event(), asyncio.Event()
    engine.otherwise(Mark(begun), Say(sound(20)), Wait(over))
    headers = {"authorization": f"Bearer {key}"}
    async with httpx.AsyncClient(base_url=served.http, headers=headers, timeout=60) as client:
        asked = asyncio.create_task(_ask(served, client, door, headers))
        async with asyncio.timeout(60):
            await begun.wait()
        (session,) = served.gateway.sessions.live
        over.set()
        await asked
    await served.gateway.sessions.drained()
    return session.tenant


async def _ask(served: Served, client: httpx.AsyncClient, door: str, headers: dict[str, str]) -> None:
    if door == "speech":
        body: dict[str, Any] = {"input": "Hello there.", "voice": "one", "model": "scripted"}
        assert (await client.post("/v1/audio/speech", json=body)).status_code == 200
        return
    url = f"{served.ws}/v1/stream"
    if door == "sessions":
        url = (await client.post("/v1/tts/sessions", json={"text": "Hello there."})).json()["ws_url"]
    async with connect(url, additional_headers=headers, compression=None) as socket:
        if door == "stream":
            await socket.send('{"type":"start","context":"a","pace":"burst"}')
            await socket.send('{"type":"text","context":"a","text":"Hello there."}')
            await socket.send('{"type":"end","context":"a"}')
        async for message in socket:
            if isinstance(message, str) and any(last in message for last in ('"ended"', '"eos"')):
                return
    raise AssertionError("the connection was closed before the end")


@pytest.mark.parametrize("door", ["speech", "stream", "sessions"])
async def test_a_session_is_of_the_tenant_whose_key_it_was_asked_for_with(door: str) -> None:
    engine = Scripted()
    async with serving(engines=[engine], api_keys=KEYS) as served:
        assert await spoken(served, engine, door, "0123456789") == "web"
        assert await spoken(served, engine, door, "9876543210") == "batch"


async def test_without_keys_all_are_one_tenant() -> None:
    engine = Scripted()
    async with serving(engines=[engine]) as served:
        assert await spoken(served, engine, "speech", "whatever") == ""


class Narrow(Scripted):
    id: ClassVar[str] = "narrow"
    capabilities: ClassVar[Capabilities] = Capabilities(streams=True, deterministic=True, segments_at_once=1)
    places = 1


async def test_the_weights_of_tenants_decide_who_is_spoken_next() -> None:
    engine = Narrow()
    settings: dict[str, Any] = {"api_keys": KEYS, "tenant_weights": (("web", 3.0),)}
    assert Settings(_env_file=None, **settings).tenant_weights == (("web", 3.0),)
    over = asyncio.Event()
    engine.otherwise(Wait(over), Say(sound(20)))
    async with (
        serving(engines=[engine], **settings) as served,
        httpx.AsyncClient(base_url=served.http, timeout=60) as client,
    ):

        async def speak(tenant: str, key: str) -> None:
            body = {"input": f"Said for {tenant}.", "voice": "one", "model": "narrow"}
            answer = await client.post("/v1/audio/speech", json=body, headers={"authorization": f"Bearer {key}"})
            assert answer.status_code == 200

        first = asyncio.create_task(speak("nobody", KEYS[0]))
        async with asyncio.timeout(60):
            while engine.active == 0:
                await turns()
        places = dict(served.gateway.capacities.engines())["narrow"]
        asked = [first]
        for number in range(8):
            key = KEYS[number % 2]
            asked.append(asyncio.create_task(speak(key.partition(":")[0], key)))
            async with asyncio.timeout(60):
                while places.waiting <= number:
                    await turns()
        over.set()
        await asyncio.gather(*asked)
    said = [text.split()[-1] for text in engine.texts[1:]]
    assert said[:4].count("web.") == 3
