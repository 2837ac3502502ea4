"""A gateway that speaks ``docs/protocol.md`` and does what a test tells it to.

Each character of a text is one frame of 20 ms at 8 kHz, every sample of which is the character's code, so that
what was said can be read out of the audio: ``heard(audio)``. All is sent at once, when the text ends.

    async def refuse(peer, message):
        await peer.error(message["context"], "unknown_voice")

    async with FakeGateway(on={"start": refuse}) as gateway:
        AsyncClient(gateway.url)
"""

from __future__ import annotations

import array
import asyncio
import http
import json
import struct
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Self

from websockets.asyncio.server import Server, ServerConnection, serve
from websockets.exceptions import ConnectionClosed
from websockets.http11 import Request, Response

RATE = 8000
FRAME = 160
"""Samples."""

Handler = Callable[["Peer", dict[str, Any]], Awaitable[None]]


def sound(text: str) -> bytes:
    """PCM of ``text``: 20 ms a character."""
    return b"".join(array.array("h", [ord(character)] * FRAME).tobytes() for character in text)


def heard(audio: bytes) -> str:
    """The text that ``sound`` made ``audio`` of."""
    return "".join(chr(sample) for sample in array.array("h", audio)[::FRAME])


class Peer:
    """One connection to the fake gateway, and the words of the protocol."""

    def __init__(self, socket: ServerConnection) -> None:
        self.socket = socket
        self.text: dict[str, str] = {}
        self.generations: dict[str, int] = {}
        self.sequences: dict[str, int] = {}
        self.starts = 0

    async def say(self, kind: str, context: str | None = None, **fields: Any) -> None:
        named = {} if context is None else {"context": context}
        await self.socket.send(json.dumps({"type": kind, **named, **fields}))

    async def started(self, context: str, *, format: str = "pcm16") -> None:
        self.starts += 1
        self.generations[context], self.sequences[context], self.text[context] = self.starts, 0, ""
        await self.say(
            "started",
            context,
            number=1,
            generation=self.starts,
            token=f"token-{context}",
            provider="fake",
            voice="echo",
            format=format,
            sample_rate=RATE,
            unknown_field=True,
        )

    async def audio(self, context: str, text: str, *, generation: int | None = None) -> None:
        for character in text:
            sequence = self.sequences[context]
            self.sequences[context] += 1
            number = self.generations[context] if generation is None else generation
            header = struct.pack("!BBBxHHII", 1, 1, int(sequence == 0), 1, number, sequence, sequence * FRAME)
            await self.socket.send(header + sound(character))

    async def ended(self, context: str) -> None:
        frames = self.sequences[context]
        await self.say("ended", context, audio_ms=frames * 20.0, ttfa_ms=12.5, frames=frames)

    async def error(self, context: str | None, code: str, *, final: bool = True, **fields: Any) -> None:
        message = {"message": f"a sentence about {code}", "retryable": False, **fields}
        await self.say("error", context, code=code, final=final, **message)

    def cut(self) -> None:
        """Vanish, without a closing handshake."""
        self.socket.transport.abort()


async def _start(peer: Peer, message: dict[str, Any]) -> None:
    await peer.started(message["context"], format=message.get("format", "pcm16"))


async def _text(peer: Peer, message: dict[str, Any]) -> None:
    peer.text[message["context"]] += message["text"]


async def end(peer: Peer, message: dict[str, Any]) -> None:
    """Say all of a context's text."""
    context = message["context"]
    await peer.audio(context, peer.text[context])
    await peer.ended(context)


async def _cancel(peer: Peer, message: dict[str, Any]) -> None:
    text = peer.text[message["context"]]
    spoken = int(message.get("played_ms", 0) / 20)
    await peer.say(
        "cancelled",
        message["context"],
        stop_ms=1.5,
        text_spoken=text[:spoken],
        text_remaining=text[spoken:],
    )


async def nothing(peer: Peer, message: dict[str, Any]) -> None:
    """The handler of a gateway that does not answer."""


class FakeGateway:
    """``on`` replaces what happens at a message; ``refuse`` answers every request with a status and JSON."""

    def __init__(
        self,
        *,
        on: Mapping[str, Handler] | None = None,
        refuse: tuple[int, object] | None = None,
        voices: object = None,
    ) -> None:
        self._on: dict[str, Handler] = {
            "start": _start,
            "text": _text,
            "end": end,
            "cancel": _cancel,
            "playhead": nothing,
            **(on or {}),
        }
        self._refuse = refuse
        self._voices = voices
        self.received: list[dict[str, Any]] = []
        self.peers: list[Peer] = []
        self.headers: list[dict[str, str]] = []
        self._arrived = asyncio.Condition()
        self._server: Server | None = None

    @property
    def url(self) -> str:
        assert self._server is not None
        return f"http://127.0.0.1:{self._server.sockets[0].getsockname()[1]}"

    def kinds(self) -> list[str]:
        return [message["type"] for message in self.received]

    async def message(self, kind: str) -> dict[str, Any]:
        """The first message of that type, once it came."""
        async with self._arrived:
            await self._arrived.wait_for(lambda: kind in self.kinds())
        return next(message for message in self.received if message["type"] == kind)

    async def __aenter__(self) -> Self:
        self._server = await serve(
            self._serve,
            "127.0.0.1",
            0,
            subprotocols=["voxwire.v1"],  # type: ignore[list-item]
            process_request=self._request,
            compression=None,
            close_timeout=0.5,
        )
        return self

    async def __aexit__(self, *_: object) -> None:
        assert self._server is not None
        self._server.close()
        await self._server.wait_closed()

    def _request(self, socket: ServerConnection, request: Request) -> Response | None:
        self.headers.append(dict(request.headers.raw_items()))
        if self._refuse is not None:
            status, body = self._refuse
            return socket.respond(http.HTTPStatus(status), json.dumps(body))
        if request.path == "/v1/voices":
            return socket.respond(http.HTTPStatus.OK, json.dumps(self._voices))
        return None

    async def _serve(self, socket: ServerConnection) -> None:
        peer = Peer(socket)
        self.peers.append(peer)
        try:
            async for data in socket:
                message = json.loads(data)
                async with self._arrived:
                    self.received.append(message)
                    self._arrived.notify_all()
                await self._on[message["type"]](peer, message)
        except ConnectionClosed:
            pass
