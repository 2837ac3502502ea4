"""Waiting for an engine, and waiting for one's turn at it: whoever gives an engine so much time for its next sound
counts none that passes in a queue.

Who counts sets himself up with ``watched``; who keeps work in a queue says so with ``queued``. It travels with the
task, and with the tasks that this one makes, so that no engine has to hand it on.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Protocol

Progress = Callable[[], float]
"""When (the loop's time) those who are ahead were last seen to get on. A queue that does not move is a stall."""


class Watch(Protocol):
    """Counts how long an engine takes."""

    def enter(self, progress: Progress) -> None:
        """From now on somebody's turn is waited for."""

    def leave(self, progress: Progress) -> None:
        """The turn has come, or is waited for no more."""


_watch: ContextVar[Watch | None] = ContextVar("watch", default=None)


@contextmanager
def watched(watch: Watch) -> Iterator[None]:
    """``watch`` is told of every queue that is waited in within."""
    before = _watch.set(watch)
    try:
        yield
    finally:
        _watch.reset(before)


def watching() -> Watch | None:
    """Who counts here, for whoever learns of a queue from somewhere else."""
    return _watch.get()


@contextmanager
def queued(progress: Progress) -> Iterator[None]:
    """One's turn is waited for within."""
    watch = _watch.get()
    if watch is None:
        yield
        return
    watch.enter(progress)
    try:
        yield
    finally:
        watch.leave(progress)
