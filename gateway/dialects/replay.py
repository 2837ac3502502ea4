"""A recording as an answer: what a session spoke, in any format, without speaking it again."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from contextlib import aclosing
from dataclasses import dataclass

from audio import wav
from audio.formats import AudioFormat
from gateway.dialects.responder import FileForm, Produce
from gateway.errors import UnknownSession
from gateway.events import Audio, Ended
from gateway.pipeline.transcoding import TranscodingPool, transcoder
from gateway.session.recording import Recording
from gateway.session.session import Emit
from providers.base import SAMPLE_WIDTH

_FRAMES_A_SECOND = 10


@dataclass(frozen=True, slots=True)
class ExactForm(FileForm):
    """A file whose length is known before it is made, and stands in its header where its format has one."""

    head: bytes

    def audio(self, frame: Audio) -> bytes | memoryview:
        if frame.sequence or not self.head:
            return frame.data
        return self.head + frame.data[len(self.head) :]


def exact(form: FileForm, recording: Recording, chosen: AudioFormat, rate: int) -> FileForm:
    """``form`` with a Content-Length where one can be known: a complete recording in a format of fixed size."""
    if not recording.complete or chosen.bytes_per_sample is None:
        return form
    samples = round(recording.size // SAMPLE_WIDTH * rate / recording.sample_rate)
    head = wav.header(rate, samples) if chosen.container == "wav" else b""
    length = len(head) + samples * chosen.bytes_per_sample
    return ExactForm(form.dialect, {**form.headers, "content-length": str(length)}, form.refused, head)


def replay(recording: Recording, chosen: AudioFormat, rate: int, pool: TranscodingPool) -> Produce:
    """Give out a recording from its start; while it is still being spoken, up to its end."""

    async def produce(emit: Emit) -> None:
        stream = chosen.open(recording.sample_rate, rate)
        async with aclosing(recording.follow()) as follower:
            frames = transcoder(_Pieces(follower), stream, rate // _FRAMES_A_SECOND, pool.aside)
            # It raises nothing: whatever goes wrong comes out of ``frames.get``.
            encoding = asyncio.create_task(frames.run())
            count = position = 0
            try:
                while (frame := await frames.get()) is not None:
                    await emit(frame)
                    count += 1
                    position = frame.position + frame.samples
                    # A client that takes all at once would otherwise keep the loop from everybody else.
                    await asyncio.sleep(0)
            finally:
                encoding.cancel()
                await asyncio.wait([encoding])
        if not recording.complete:
            raise UnknownSession("what this session spoke was cut short, so there is no whole file of it")
        await emit(Ended(position / rate, None, count))

    return produce


class _Pieces:
    """What a recording has, as a source for a transcoder."""

    def __init__(self, pieces: AsyncGenerator[bytes, None]) -> None:
        self._pieces = pieces

    async def get(self) -> bytes | None:
        return await anext(self._pieces, None)
