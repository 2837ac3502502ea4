"""Waiting for one's turn where the engine keeps its queue in another process: no stall of the engine here either.

The other process says at each sign of life who waits, and for how long nobody ahead of him has got on; and at once when
his turn has come. A wait that is over before that is not told of: it is too short to matter.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from providers.waiting import Progress, Watch, watching

PULSE = 1.0
"""Seconds between two signs of life."""


class Turn:
    """The other process's side: the ``Watch`` of one call. ``came`` is called when a wait that was told of is over."""

    def __init__(self, came: Callable[[], None]) -> None:
        self._came = came
        self._queues: list[Progress] = []
        self._told = False

    def enter(self, progress: Progress) -> None:
        self._queues.append(progress)

    def leave(self, progress: Progress) -> None:
        self._queues.remove(progress)
        if self._told and not self._queues:
            self._told = False
            self._came()

    def tell(self) -> float | None:
        """For how many seconds those who are ahead have not got on; ``None`` where nobody is."""
        self._told = bool(self._queues)
        if not self._queues:
            return None
        return max(0.0, asyncio.get_running_loop().time() - max(progress() for progress in self._queues))


class Wait:
    """The gateway's side: one answer that is waited for, by whoever makes this. He is told of the queue."""

    __slots__ = ("_loop", "_moved", "_watch")

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._watch: Watch | None = watching()
        self._moved: float | None = None

    def queued(self, still: float) -> None:
        """The turn has not come; nobody ahead has got on for so many seconds."""
        waited, self._moved = self._moved is not None, self._loop.time() - still
        if self._watch is not None and not waited:
            self._watch.enter(self._progress)

    def over(self) -> None:
        """The turn has come, or nobody waits for it."""
        if self._watch is not None and self._moved is not None:
            self._watch.leave(self._progress)
        self._moved = None

    def _progress(self) -> float:
        """They may have got on since that was said, until more is."""
        return self._loop.time() if self._moved is None else min(self._loop.time(), self._moved + PULSE)
