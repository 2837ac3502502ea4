"""An answer in a kind of file that only ffmpeg writes: what makes PCM runs as it is, and ffmpeg stands behind it."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator

from audio.convert import Container, ConvertError, convert
from gateway.admission.auth import caller
from gateway.admission.capacity import Capacity
from gateway.dialects.responder import Produce
from gateway.errors import Internal, VoxwireError
from gateway.events import Audio, Ended, Event, Failed
from gateway.pipeline.channel import Channel
from gateway.session.session import Emit

log = logging.getLogger(__name__)

_AHEAD = 1.0
"""Seconds of PCM that may wait for ffmpeg."""


def converted(produce: Produce, container: Container, sample_rate: int, places: Capacity) -> Produce:
    """``produce``, whose frames are pcm16 at ``sample_rate`` Hz, as a file of this kind. Holds one of ``places``."""

    async def run(emit: Emit) -> None:
        async with places.place(tenant=caller.get()):
            await _Conversion(produce, sample_rate).run(container, emit)

    return run


class _Conversion:
    def __init__(self, produce: Produce, sample_rate: int) -> None:
        self._produce = produce
        self._rate = sample_rate
        self._pcm: Channel[bytes] = Channel(_AHEAD)
        self._failure: VoxwireError | None = None
        self._ended = Ended(0.0, None, 0)
        self._count = 0

    async def run(self, container: Container, emit: Emit) -> None:
        async def write(data: bytes) -> None:
            await emit(Audio(data, self._count, 0, 0))
            self._count += 1

        speaking = asyncio.create_task(self._speak())
        try:
            await convert(self._pieces(), write, sample_rate=self._rate, container=container)
        except ConvertError as error:
            log.error("%s: %s", container.name, error)
            raise Internal("the file could not be made; the gateway's log has the cause") from error
        finally:
            speaking.cancel()
            await asyncio.wait([speaking])
        await emit(self._ended)

    async def _speak(self) -> None:
        try:
            await self._produce(self._take)
            self._pcm.close(self._failure)
        except Exception as error:  # noqa: BLE001 - raised to the reader
            self._pcm.close(error)

    async def _take(self, event: Event) -> None:
        if type(event) is Audio:
            await self._pcm.put(bytes(event.data), event.samples / self._rate)
        elif isinstance(event, Ended):
            self._ended = event
        elif isinstance(event, Failed):
            self._failure = event.error

    async def _pieces(self) -> AsyncIterator[bytes]:
        while (piece := await self._pcm.get()) is not None:
            yield piece
