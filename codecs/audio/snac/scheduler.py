"""Which of the windows that are ready are decoded together, and which first. Pure: it knows no backend and no clock.

Earliest deadline first. A deadline is a point in time and does not move while its window waits, so whoever waits
becomes the most urgent sooner or later, and nobody starves. Beside the most urgent window go those of the same shape,
in the same order: equal shapes alone give every stream the samples that it would get alone.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable
from dataclasses import dataclass
from itertools import count
from typing import Generic, TypeVar

from audio.snac.window import Shape, Window

K = TypeVar("K", bound=Hashable)


@dataclass(frozen=True, slots=True)
class _Entry(Generic[K]):
    key: K
    window: Window
    deadline: float
    order: int

    def urgency(self) -> tuple[float, int]:
        return self.deadline, self.order


class Scheduler(Generic[K]):
    """Holds one window at most for each stream, so it is as bounded as the streams are. ``max_batch``: how many
    windows of a shape are decoded together at most."""

    def __init__(self, max_batch: Callable[[Shape], int]) -> None:
        self._max_batch = max_batch
        self._entries: dict[K, _Entry[K]] = {}
        self._orders = count()

    def __len__(self) -> int:
        return len(self._entries)

    def put(self, key: K, window: Window, deadline: float) -> None:
        """A stream's window is ready. In the place of one that it had: that keeps its rank among equals."""
        old = self._entries.get(key)
        order = next(self._orders) if old is None else old.order
        self._entries[key] = _Entry(key, window, deadline, order)

    def drop(self, key: K) -> None:
        """Forget a stream's window, if there is one."""
        self._entries.pop(key, None)

    def take(self) -> list[tuple[K, Window]]:
        """The next batch, the most urgent first; empty where nothing is ready. All of it is of one shape."""
        if not self._entries:
            return []
        shape = min(self._entries.values(), key=_Entry.urgency).window.shape
        alike = sorted((e for e in self._entries.values() if e.window.shape == shape), key=_Entry.urgency)
        batch = alike[: self._max_batch(shape)]
        for entry in batch:
            del self._entries[entry.key]
        return [(entry.key, entry.window) for entry in batch]
