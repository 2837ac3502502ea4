"""Room on the disk: blocks of one size in one file that has no name.

A file without a name is gone when its process is, however that ended, and one file for all needs one descriptor,
however many recordings there are. Blocks that were given back are used again, so the file is never larger than what
was in it at its fullest.
"""

from __future__ import annotations

import asyncio
import os
import tempfile
from collections.abc import Callable, Iterable
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

    async def write(self, data: bytes) -> int:
        """Keep a block of at most ``BLOCK`` bytes; its number. Raises ``OSError`` where the disk does not take it."""
        number = self._take()
        try:
            await asyncio.get_running_loop().run_in_executor(self._thread, self._write, number, data)
        except BaseException:
            self.free([number])
            raise
        return number

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

    def _write(self, number: int, data: bytes) -> None:
        if self._file is None:
            self._file = self._create()
        view = memoryview(data)
        position = number * BLOCK
        while view:
            written = os.pwrite(self._file.fileno(), view, position)
            position += written
            view = view[written:]

    def _read(self, number: int) -> bytes:
        assert self._file is not None
        return os.pread(self._file.fileno(), BLOCK, number * BLOCK)
