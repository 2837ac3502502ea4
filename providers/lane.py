"""Worker threads for an engine that blocks.

A segment is walked one ``next()`` at a time, and each of those is a job of its own. So a slow listener
holds no worker between chunks, the segments of several sessions take turns, and a cancel takes effect
between chunks.

All bookkeeping lives on the event loop: a job goes to the thread pool only once it has one of ``width``
places, so the pool has no queue of its own, and a job that still waits is cancelled by forgetting it.
"""

from __future__ import annotations

import asyncio
import concurrent.futures
import logging
import os
from collections import deque
from collections.abc import AsyncGenerator, Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any, Generic, TypeVar, TypeVarTuple

from providers.base import EngineBusy, EngineFailed, EngineUnavailable
from providers.waiting import queued

log = logging.getLogger(__name__)

R = TypeVar("R")
T = TypeVar("T")
Ts = TypeVarTuple("Ts")

_BATCH_SHARE = 16
"""Of so many places that are handed on while both wait, one goes to batch work: it costs those who are listened to six
per cent at most, and batch work is never left out for good."""


def cores() -> int:
    """The processor cores that this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


class _End:
    """Stands for ``StopIteration``, which may not travel through a future."""


_END = _End()


class _Cursor(Generic[T]):
    """The blocking side of a walk: all but ``open`` runs on a worker thread, one call at a time."""

    def __init__(self, make: Callable[[], Iterable[T]]) -> None:
        self._make = make
        self._iterator: Iterator[T] | None = None

    @property
    def open(self) -> bool:
        return self._iterator is not None

    def advance(self) -> T | _End:
        try:
            if self._iterator is None:
                self._iterator = iter(self._make())
            item = next(self._iterator, _END)
        except BaseException:
            self.close()
            raise
        if item is _END:
            self.close()
        return item

    def close(self) -> None:
        iterator, self._iterator = self._iterator, None
        close = getattr(iterator, "close", None)
        if close is None:
            return
        try:
            close()
        except Exception:
            log.exception("closing an engine's iterator failed")


class _Walk(Generic[T]):
    """The loop's side of a walk: whether it holds a place, runs a job, or nobody wants it any more."""

    __slots__ = ("abandoned", "batch", "cursor", "exclusive", "job", "placed")

    def __init__(self, cursor: _Cursor[T], *, exclusive: bool, batch: bool) -> None:
        self.cursor = cursor
        self.exclusive = exclusive
        self.batch = batch
        self.placed = False
        self.abandoned = False
        self.job: asyncio.Future[T | _End] | None = None


