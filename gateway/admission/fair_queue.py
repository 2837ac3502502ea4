"""Who is next: first come, first served within a tenant, and tenants in proportion to their weights.

Start-time fair queueing (Goyal, Vin and Cheng, SIGCOMM 1996) over places, each of which costs one. While two tenants
wait without a break, what they were given, each divided by its weight, differs by no more than ``1/w + 1/v``, however
much more one of them asks for. ``leases.lua`` is the same rule over Redis' keys, and one suite holds the two together.

Nothing here knows of time, places or tasks.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Hashable
from dataclasses import dataclass, field
from typing import Generic, TypeVar

T = TypeVar("T", bound=Hashable)


@dataclass(slots=True)
class _Line(Generic[T]):
    """The items of one tenant. The item at index ``i`` starts at the virtual time ``base + (given + i) / weight``."""

    base: float
    weight: float
    order: int
    """Which of two lines goes first where both start at the same time."""
    given: int = 0
    items: OrderedDict[T, None] = field(default_factory=OrderedDict)

    def start(self, index: int = 0) -> tuple[float, int]:
        return self.base + (self.given + index) / self.weight, self.order

    def ahead_of(self, start: tuple[float, int]) -> int:
        """How many of its items come before ``start``."""
        length = len(self.items)
        count = min(max(int((start[0] - self.base) * self.weight) - self.given, 0), length)
        # The estimate is off by one at most; the comparison that decides is the one that `first` makes.
        while count < length and self.start(count) < start:
            count += 1
        while count > 0 and self.start(count - 1) >= start:
            count -= 1
        return count


class FairQueue(Generic[T]):
    """Items that wait, each for a tenant. An item is in it once."""

    def __init__(self) -> None:
        self._lines: dict[str, _Line[T]] = {}
        self._left: dict[str, float] = {}
        """Of tenants of whom nobody waits any more: when their next item may start. Forgotten with the last item."""
        self._now = 0.0
        """Virtual time: when the item that was taken last has started."""
        self._orders = 0
        self._length = 0

    def __len__(self) -> int:
        return self._length

    def push(self, item: T, tenant: str = "", weight: float = 1.0) -> None:
        """Add an item behind its tenant's others. ``weight`` (above 0) is the tenant's from now on."""
        line = self._lines.get(tenant)
        if line is None:
            self._orders += 1
            base = max(self._now, self._left.pop(tenant, 0.0))
            line = self._lines[tenant] = _Line(base, weight, self._orders)
        elif line.weight != weight:
            line.base, line.given, line.weight = line.start()[0], 0, weight
        line.items[item] = None
        self._length += 1

    def first(self) -> tuple[T, str]:
        """The next item and its tenant. Raises ``IndexError`` where nobody waits."""
        if not self._lines:
            raise IndexError("nobody waits")
        if len(self._lines) == 1:
            tenant = next(iter(self._lines))
        else:
            tenant = min(self._lines, key=lambda name: self._lines[name].start())
        return next(iter(self._lines[tenant].items)), tenant

    def pop(self) -> T:
        """Take the next item. Raises ``IndexError`` where nobody waits."""
        item, tenant = self.first()
        line = self._lines[tenant]
        self._now = line.start()[0]
        line.given += 1
        self._drop(item, tenant)
        return item

    def remove(self, item: T, tenant: str = "") -> bool:
        """Take an item that has given up; it counts as if it had never come. False where it was not in the queue."""
        line = self._lines.get(tenant)
        if line is None or item not in line.items:
            return False
        self._drop(item, tenant)
        return True

    def position(self, item: T, tenant: str = "") -> int:
        """How many are taken until it is this item's turn, itself among them, if nobody comes or goes."""
        line = self._lines[tenant]
        newest = next(reversed(line.items))
        index = len(line.items) - 1 if item == newest else list(line.items).index(item)
        start = line.start(index)
        return 1 + index + sum(other.ahead_of(start) for other in self._lines.values() if other is not line)

    def _drop(self, item: T, tenant: str) -> None:
        line = self._lines[tenant]
        del line.items[item]
        self._length -= 1
        if not line.items:
            del self._lines[tenant]
            self._left[tenant] = line.start()[0]
        if not self._lines:
            self._left.clear()
            self._now, self._orders = 0.0, 0
