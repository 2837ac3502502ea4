"""Who is next of all who wait: those whom somebody listens to before batch work, each of the two a fair queue.

Batch work gets every place that the others leave, and one in ``BATCH_SHARE`` where they leave none: it costs those who
are listened to six per cent at most, and batch work is never left out for good. `providers/lane.py` hands on the
workers of an engine by the same rule, and ``leases.lua`` has it over Redis' keys.

Nothing here knows of time, places or tasks.
"""

from __future__ import annotations

from collections.abc import Hashable
from typing import Generic, TypeVar

from gateway.admission.fair_queue import FairQueue

T = TypeVar("T", bound=Hashable)

BATCH_SHARE = 16
"""Of so many places that are handed on while both wait, one goes to batch work."""


class Lines(Generic[T]):
    """Items that wait, each for a tenant, in one line or the other. An item is in it once."""

    def __init__(self) -> None:
        self._listened: FairQueue[T] = FairQueue()
        self._batch: FairQueue[T] = FairQueue()
        self._passed_over = 0
        """How often the batch work that waits was left out, one time after the other; 0 where none waits."""

    def __len__(self) -> int:
        return len(self._listened) + len(self._batch)

    @property
    def batch(self) -> int:
        """How many of them are batch work."""
        return len(self._batch)

    def push(self, item: T, tenant: str = "", weight: float = 1.0, *, batch: bool = False) -> None:
        """Add an item behind those of its tenant and line. ``weight`` (above 0) is the tenant's in it from now on."""
        self._line(batch).push(item, tenant, weight)

    def first(self) -> tuple[T, str, bool]:
        """The next item, its tenant and whether it is batch work. Raises ``IndexError`` where nobody waits."""
        batch = bool(self._batch) and (not self._listened or self._passed_over >= BATCH_SHARE - 1)
        return *self._line(batch).first(), batch

    def pop(self) -> T:
        """Take the next item. Raises ``IndexError`` where nobody waits."""
        _, _, batch = self.first()
        self._passed_over = self._passed_over + 1 if self._batch and not batch else 0
        return self._line(batch).pop()

    def remove(self, item: T, tenant: str = "", *, batch: bool = False) -> bool:
        """Take an item that has given up; it counts as if it had never come. False where it was not in its line."""
        found = self._line(batch).remove(item, tenant)
        if not self._batch:
            self._passed_over = 0
        return found

    def position(self, item: T, tenant: str = "", *, batch: bool = False) -> int:
        """How many are taken until it is this item's turn, itself among them, if nobody comes or goes. That of batch
        work grows with everybody who comes to be listened to."""
        own = self._line(batch).position(item, tenant)
        # So many are listened to before the first of the batch line has its share, and before each further one.
        soon, then = BATCH_SHARE - 1 - self._passed_over, BATCH_SHARE - 1
        if batch:
            return own + min(len(self._listened), soon + (own - 1) * then)
        return own + (0 if own <= soon else min(len(self._batch), 1 + (own - soon - 1) // then))

    def _line(self, batch: bool) -> FairQueue[T]:
        return self._batch if batch else self._listened
