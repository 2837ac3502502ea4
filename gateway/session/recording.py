"""What was spoken, kept for a while, so that it can be fetched as a file without being spoken again."""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import AsyncGenerator
from typing import Protocol

from gateway.clock import Clock
from gateway.errors import UnknownSession
from gateway.events import SpeechRequest
from gateway.session.shelf import Block, Shelf
from gateway.session.spool import BLOCK

MAX_KEPT = 10_000
"""Recordings, whatever their size."""
_PIECE = 16_384
"""Bytes that a follower gets at a time: a third of a second at 24 kHz."""


class Recording:
    """The PCM of one session (s16le mono at ``sample_rate``), growing while it is spoken. Made by ``Recordings``."""

    def __init__(self, key: str, sample_rate: int, limit: int, request: SpeechRequest, store: Recordings) -> None:
        self.key = key
        self.sample_rate = sample_rate
        self.request = request
        """What was asked for: a file without other wishes has its format and rate."""
        self.complete = False
        """Everything was spoken, and everything is here."""
        self.closed = False
        self.truncated = False
        """There was no room for all of it."""
        self.size = 0
        self.followers = 0
        self.blocks: list[Block] = []
        self.wanted = True
        """Somebody may still ask for it. Its sound goes when that is over and the last follower has gone."""
        self.gone = False
        """Its sound is not kept any more."""
        self._limit = limit
        self._store = store
        self._tail = bytearray()
        self._grown = asyncio.Event()

    @property
    def in_memory(self) -> bool:
        """Whether some of it is. Its blocks are moved to the disk in their order."""
        return bool(self.blocks) and self.blocks[-1].data is not None

    def add(self, pcm: bytes) -> None:
        """Keep what was just spoken. Never waits: where there is no room the recording ends here, truncated."""
        if self.closed:
            return
        if self.size + len(pcm) > self._limit or not self._store.take_room(len(pcm)):
            self.truncated = True
            # Of no use to anybody from now on, so it makes room for the others.
            self.close(complete=False)
            return
        self._tail += pcm
        self.size += len(pcm)
        while len(self._tail) >= BLOCK:
            self._seal(BLOCK)
        self._wake()

    def close(self, *, complete: bool) -> None:
        if self.closed:
            return
        self.complete = complete
        self.closed = True
        if self._tail:
            self._seal(len(self._tail))
        self._wake()
        self._store.ended(self)

    def lose(self) -> None:
        """Its sound is dropped now, whoever follows it."""
        self.closed = self.gone = True
        self.blocks.clear()
        self._tail.clear()
        self._wake()

    def _seal(self, size: int) -> None:
        self.blocks.append(self._store.shelf.put(bytes(self._tail[:size])))
        del self._tail[:size]

    def _wake(self) -> None:
        self._grown.set()
        self._grown = asyncio.Event()

    async def follow(self) -> AsyncGenerator[bytes, None]:
        """All of it from the start; while it is still being spoken, as it grows. Any number may follow.

        What is followed is evicted last. Raises ``UnknownSession`` where the sound is gone, and where the gateway
        stops.
        """
        self.followers += 1
        try:
            position = 0
            while True:
                grown = self._grown
                while position < self.size:
                    block = await self._from(position)
                    for start in range(0, len(block), _PIECE):
                        yield block[start : start + _PIECE]
                    position += len(block)
                if self.closed:
                    self._check()
                    return
                await grown.wait()
        finally:
            self.followers -= 1
            self._store.left(self)

    async def _from(self, position: int) -> bytes:
        """What is there from ``position`` to the end of its block."""
        self._check()
        index, offset = divmod(position, BLOCK)
        if index >= len(self.blocks):
            return bytes(self._tail[offset:])
        try:
            data = await self._store.shelf.read(self.blocks[index])
        except OSError as error:
            raise UnknownSession("what this session spoke was kept and cannot be read any more") from error
        return data[offset:]

    def _check(self) -> None:
        if self.gone:
            raise UnknownSession("what this session spoke is not kept any more")


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
    """Recordings by session id: bounded in bytes and, from their end on, in age; the oldest goes first.

    ``limit``: bytes of all. One alone may take a quarter. ``memory``: bytes of them that may be in memory (and as
    much again while the disk is being written); the rest is on the disk. ``ttl``: seconds.
    """

    def __init__(
        self, limit: int, ttl: float, clock: Clock, memory: int | None = None, shelf: Shelf | None = None
    ) -> None:
        self._limit = limit
        self._ttl = ttl
        self._clock = clock
        self.shelf = shelf or Shelf(limit if memory is None else memory, clock)
        self.size = 0
        """Bytes that are kept, in memory and on the disk."""
        self._holding: set[Recording] = set()
        """Those whose sound is counted in ``size``."""
        self._live: dict[str, Recording] = {}
        self._over: OrderedDict[str, tuple[float, Recording]] = OrderedDict()
        """With the time at which each expires, in that order."""
        self._fresh: OrderedDict[str, Recording] = OrderedDict()
        """Those of them that may be in memory still, in the same order."""
        self._lingering: OrderedDict[Recording, None] = OrderedDict()
        """Those that are only kept for who follows them, in the order in which they were dropped."""
        self._timer: asyncio.TimerHandle | None = None
        self._closed = False

    def open(self, key: str, sample_rate: int, request: SpeechRequest) -> Recording:
        """Begin the recording of a session."""
        self.evict()
        recording = Recording(key, sample_rate, self._limit // 4, request, self)
        self._live[key] = recording
        self._holding.add(recording)
        return recording

    def find(self, key: str) -> Recording | None:
        self.evict()
        over = self._over.get(key)
        return self._live.get(key) or (over[1] if over else None)

    def evict(self, room: int = 0) -> None:
        """Drop what is too old, and the oldest until ``room`` bytes are free. What is being spoken stays."""
        now = self._clock.now()
        while self._over:
            key, (expires, _) = next(iter(self._over.items()))
            if expires > now and self.size + room <= self._limit and len(self._over) <= MAX_KEPT:
                break
            self.forget(key)
        # Where the disk does not keep up, what is on it already stays: to drop that would free no memory.
        while self._fresh and not self.shelf.fits(room):
            key, recording = self._fresh.popitem(last=False)
            if recording.in_memory:
                self.forget(key)
        # Or a few who read slowly could keep everybody else's out.
        while self._lingering and self.size + room > self._limit:
            self._drop(next(iter(self._lingering)))

    def forget(self, key: str) -> None:
        """Keep a recording that is over no longer. Who follows it gets the rest of it while there is room."""
        _, recording = self._over.pop(key, (0.0, None))
        self._fresh.pop(key, None)
        if recording is not None:
            recording.wanted = False
            self._release(recording)

    def __len__(self) -> int:
        return len(self._live) + len(self._over)

    async def close(self) -> None:
        """Drop everything. Whoever follows a recording gets an error."""
        self._closed = True
        if self._timer is not None:
            self._timer.cancel()
        for recording in list(self._holding):
            self._drop(recording)
        self._live.clear()
        self._over.clear()
        self._fresh.clear()
        await self.shelf.close()

    # ---- for recordings

    def take_room(self, size: int) -> bool:
        """Count ``size`` bytes more. False where there is no room for them, even without what is over."""
        if not self._fits(size):
            self.evict(size)
        if self._closed or not self._fits(size):
            return False
        self.size += size
        return True

    def ended(self, recording: Recording) -> None:
        """Nothing more comes to it: its time begins to run."""
        if self._live.get(recording.key) is recording:
            del self._live[recording.key]
        if self._closed:
            return
        self.forget(recording.key)
        self._over[recording.key] = (self._clock.now() + self._ttl, recording)
        self._fresh[recording.key] = recording
        # Without its end nobody gets it; that it was there is remembered.
        recording.wanted = recording.complete
        self._release(recording)
        self._wake_later()

    def left(self, recording: Recording) -> None:
        """A follower has gone."""
        self._release(recording)

    def _fits(self, size: int) -> bool:
        return self.size + size <= self._limit and self.shelf.fits(size)

    def _release(self, recording: Recording) -> None:
        if not recording.closed or recording.wanted or recording.gone:
            return
        if recording.followers:
            self._lingering[recording] = None
        else:
            self._drop(recording)

    def _drop(self, recording: Recording) -> None:
        self._holding.discard(recording)
        self._lingering.pop(recording, None)
        self.size -= recording.size
        for block in recording.blocks:
            self.shelf.drop(block)
        recording.lose()

    def _wake_later(self) -> None:
        """Be there when the next one expires, also if nobody asks for anything any more."""
        if self._timer is not None or not self._over:
            return
        expires, _ = next(iter(self._over.values()))
        delay = max(expires - self._clock.now(), 0.001)
        self._timer = asyncio.get_running_loop().call_later(delay, self._expire)

    def _expire(self) -> None:
        self._timer = None
        self.evict()
        self._wake_later()
