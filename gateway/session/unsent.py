"""What batches have made and not sent: its bytes, counted over all requests of a gateway."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager

HELD = 32
"""Outcomes of one request that are being made, or made and not sent."""
HELD_BYTES = 64 * 1024 * 1024
"""Of sound of one request that is made and not sent."""


class Unsent:
    """At most ``most`` bytes of all requests together, and what was being made by then."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._shares: set[Share] = set()
        self.bytes = 0

    @property
    def full(self) -> bool:
        return self.bytes >= self._most

    @contextmanager
    def share(self) -> Iterator[Share]:
        """One request's. Whatever it holds at its end is given back."""
        share = Share(self)
        self._shares.add(share)
        try:
            yield share
        finally:
            self._shares.remove(share)
            self.add(-share.bytes)

    def add(self, size: int) -> None:
        was_full = self.full
        self.bytes += size
        if was_full and not self.full:
            for share in self._shares:
                share.changed.set()


class Share:
    """One request's outcomes, from their begin until they are sent."""

    def __init__(self, unsent: Unsent) -> None:
        self._unsent = unsent
        self._held = 0
        self.bytes = 0
        self.changed = asyncio.Event()
        """Another outcome may have room."""

    @property
    def _room(self) -> bool:
        """Who holds nothing may always make one: a batch goes on, however much the others hold."""
        if not self._held:
            return True
        return self._held < HELD and self.bytes < HELD_BYTES and not self._unsent.full

    async def begin(self) -> None:
        """Waits for room for one more outcome."""
        while not self._room:
            self.changed.clear()
            await self.changed.wait()
        self._held += 1

    def made(self, size: int) -> None:
        self.bytes += size
        self._unsent.add(size)

    def sent(self, size: int) -> None:
        self._held -= 1
        self.bytes -= size
        self._unsent.add(-size)
        self.changed.set()
