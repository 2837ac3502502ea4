"""PCM in, frames of the listener's format out: one stateful resampler and encoder for a whole context.

Raw formats (PCM, G.711) cost less than a thread hop and are made where they are taken, cut into frames of exactly
the length asked for. Compressed formats are made in pieces of about 100 ms but the first, which goes at once; the heavy
ones, which are all but FLAC, on the transcoding pool.
"""

from __future__ import annotations

import asyncio
import logging
import os
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from queue import SimpleQueue
from threading import Thread
from typing import Any, NamedTuple, Protocol, TypeVar

from audio import packets
from audio.stream import AudioStream
from gateway.events import Audio
from gateway.pipeline.channel import Channel
from providers.base import SAMPLE_WIDTH

log = logging.getLogger(__name__)

R = TypeVar("R")
PIECE = 0.1
"""Seconds of sound that a pooled encoder is given at a time: a hop to a thread and back costs about 20 µs."""
_RAW_PIECE = 0.2
"""Seconds of sound that are made into a raw format at a time: at most 0.2 ms on the loop."""
ENCODED_AHEAD = 0.5
"""Seconds of encoded sound that may wait for the listener."""


class PcmSource(Protocol):
    """Where PCM comes from: the synthesis of a context."""

    async def get(self) -> bytes | None: ...


class _Job(NamedTuple):
    function: Callable[..., Any]
    args: tuple[object, ...]
    result: asyncio.Future[Any]

    def do(self) -> None:
        """On the pool's thread; the result is set on the loop of whoever waits for it."""
        if self.result.cancelled():
            return
        made, error = None, None
        try:
            made = self.function(*self.args)
        except BaseException as raised:  # noqa: BLE001 - it is raised where the result is awaited
            error = raised
        with suppress(RuntimeError):  # The loop is closed: nobody waits any more.
            self.result.get_loop().call_soon_threadsafe(self.settle, made, error)

    def settle(self, made: object, error: BaseException | None) -> None:
        if self.result.done():
            return
        if error is None:
            self.result.set_result(made)
        else:
            self.result.set_exception(error)


class Pool(Protocol):
    """Where heavy encoders run."""

    async def run(self, function: Callable[..., R], *args: object) -> R: ...


class _Here:
    """In place of a pool, for what costs no more than the way to a thread and back."""

    async def run(self, function: Callable[..., R], *args: object) -> R:
        return function(*args)


class _Aside:
    """A pool's threads, of whose queue it never takes more than one job a thread."""

    def __init__(self, pool: TranscodingPool, threads: int) -> None:
        self._pool = pool
        self._turns = asyncio.Semaphore(threads)

    async def run(self, function: Callable[..., R], *args: object) -> R:
        async with self._turns:
            return await self._pool.run(function, *args)


class TranscodingPool:
    """The threads on which heavy encoders run. First come, first served; a stream has one job in it at a time, and
    none that is longer than ``PIECE``: however fast one bursts, each of the others has its turn in between.

    A ``ThreadPoolExecutor`` does the same with two futures, a lock and a condition for each job, which costs as much
    as a third of what an mp3 does. The threads, by default one a core, are started by the first job.
    """

    def __init__(self, threads: int = 0) -> None:
        self._count = threads or _cores()
        self._jobs: SimpleQueue[_Job | None] = SimpleQueue()
        self._threads: list[Thread] = []
        self._closed = False
        self.aside: Pool = _Aside(self, self._count)
        """For what nobody hears while it is made. However many files are encoded at a time, speech that is being
        listened to never waits for more than one piece of them."""

    async def run(self, function: Callable[..., R], *args: object) -> R:
        """What ``function`` returns or raises. A job whose caller is cancelled before its turn is not done.

        Raises ``RuntimeError`` after ``close``.
        """
        if self._closed:
            raise RuntimeError("the transcoding pool is closed")
        if not self._threads:
            self._start()
        result: asyncio.Future[R] = asyncio.get_running_loop().create_future()
        self._jobs.put(_Job(function, args, result))
        return await result

    def close(self, seconds: float = 5.0) -> None:
        """Do what is in the queue, and end the threads. Blocks until they have ended, but an encoder that hangs is
        not waited for longer than that."""
        self._closed = True
        for _ in self._threads:
            self._jobs.put(None)
        deadline = time.monotonic() + seconds
        for thread in self._threads:
            thread.join(max(0.0, deadline - time.monotonic()))
        hanging = sum(thread.is_alive() for thread in self._threads)
        if hanging:
            log.warning("%d transcoding threads hang and are left behind", hanging)

    def _start(self) -> None:
        for number in range(self._count):
            # Daemons, so that one that hangs, or a pool that nobody closed, cannot keep the process from its end.
            thread = Thread(target=self._work, name=f"transcoding-{number}", daemon=True)
            thread.start()
            self._threads.append(thread)

    def _work(self) -> None:
        while (job := self._jobs.get()) is not None:
            job.do()
            # Or it would keep its stream until the next one comes.
            del job


