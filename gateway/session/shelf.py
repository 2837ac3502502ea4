"""Blocks of sound, in memory while there is room, and on the disk after that. The oldest are moved first.

To keep what is spoken must never hold up what is spoken, so blocks are moved by a task of its own. Until that has
come to one, the block is in memory; a disk that fails, or is too slow, costs recordings and not speech.
"""

from __future__ import annotations

import asyncio
import logging
from itertools import islice

from gateway.clock import Clock
from gateway.session.spool import BLOCK, Spool

log = logging.getLogger(__name__)

_RETRY = 30.0
"""Seconds until a disk that has failed is tried again."""
_AT_ONCE = 32
"""Blocks that are moved at a time."""
_LAG = 2
"""Times the room in memory that blocks may take while they wait for the disk."""


class Block:
    """A piece of sound that does not change any more."""

    __slots__ = ("data", "number", "size")

    def __init__(self, data: bytes) -> None:
        self.size = len(data)
        self.data: bytes | None = data
        """Where it is in memory."""
        self.number: int | None = None
        """Where it is on the disk."""


class Shelf:
    """``room``: bytes of memory for all blocks. Belongs to the event loop."""

    def __init__(self, room: int, clock: Clock, spool: Spool | None = None) -> None:
        self._room = room
        self._clock = clock
        self._spool = spool or Spool()
        self._resident: dict[Block, None] = {}
        self._moving: asyncio.Task[None] | None = None
        self._retry_at: float | None = None
        self.in_memory = 0
        """Bytes."""

    @property
    def on_disk(self) -> int:
        """Blocks."""
        return self._spool.used

    def fits(self, size: int) -> bool:
        """Whether memory can take ``size`` bytes more until the disk takes over."""
        most = _LAG * self._room if self._may_try() else self._room
        return self.in_memory + size <= most

    def put(self, data: bytes) -> Block:
        block = Block(data)
        self._resident[block] = None
        self.in_memory += block.size
        if self.in_memory > self._room and self._moving is None and self._may_try():
            self._moving = asyncio.create_task(self._move())
        return block

    async def read(self, block: Block) -> bytes:
        """Raises ``OSError`` where the disk does not give it back."""
        if block.data is not None:
            return block.data
        assert block.number is not None
        return (await self._spool.read(block.number))[: block.size]

    def drop(self, block: Block) -> None:
        """Give its place back. Nobody may read it any more."""
        if block in self._resident:
            del self._resident[block]
            self.in_memory -= block.size
        elif block.number is not None:
            self._spool.free([block.number])

    async def settled(self) -> None:
        """Wait until nothing is being moved."""
        if self._moving is not None:
            await asyncio.wait([self._moving])

    async def close(self) -> None:
        """Nothing that was kept can be read afterwards, and nothing of it is left on the disk."""
        if self._moving is not None:
            self._moving.cancel()
            await asyncio.wait([self._moving])
        await asyncio.to_thread(self._spool.close)

    def _may_try(self) -> bool:
        return self._retry_at is None or self._clock.now() >= self._retry_at

    async def _move(self) -> None:
        try:
            while self.in_memory > self._room:
                await self._move_oldest(self.in_memory - self._room)
            self._retry_at = None
        except OSError as error:
            self._retry_at = self._clock.now() + _RETRY
            log.warning("recordings cannot be written to the disk, fewer are kept: %s", error.strerror)
        finally:
            self._moving = None

    async def _move_oldest(self, size: int) -> None:
        """As many as have about ``size`` bytes: a hop to the thread and back can take longer than to write one."""
        blocks = list(islice(self._resident, min(-(-size // BLOCK), _AT_ONCE)))
        numbers = await self._spool.write([block.data for block in blocks if block.data is not None])
        for block, number in zip(blocks, numbers, strict=True):
            if block not in self._resident:
                # Dropped in the meantime.
                self._spool.free([number])
                continue
            block.number, block.data = number, None
            del self._resident[block]
            self.in_memory -= block.size
