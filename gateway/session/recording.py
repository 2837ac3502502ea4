"""What was spoken, kept for a while, so that it can be fetched as a file without being spoken again."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable
from typing import Protocol

from gateway.clock import Clock
from gateway.events import SpeechRequest


class Recording:
    """The PCM of one session (s16le mono at ``sample_rate``), growing while it is spoken."""

    def __init__(self, sample_rate: int, limit: int, request: SpeechRequest, take_room: Callable[[int], bool]) -> None:
        self.sample_rate = sample_rate
        self.request = request
        """What was asked for: a file without other wishes has its format and rate."""
        self.complete = False
        """Everything was spoken, and everything is here."""
        self.closed = False
        self.truncated = False
        self.size = 0
        self._limit = limit
        self._take_room = take_room
        self._pieces: list[bytes] = []
        self._grown = asyncio.Event()

    def add(self, pcm: bytes) -> None:
        if self.truncated or self.size + len(pcm) > self._limit or not self._take_room(len(pcm)):
            self.truncated = True
            return
        self._pieces.append(pcm)
        self.size += len(pcm)
        self._wake()

    def close(self, *, complete: bool) -> None:
        self.complete = complete and not self.truncated
        self.closed = True
        self._wake()

    def _wake(self) -> None:
        self._grown.set()
        self._grown = asyncio.Event()

    async def follow(self) -> AsyncGenerator[bytes, None]:
        """All of it from the start; while it is still being spoken, as it grows. Any number may follow."""
        position = 0
        while True:
            grown = self._grown
            while position < len(self._pieces):
                yield self._pieces[position]
                position += 1
            if self.closed:
                return
            await grown.wait()


class _Source(Protocol):
    async def get(self) -> bytes | None: ...


class Recorder:
    """Stands between synthesis and transcoding and keeps a copy of what passes."""

    def __init__(self, source: _Source, recording: Recording) -> None:
        self._source = source
        self._recording = recording

    async def get(self) -> bytes | None:
        pcm = await self._source.get()
        if pcm is not None:
            self._recording.add(pcm)
        return pcm


class Recordings:
    """Recordings by session id: bounded in bytes and in age, the oldest goes first."""

    def __init__(self, limit: int, ttl: float, clock: Clock) -> None:
        self._limit = limit
        self._ttl = ttl
        self._clock = clock
        self._kept: dict[str, tuple[float, Recording]] = {}
        self._size = 0

    def open(self, key: str, sample_rate: int, request: SpeechRequest) -> Recording:
        """Begin a recording. One alone may take a quarter of the room."""
        self.evict()
        recording = Recording(sample_rate, self._limit // 4, request, self._take_room)
        self._kept[key] = (self._clock.now() + self._ttl, recording)
        return recording

    def _take_room(self, size: int) -> bool:
        """Count ``size`` bytes more. False when there is no room for them, even without what is over."""
        if self._size + size > self._limit:
            self.evict(size)
        if self._size + size > self._limit:
            return False
        self._size += size
        return True

    def find(self, key: str) -> Recording | None:
        self.evict()
        kept = self._kept.get(key)
        return kept[1] if kept else None

    def evict(self, room: int = 0) -> None:
        """Drop what is too old, and the oldest until ``room`` bytes are free. What is being spoken stays."""
        now = self._clock.now()
        for key, (expires, recording) in list(self._kept.items()):
            if recording.closed and (expires <= now or self._size + room > self._limit):
                del self._kept[key]
                self._size -= recording.size

    def __len__(self) -> int:
        return len(self._kept)
