"""A reverse proxy that puts a gateway under a path, as a company's one host name does for many services."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import aiohttp
from aiohttp import web

PREFIX = "/voice"


@asynccontextmanager
async def prefix_proxy(gateway: str) -> AsyncIterator[str]:
    """The address of ``gateway`` behind it, with a slash at its end."""
    async with aiohttp.ClientSession() as client:

        async def handle(request: web.Request) -> web.StreamResponse:
            url = f"{gateway}/{request.match_info['rest']}"
            if request.headers.get("upgrade", "").lower() == "websocket":
                return await _socket(request, client, url)
            wanted = {"accept": request.headers.get("accept", "*/*")}
            async with client.request(request.method, url, headers=wanted, data=await request.read()) as answer:
                return web.Response(status=answer.status, body=await answer.read(), content_type=answer.content_type)

        app = web.Application()
        app.router.add_route("*", PREFIX + "/{rest:.*}", handle)
        runner = web.AppRunner(app, shutdown_timeout=1)
        await runner.setup()
        try:
            await web.TCPSite(runner, "127.0.0.1", 0).start()
            yield f"http://127.0.0.1:{runner.addresses[0][1]}{PREFIX}/"
        finally:
            await runner.cleanup()


async def _socket(request: web.Request, client: aiohttp.ClientSession, url: str) -> web.WebSocketResponse:
    asked = [name.strip() for name in request.headers.get("sec-websocket-protocol", "").split(",") if name]
    async with client.ws_connect(url, params=request.query, protocols=asked) as up:
        down = web.WebSocketResponse(protocols=[up.protocol] if up.protocol else [])
        await down.prepare(request)
        pumps = {asyncio.create_task(_pump(down, up)), asyncio.create_task(_pump(up, down))}
        _, left = await asyncio.wait(pumps, return_when=asyncio.FIRST_COMPLETED)
        for pump in left:
            pump.cancel()
        await asyncio.wait(pumps)
    return down


Socket = web.WebSocketResponse | aiohttp.ClientWebSocketResponse


async def _pump(source: Socket, sink: Socket) -> None:
    async for message in source:
        if message.type is aiohttp.WSMsgType.TEXT:
            await sink.send_str(message.data)
        elif message.type is aiohttp.WSMsgType.BINARY:
            await sink.send_bytes(message.data)
