"""A decoder with the API of ``audio.snac.Decoder`` and no model: a frame's sound says which frame it was."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Sequence
from typing import Any

import numpy as np

from audio.snac import DecodeFailed, DecoderBusy, DecoderClosed, SnacError

LOOKAHEAD = 2
"""Frames that must have come behind one before its sound is there."""
FRAME_SAMPLES = 2048


def sound(*frames: Sequence[int]) -> bytes:
    """What the decoder makes of them: 2048 samples a frame, each of the sum of its codes."""
    return b"".join(np.full(FRAME_SAMPLES, sum(frame) % 30_000, "<i2").tobytes() for frame in frames)


class FakeStream:
    def __init__(self, decoder: FakeDecoder, seed: int) -> None:
        self.seed = seed
        self.pushed: list[Sequence[int]] = []
        self._decoder = decoder
        self._ready: deque[bytes] = deque()
        self._waiting: deque[Sequence[int]] = deque()
        self._finished = False
        self._error: SnacError | None = None
        self._changed = asyncio.Event()

    async def __aenter__(self) -> FakeStream:
        if self._decoder.closed:
            raise DecoderClosed("the decoder is closed")
        if len(self._decoder.open_streams) >= self._decoder.max_streams:
            raise DecoderBusy("the decoder has no room")
        self._decoder.open_streams.add(self)
        return self

    async def __aexit__(self, *_: object) -> None:
        self._decoder.open_streams.discard(self)

    def push(self, frame: Sequence[int]) -> None:
        self.pushed.append(frame)
        if self._decoder.broken:
            self.fail(DecodeFailed("the backend failed"))
        self._waiting.append(frame)
        self._release(LOOKAHEAD)

    def finish(self) -> None:
        self._finished = True
        self._release(0)

    async def get(self) -> bytes | None:
        while self._decoder.broken or not self._ready:
            if self._error is not None:
                raise self._error
            if self._finished:
                return None
            self._changed.clear()
            await self._changed.wait()
        return self._ready.popleft()

    def fail(self, error: SnacError) -> None:
        self._error = error
        self._changed.set()

    def _release(self, keep: int) -> None:
        while len(self._waiting) > keep:
            self._ready.append(sound(self._waiting.popleft()))
        self._changed.set()


class FakeDecoder:
    backend = "a fake"

    def __init__(self, start_error: SnacError | None = None) -> None:
        self.start_error = start_error
        self.streams: list[FakeStream] = []
        self.open_streams: set[FakeStream] = set()
        self.started = self.closed = False
        self.broken = False
        """No stream gets a sound any more."""
        self.max_streams = 1024

    async def start(self) -> None:
        if self.start_error is not None:
            raise self.start_error
        self.started = True

    async def close(self) -> None:
        self.closed = True
        for stream in self.open_streams:
            stream.fail(DecoderClosed("the decoder was closed"))

    def open(self, seed: int = 0) -> Any:
        stream = FakeStream(self, seed)
        self.streams.append(stream)
        return stream
