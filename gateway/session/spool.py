"""Room on the disk: blocks of one size in one file that has no name.

A file without a name is gone when its process is, however that ended, and one file for all needs one descriptor,
however many recordings there are. Blocks that were given back are used again, so the file is never larger than what
was in it at its fullest.
"""

from __future__ import annotations

import asyncio
import os
import tempfile
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import IO

BLOCK = 65_536


class Spool:
    """Reads and writes happen on a thread of its own, one after the other; the rest belongs to the event loop."""

    def __init__(self, create: Callable[[], IO[bytes]] = tempfile.TemporaryFile) -> None:
        self._create = create
        self._file: IO[bytes] | None = None
        self._thread = ThreadPoolExecutor(1, "spool")
        self._free: list[int] = []
        self._blocks = 0
        """In the file, free ones too."""

    @property
    def used(self) -> int:
        """Blocks that hold something."""
        return self._blocks - len(self._free)

    async def write(self, blocks: Sequence[bytes]) -> list[int]:
        """Keep blocks of at most ``BLOCK`` bytes; their numbers. Raises ``OSError`` where the disk does not take them
        all; then none is kept."""
        numbers = sorted(self._take() for _ in blocks)
        try:
            await asyncio.get_running_loop().run_in_executor(self._thread, self._write, numbers, blocks)
        except BaseException:
            self.free(numbers)
            raise
        return numbers

    async def read(self, number: int) -> bytes:
        """A block, with whatever is behind its end. Raises ``OSError``."""
        return await asyncio.get_running_loop().run_in_executor(self._thread, self._read, number)

    def free(self, numbers: Iterable[int]) -> None:
        """Give blocks back. Nobody may read them any more."""
        self._free.extend(numbers)

    def close(self) -> None:
        """Do what was asked for, and let go of the file. Blocks."""
        self._thread.shutdown(wait=True)
        if self._file is not None:
            self._file.close()

    def _take(self) -> int:
        if self._free:
            return self._free.pop()
        self._blocks += 1
        return self._blocks - 1

    def _write(self, numbers: Sequence[int], blocks: Sequence[bytes]) -> None:
        if self._file is None:
            self._file = self._create()
        # Neighbours with one call: each one gives up the interpreter's lock, which the loop may keep for 5 ms.
        at = 0
        while at < len(numbers):
            end = at + 1
            while end < len(numbers) and numbers[end] == numbers[end - 1] + 1:
                end += 1
            _write_at(self._file.fileno(), numbers[at] * BLOCK, blocks[at:end])
            at = end

    def _read(self, number: int) -> bytes:
        assert self._file is not None
        return os.pread(self._file.fileno(), BLOCK, number * BLOCK)


def _write_at(descriptor: int, position: int, blocks: Sequence[bytes]) -> None:
    """All of them, each filled up to ``BLOCK``."""
    pieces: list[bytes | memoryview] = []
    for block in blocks:
        pieces += [block, bytes(BLOCK - len(block))] if len(block) < BLOCK else [block]
    while pieces:
        written = os.pwritev(descriptor, pieces, position)
        position += written
        while pieces and written >= len(pieces[0]):
            written -= len(pieces.pop(0))
        if written:
            pieces[0] = memoryview(pieces[0])[written:]
