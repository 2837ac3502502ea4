"""The one door to time. Whoever needs to know it or to wait takes a :class:`Clock`, so that tests own it.

Everything asynchronous waits through the event loop; a test that runs a loop with virtual time passes
``Clock(now=loop.time)`` and a thirty-second conversation takes microseconds.
"""

from __future__ import annotations

import time
from collections.abc import Callable


class Clock:
    """``now()`` in monotonic seconds (the event loop's own scale), ``wall()`` in seconds since 1970."""

    __slots__ = ("now", "wall")

    def __init__(self, now: Callable[[], float] = time.monotonic, wall: Callable[[], float] = time.time) -> None:
        # Attributes, not methods: `clock.now()` then costs one C call. It is made for every audio frame.
        self.now = now
        self.wall = wall
