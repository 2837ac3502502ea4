"""Frames on their way from the thread on which a model says them to the one that makes them sound."""

from __future__ import annotations

import threading
from collections import deque
from typing import Any

AHEAD = 64
"""Frames that wait at most: five seconds. Then the model waits."""


class Stopped(Exception):
    """Nobody wants them any more. Raised where the model would go on."""


class Frames:
    """``put`` and ``end`` are called on the model's thread, ``take`` on another, ``stop`` on any."""

    def __init__(self, ahead: int = AHEAD) -> None:
        self._ahead = ahead
        self._waiting: deque[Any] = deque()
        self._changed = threading.Condition()
        self._ended = False
        self._stopped = False
        self._error: BaseException | None = None

    def put(self, frame: Any) -> None:
        """Waits while too many are there. Raises ``Stopped``."""
        with self._changed:
            self._changed.wait_for(lambda: self._stopped or len(self._waiting) < self._ahead)
            if self._stopped:
                raise Stopped
            self._waiting.append(frame)
            self._changed.notify_all()

    def end(self, error: BaseException | None = None) -> None:
        """There are no more; ``error`` is why, if it is not that all was said."""
        with self._changed:
            self._ended, self._error = True, error
            self._changed.notify_all()

    def take(self, count: int) -> list[Any]:
        """The next ``count``, fewer only where no more come. Raises what ended them."""
        taken: list[Any] = []
        with self._changed:
            while len(taken) < count:
                self._changed.wait_for(lambda: self._stopped or self._ended or self._waiting)
                if self._stopped:
                    return []
                if not self._waiting:
                    break
                taken.append(self._waiting.popleft())
                self._changed.notify_all()
            if self._error is not None and not taken:
                raise self._error
        return taken

    def stop(self) -> None:
        """Nobody takes any more: whoever waits here is let go at once."""
        with self._changed:
            self._stopped = True
            self._waiting.clear()
            self._changed.notify_all()
