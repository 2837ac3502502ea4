"""The streams of a process and the threads that decode them.

All bookkeeping lives on the event loop, so there is no lock and no queue between threads: a worker gets a batch when it
is free, and its samples come back as a callback. A stream has one window under way at most. What waits is one window a
stream, so a stream that is left is forgotten with it and never decoded.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Sequence
from concurrent.futures import CancelledError, Executor
from dataclasses import dataclass
from functools import partial
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from audio.snac.backend import Backend, batch_of
from audio.snac.course import Course
from audio.snac.errors import DecodeFailed, DecoderBusy, DecoderClosed
from audio.snac.scheduler import Scheduler
from audio.snac.stream import Stream
from audio.snac.window import Window

log = logging.getLogger(__name__)

_SLACK = 0.02
"""Seconds for what nobody measures: the hand-over between threads, and the way to the listener."""
_MOST_LEAD = 0.5
_FORGETTING = 0.9
_LEARNING = 0.2

Taken: TypeAlias = list[tuple[Stream, Window]]
Decoded: TypeAlias = list[NDArray[np.float32]]


@dataclass(slots=True)
class Stats:
    """Counted since the start."""

    batches: int = 0
    windows: int = 0
    samples: int = 0
    """Delivered."""
    frames: int = 0
    """Decoded with their context: beyond ``samples / 2048``, the price of streaming."""
    dropped: int = 0
    """Windows whose stream was left while they were decoded."""
    failed: int = 0
    """Batches that the backend failed with."""
    busy: float = 0.0
    """Seconds that the workers spent, in all."""


class Service:
    """Belongs to the loop that it is made on. ``executor`` has a thread for each of ``backend.workers``. ``pace``:
    seconds that a frame of work takes (see ``Shape.work``), as far as is known; it is learnt from there."""

    def __init__(
        self, backend: Backend, executor: Executor, *, exact: bool = True, max_streams: int = 1024, pace: float = 0.0
    ) -> None:
        self.stats = Stats()
        self._backend = backend
        self._executor = executor
        self._exact = exact
        self._max_streams = max_streams
        self._loop = asyncio.get_running_loop()
        self._streams: set[Stream] = set()
        self._scheduler: Scheduler[Stream] = Scheduler(backend.max_batch)
        self._jobs: set[asyncio.Future[Decoded]] = set()
        self._dispatching = False
        self._spent = 0.0
        self._pace = pace
        self._closed = False
        self.now = self._loop.time

    @property
    def lead(self) -> float:
        """Seconds before a listener runs dry at which its window must be ready: the batch under way has to end, and
        its own has to be decoded. From the longest of the recent batches."""
        return min(_MOST_LEAD, _SLACK + 2 * self._spent)

    def open(self, seed: int) -> Stream:
        course = Course(self._backend.sizes, self._backend.widths, exact=self._exact)
        return Stream(self, course, seed)

    async def close(self) -> None:
        """Fail the streams that are open and wait for the batches under way. Callable twice."""
        self._closed = True
        for stream in tuple(self._streams):
            self._forget(stream)
            stream.fail(DecoderClosed("the decoder was closed"))
        while self._jobs:
            await asyncio.wait(self._jobs)

    # ---- what streams call

    def enter(self, stream: Stream) -> None:
        if self._closed:
            raise DecoderClosed("the decoder is closed")
        if len(self._streams) >= self._max_streams:
            raise DecoderBusy(f"the decoder has {self._max_streams} streams open, which is all it takes")
        self._streams.add(stream)

    def leave(self, stream: Stream) -> None:
        self._streams.discard(stream)
        self._forget(stream)

    def look(self, stream: Stream) -> None:
        if stream.timer is not None:
            stream.timer.cancel()
            stream.timer = None
        if stream.in_flight or stream.paused or stream.failed:
            return
        lead = self.lead
        window = stream.course.next(self.now(), lead, self._pace)
        if window is not None:
            self._scheduler.put(stream, window, stream.course.deadline)
            self._dispatch_soon()
            return
        due = stream.course.due(lead)
        if due is not None:
            stream.timer = self._loop.call_at(due, self.look, stream)

    # ---- batches

    def _dispatch_soon(self) -> None:
        """At the end of this turn of the loop, so that what becomes ready in the same turn goes together."""
        if not self._dispatching:
            self._dispatching = True
            self._loop.call_soon(self._dispatch)

    def _dispatch(self) -> None:
        self._dispatching = False
        while len(self._jobs) < self._backend.workers and (taken := self._scheduler.take()):
            for stream, _ in taken:
                stream.in_flight = True
            shape = taken[0][1].shape
            rows = [stream.frames.packed(window.start, window.stop) for stream, window in taken]
            keys = [stream.keys for stream, _ in taken]
            job = self._loop.run_in_executor(
                self._executor, _decode, self._backend, rows, keys, [window for _, window in taken]
            )
            self._jobs.add(job)
            self.stats.batches += 1
            self.stats.windows += len(taken)
            self.stats.frames += shape.frames * len(taken)
            job.add_done_callback(partial(self._decoded, taken, self.now()))

    def _decoded(self, taken: Taken, began: float, job: asyncio.Future[Decoded]) -> None:
        self._jobs.discard(job)
        now = self.now()
        self._measure(now - began, taken[0][1])
        error = job.exception()
        if error is not None:
            self.stats.failed += 1
            log.error("the SNAC backend failed with a batch of %d", len(taken), exc_info=error)
        for index, (stream, window) in enumerate(taken):
            stream.in_flight = False
            if stream not in self._streams:
                self.stats.dropped += 1
            elif error is not None:
                stream.fail(DecodeFailed("the decoder failed in the middle of this stream"))
            else:
                self._deliver(stream, window, job.result()[index], now)
        self._dispatch_soon()

    def _measure(self, spent: float, window: Window) -> None:
        self.stats.busy += spent
        self._spent = max(spent, self._spent * _FORGETTING)
        self._pace += (spent / window.shape.work - self._pace) * _LEARNING

    def _deliver(self, stream: Stream, window: Window, samples: NDArray[np.float32], now: float) -> None:
        stream.course.deliver(window, now)
        stream.frames.forget(stream.course.oldest)
        self.stats.samples += len(samples)
        stream.deliver(samples)
        self.look(stream)

    def _forget(self, stream: Stream) -> None:
        self._scheduler.drop(stream)
        if stream.timer is not None:
            stream.timer.cancel()
            stream.timer = None


def _decode(
    backend: Backend, rows: Sequence[bytes], keys: Sequence[Sequence[int]], windows: Sequence[Window]
) -> Decoded:
    """On a worker thread."""
    batch = batch_of(windows[0].shape, rows, keys, [window.start for window in windows])
    try:
        samples = backend.decode(batch)
    except (StopIteration, CancelledError, asyncio.CancelledError) as error:
        # They mean something to a future, which would not be done with them.
        raise RuntimeError(f"the backend raised {type(error).__name__}") from error
    return [np.array(row[window.kept]) for row, window in zip(samples, windows, strict=True)]