class Lane:
    """``width`` worker threads at most, and never more than the machine has cores.

    ``max_waiting`` bounds the new work that waits; beyond it, and after ``max_wait`` seconds of waiting, comes
    ``EngineBusy`` with ``retry_after`` seconds. A segment under way is not refused: it has one job waiting at most, so
    those are bounded by what was let in. Belongs to one event loop, that of its first use.

    Work that somebody listens to goes before ``batch`` work, which gets every place that it leaves, and a small share
    where it leaves none. Nor does batch work take its room to wait. For batch work there is no ``max_wait``: nobody
    counts the seconds, and a text that is half spoken would be lost.

    Whoever waits is ``queued``: a place that comes late is no stall of the engine, one that never moves is.
    """

    def __init__(
        self,
        width: int,
        name: str,
        *,
        max_waiting: int = 256,
        max_wait: float | None = 30.0,
        retry_after: float = 1.0,
    ) -> None:
        self.name = name
        self.width = max(1, min(width, cores()))
        self._max_waiting = max_waiting
        self._max_wait = max_wait
        self._retry_after = retry_after
        self._pool: ThreadPoolExecutor | None = None
        self._free = self.width
        self._waiters: tuple[deque[asyncio.Future[None]], ...] = (deque(), deque())
        """Those who are listened to, and the rest."""
        self._passed_over = 0
        """How often batch work that waits was left out, one time after the other."""
        self._running = 0
        """Jobs on threads."""
        self._moved = 0.0
        """When the last one began or ended."""
        self._to_close: deque[_Walk[Any]] = deque()
        self._walks: set[_Walk[Any]] = set()
        self._idle = asyncio.Event()
        self._idle.set()
        self._closed = False

    @property
    def busy(self) -> int:
        """Places taken: jobs that run, and exclusive segments between two chunks."""
        return self.width - self._free

    @property
    def waiting(self) -> int:
        """Jobs that wait for a place."""
        return sum(map(len, self._waiters))

    async def run(self, work: Callable[[*Ts], R], *args: *Ts, batch: bool = False) -> R:
        """Call ``work`` on a worker. If the caller is cancelled the call still ends, and its result is
        dropped. What others wait for, too, such as the load of a voice, is no ``batch`` work, whoever came first: it
        would keep those who listen waiting behind their like.

        Raises what ``work`` raises, ``EngineBusy`` or ``EngineUnavailable``.
        """
        await self._enter(new=True, batch=batch)
        return await _done(self._submit(partial(work, *args), self._left))

    async def iterate(
        self, make: Callable[[], Iterable[T]], *, exclusive: bool = False, batch: bool = False
    ) -> AsyncGenerator[T, None]:
        """Walk ``make()`` on the workers, one item a pull.

        A cancelled pull returns at once: the item under way is dropped when its thread has made it, and the
        iterator's ``close`` is called there. ``exclusive`` keeps a place (though no thread) from the first
        item to the last, for an engine whose iterator owns the state of its model.

        Raises what the iterator raises, ``EngineBusy`` (before the first item) or ``EngineUnavailable``.
        """
        walk = _Walk(_Cursor(make), exclusive=exclusive, batch=batch)
        self._walks.add(walk)
        try:
            new = True
            while True:
                item = await self._step(walk, new=new)
                if isinstance(item, _End):
                    return
                yield item
                new = False
        finally:
            # Nothing is awaited here: whoever cancels does not wait for a thread.
            self._walks.discard(walk)
            self._abandon(walk)

    async def idle(self) -> None:
        """Wait until no job runs and no iterator is left to close."""
        await self._idle.wait()

    async def close(self) -> None:
        """Refuse new work, fail what waits, close every iterator and join the threads. Callable twice.

        A chunk under way is waited for, since a thread cannot be stopped.
        """
        self._closed = True
        for line in self._waiters:
            for waiter in line:
                if not waiter.done():
                    waiter.set_exception(self._refusal())
            line.clear()
        for walk in tuple(self._walks):
            self._abandon(walk)
        await self._idle.wait()
        if self._closed and self._pool is not None:
            # Every worker is parked in the pool's queue now, so joining takes no longer than waking them.
            pool, self._pool = self._pool, None
            pool.shutdown(wait=True)

    def open(self) -> None:
        """Take work again after a ``close``; also while that still waits for a chunk, which keeps its place."""
        self._closed = False

    # ---- places

    def _refusal(self) -> EngineUnavailable:
        return EngineUnavailable(f"engine {self.name!r} is closed")

    async def _enter(self, *, new: bool, batch: bool) -> None:
        """Wait, in the order of asking, for a place."""
        if self._closed:
            raise self._refusal()
        if self._free:
            self._take()
            return
        line = self._waiters[batch]
        # Batch work may not take the room of those who are listened to; they may take its.
        if new and (self.waiting if batch else len(line)) >= self._max_waiting:
            raise self._busy()
        waiter = asyncio.get_running_loop().create_future()
        line.append(waiter)
        try:
            with queued(self._progress):
                async with asyncio.timeout(self._max_wait if new and not batch else None):
                    await waiter
        except BaseException as error:
            if not waiter.done() or waiter.cancelled():
                if waiter in line:
                    line.remove(waiter)
            elif waiter.exception() is None:
                # The place came in the same turn of the loop as the cancel.
                self._leave()
            if isinstance(error, TimeoutError):
                raise self._busy() from None
            raise
        finally:
            # What it was refused with knows this frame, and shall not be known by it.
            del waiter
        if self._closed:
            self._leave()
            raise self._refusal()

    def _progress(self) -> float:
        """When the lane was last seen to move: now, where a place waits for its listener."""
        return _now() if self.busy > self._running else self._moved

    def _busy(self) -> EngineBusy:
        return EngineBusy(f"engine {self.name!r} has no room now", retry_after=self._retry_after)

    def _take(self) -> None:
        self._free -= 1
        self._idle.clear()

    def _leave(self) -> None:
        """Hand a place to the next in line. Iterators to close come first: that is short and frees memory."""
        if self._to_close:
            self._close_cursor(self._to_close.popleft())
            return
        while (line := self._next_line()) is not None:
            waiter = line.popleft()
            if not waiter.done():
                waiter.set_result(None)
                return
        self._free += 1
        if self._free == self.width:
            self._idle.set()

    def _next_line(self) -> deque[asyncio.Future[None]] | None:
        listened, batch = self._waiters
        if not (listened and batch):
            self._passed_over = 0
            return listened or batch or None
        self._passed_over += 1
        if self._passed_over < _BATCH_SHARE:
            return listened
        self._passed_over = 0
        return batch

    def _left(self, _: asyncio.Future[Any]) -> None:
        self._leave()

    # ---- jobs

    def _submit(self, work: Callable[[], R], then: Callable[[asyncio.Future[R]], object]) -> asyncio.Future[R]:
        job = self._begin(partial(_contained, work))
        self._running += 1
        self._moved = _now()
        job.add_done_callback(self._came_back)
        job.add_done_callback(then)
        return job

    def _begin(self, work: Callable[[], R]) -> asyncio.Future[R]:
        if self._pool is None:
            self._pool = ThreadPoolExecutor(self.width, thread_name_prefix=f"lane-{self.name}")
        return asyncio.get_running_loop().run_in_executor(self._pool, work)

    def _came_back(self, job: asyncio.Future[Any]) -> None:
        job.exception()  # An abandoned job's error is nobody's; asking for it keeps it out of the log.
        self._running -= 1
        self._moved = _now()

    async def _step(self, walk: _Walk[T], *, new: bool) -> T | _End:
        if walk.abandoned:
            raise self._refusal()
        if not walk.placed:
            await self._enter(new=new, batch=walk.batch)
            walk.placed = True
        walk.job = self._submit(walk.cursor.advance, partial(self._stepped, walk))
        return await _done(walk.job)

    def _stepped(self, walk: _Walk[T], _: asyncio.Future[T | _End]) -> None:
        walk.job = None
        if walk.abandoned:
            self._dispose(walk)
        elif not walk.exclusive:
            walk.placed = False
            self._leave()

    def _abandon(self, walk: _Walk[Any]) -> None:
        if walk.abandoned:
            return
        walk.abandoned = True
        if walk.job is None:
            self._dispose(walk)

    def _dispose(self, walk: _Walk[Any]) -> None:
        """Close what the walk has open and give its place back."""
        if not walk.cursor.open:
            if walk.placed:
                self._leave()
        elif walk.placed:
            self._close_cursor(walk)
        elif self._free:
            self._take()
            self._close_cursor(walk)
        else:
            self._to_close.append(walk)

    def _close_cursor(self, walk: _Walk[Any]) -> None:
        """On a worker, with a place that the caller took: an iterator's ``close`` may block as its
        ``next`` may.
        """
        self._submit(walk.cursor.close, self._left)


async def _done(job: asyncio.Future[R]) -> R:
    """Its result; it goes on where the caller is cancelled."""
    try:
        await asyncio.wait((job,))
        return job.result()
    finally:
        # An error knows this frame, and through it would know itself: with all that the engine had in its hands.
        del job


def _contained(work: Callable[[], R]) -> R:
    """Keep out of futures the exceptions that mean something to them, or to the loop, and those that nobody who calls
    an engine reckons with, such as a panic of a library that is written in Rust."""
    try:
        return work()
    except BaseException as error:
        if isinstance(error, Exception) and not isinstance(error, StopIteration | concurrent.futures.CancelledError):
            raise
        raise EngineFailed(f"the engine raised {type(error).__name__}") from error


def _now() -> float:
    return asyncio.get_running_loop().time()
