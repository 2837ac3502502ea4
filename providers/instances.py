"""Models that can do one thing at a time, kept for whoever comes next.

Used from the threads of a lane, which has as many places as there may be models: who has a place finds one, or makes
it.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Generic, TypeVar

T = TypeVar("T")


class Instances(Generic[T]):
    """``make`` may take a minute; it is called by one thread at a time, and only where none is idle."""

    def __init__(self, make: Callable[[], T]) -> None:
        self._make = make
        self._idle: list[T] = []
        self._loading = threading.Lock()
        self.made = 0
        """How many there are, idle or not."""

    @contextmanager
    def take(self) -> Iterator[T]:
        """One of them, for its own use. Raises what ``make`` does."""
        instance = self._find()
        try:
            yield instance
        finally:
            self._idle.append(instance)

    def clear(self) -> None:
        """Forget them. Nobody uses one now."""
        self._idle.clear()
        self.made = 0

    def _find(self) -> T:
        try:
            # Atomic, as ``append`` is.
            return self._idle.pop()
        except IndexError:
            pass
        with self._loading:
            # Another may have become idle while this thread waited for one that was loading.
            if self._idle:
                return self._idle.pop()
            instance = self._make()
            self.made += 1
            return instance