class RawTranscoder:
    """Cuts a raw format into frames of exactly ``frame_samples``; only the last one may be shorter, and with
    ``pad_last`` it is filled up with silence."""

    def __init__(self, source: PcmSource, stream: AudioStream, frame_samples: int, *, pad_last: bool = False) -> None:
        self._source = source
        self._stream = stream
        self._width = stream.format.bytes_per_sample or SAMPLE_WIDTH
        self._frame = frame_samples * self._width
        self._padding = stream.format.silence * frame_samples if pad_last else b""
        # The header of a container travels with the first frame.
        self._head = stream.format.header_bytes
        self._piece = round(_RAW_PIECE * stream.source_rate) * SAMPLE_WIDTH
        self._rest = memoryview(b"")
        """PCM that is not encoded yet."""
        self._data = memoryview(b"")
        self._size = 0
        self._offset = 0
        self._sequence = 0
        self._position = 0
        self._fed = False
        self._done = False
        self.encoder_time = 0.0
        self.queue_time = 0.0
        self.depth = 0.0

    async def run(self) -> None:
        """Nothing runs beside the consumer."""

    def ready(self) -> Audio | None:
        """The next frame, if it needs no more PCM."""
        end = self._offset + self._head + self._frame
        if end > self._size and not self._done:
            return None
        data = self._data[self._offset : end]
        if not data:
            return None
        if self._padding and len(data) < self._head + self._frame:
            data = memoryview(bytes(data) + self._padding[len(data) - self._head :])
        samples = (len(data) - self._head) // self._width
        frame = Audio(data, self._sequence, self._position, samples)
        self._offset = end
        self._head = 0
        self._sequence += 1
        self._position += samples
        return frame

    async def get(self) -> Audio | None:
        while (frame := self.ready()) is None and not self._done:
            await self._fill()
        return frame

    async def _fill(self) -> None:
        pcm = self._rest or await self._source.get()
        began = time.perf_counter()
        if pcm is None:
            self._done = True
            # Without a sound there is no stream: not even a header is sent.
            made = self._stream.finish() if self._fed else b""
        else:
            self._fed = True
            # An engine that gives a whole utterance at once would otherwise keep the loop from everybody else.
            self._rest = memoryview(pcm)[self._piece :]
            made = self._stream.encode(bytes(pcm[: self._piece]))
        self.encoder_time += time.perf_counter() - began
        rest = self._data[self._offset :]
        self._data = memoryview(bytes(rest) + made if rest else made)
        self._size = len(self._data)
        self._offset = 0


class PooledTranscoder:
    """Runs a compressed format's encoder, ahead of the listener by at most ``ENCODED_AHEAD``."""

    def __init__(self, source: PcmSource, stream: AudioStream, pool: Pool) -> None:
        self._source = source
        self._stream = stream
        self._pool = pool
        self._piece = round(PIECE * stream.source_rate) * SAMPLE_WIDTH
        frame = stream.format.frame
        self._packet = frame(stream.sample_rate) if frame and stream.format.packets else None
        self._frames: Channel[Audio] = Channel(ENCODED_AHEAD)
        self._sequence = 0
        self._position = 0
        self.encoder_time = 0.0
        self.queue_time = 0.0
        """Seconds that the pieces waited for a thread."""

    @property
    def depth(self) -> float:
        return self._frames.depth

    async def run(self) -> None:
        """Encode until the source ends; what it raises reaches the consumer after the frames that came before."""
        try:
            pending = bytearray()
            fed = False
            while (pcm := await self._source.get()) is not None:
                fed = True
                pending += pcm
                while len(pending) >= self._piece or (pending and self._sequence == 0):
                    await self._encode(bytes(pending[: self._piece]))
                    del pending[: self._piece]
            if pending:
                await self._encode(bytes(pending))
            if fed:
                await self._emit(await self._timed(self._stream.finish))
            self._frames.close()
        except Exception as error:  # noqa: BLE001 - handed to the consumer, who raises it
            self._frames.close(error)

    def ready(self) -> Audio | None:
        """The next frame, if it is encoded already."""
        return self._frames.ready()

    async def get(self) -> Audio | None:
        return await self._frames.get()

    async def _encode(self, pcm: bytes) -> None:
        await self._emit(await self._timed(self._stream.encode, pcm))

    async def _timed(self, function: Callable[..., bytes], *args: bytes) -> bytes:
        asked = time.perf_counter()
        began, ended, data = await self._pool.run(_measured, function, *args)
        self.queue_time += began - asked
        self.encoder_time += ended - began
        return data

    async def _emit(self, data: bytes) -> None:
        """A frame says how much sound went into the encoder since the one before; a packet, how much it lasts."""
        if self._packet is None:
            if data:
                await self._put(data, self._stream.samples_in - self._position)
            return
        for packet in packets.split(data):
            await self._put(packet, min(self._packet, self._stream.samples_in - self._position))

    async def _put(self, data: bytes, samples: int) -> None:
        frame = Audio(data, self._sequence, self._position, samples)
        self._sequence += 1
        self._position += samples
        await self._frames.put(frame, samples / self._stream.sample_rate)


Transcoder = RawTranscoder | PooledTranscoder


def transcoder(
    source: PcmSource, stream: AudioStream, frame_samples: int, pool: Pool, *, pad_last: bool = False
) -> Transcoder:
    """The transcoder that fits the stream's format."""
    if stream.format.coded:
        return PooledTranscoder(source, stream, pool if stream.format.heavy else _Here())
    return RawTranscoder(source, stream, frame_samples, pad_last=pad_last)


def _cores() -> int:
    """Those that this process may use: in a container they can be fewer than the machine has."""
    if sys.platform == "linux":
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def _measured(function: Callable[..., bytes], *args: bytes) -> tuple[float, float, bytes]:
    """When it began, when it ended, and what it made."""
    began = time.perf_counter()
    data = function(*args)
    return began, time.perf_counter(), data
