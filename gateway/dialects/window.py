"""How much sound a listener has been sent and has not read. Pure."""

from __future__ import annotations

import math

from gateway.events import Pace

MARK_EVERY_S = 0.5
MARK_EVERY_BYTES = 49_152


class Window:
    """The unread part of one context, known from marks that the listener answers as it reads.

    At pace ``realtime`` it is bounded in seconds, at ``burst`` in bytes. Where marks are never answered because
    the server knows none, ``marked`` is never called and the window never fills.
    """

    __slots__ = ("_limit", "_marks", "_next", "_read", "_realtime", "_sent", "_step")

    def __init__(self, pace: Pace, limit_s: float, limit_bytes: int) -> None:
        self._realtime = pace is Pace.REALTIME
        self._limit = limit_s if self._realtime else float(limit_bytes)
        usual = MARK_EVERY_S if self._realtime else float(MARK_EVERY_BYTES)
        # A whole part of the limit, at most half: the window then fills where a mark is due, and is looked at there.
        self._step = self._limit / max(2, math.ceil(self._limit / usual))
        self._next = self._step
        self._sent = 0.0
        self._read = 0.0
        self._marks: list[tuple[int, float]] = []

    def sent(self, seconds: float, size: int) -> bool:
        """Count a frame. True when a mark is due behind it, which is also when the window may have become full."""
        self._sent += seconds if self._realtime else size
        return self._sent >= self._next

    def marked(self, number: int) -> None:
        """A mark was sent behind everything counted so far."""
        self._marks.append((number, self._sent))
        self._next = self._sent + self._step

    def full(self, read: int) -> bool:
        """Whether the limit is reached, given the newest mark that the listener has read."""
        while self._marks and self._marks[0][0] <= read:
            self._read = self._marks.pop(0)[1]
        # Without an open mark no answer can come: nothing to wait for.
        return bool(self._marks) and self._sent - self._read >= self._limit
