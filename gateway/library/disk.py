"""Voices in a folder, one file each (``folder``), for every gateway that has the folder."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TypeVar, TypeVarTuple

from gateway.library.folder import Folder
from gateway.library.store import Room, Snapshot, away
from gateway.library.voice import LibraryVoice

log = logging.getLogger(__name__)

PATIENCE = 5.0
"""Seconds in which a change has its turn, or is refused."""
_READERS = 2

T = TypeVar("T")
Arguments = TypeVarTuple("Arguments")


class DiskStore:
    """``folder`` is made where it is missing, and is its owner's alone."""

    shared = True

    def __init__(self, folder: Path) -> None:
        self._folder = Folder(folder)
        # Threads of its own: a disk that hangs holds up nothing else. Changes take turns anyway.
        self._reading = ThreadPoolExecutor(_READERS, thread_name_prefix="voices-read")
        self._writing = ThreadPoolExecutor(1, thread_name_prefix="voices-write")

    async def open(self) -> None:
        try:
            await self._in(self._writing, self._folder.open, _soon())
        except OSError as error:
            log.error("the folder of voices cannot be used: %s", error)
            raise

    async def close(self) -> None:
        # What is being written is written to its end.
        self._reading.shutdown(wait=False, cancel_futures=True)
        self._writing.shutdown(wait=False)

    async def snapshot(self, since: object = None) -> Snapshot | None:
        try:
            return await self._in(self._reading, self._folder.snapshot, since)
        except OSError as error:
            raise _failed("read", error) from error

    async def wait(self, seconds: float) -> None:
        await asyncio.sleep(seconds)

    async def add(self, voice: LibraryVoice, prompt: bytes, room: Room) -> None:
        try:
            await self._in(self._writing, self._folder.add, voice, prompt, room, _soon())
        except OSError as error:
            raise _failed("written", error) from error

    async def prompt(self, voice: LibraryVoice) -> bytes | None:
        try:
            return await self._in(self._reading, self._folder.prompt, voice)
        except OSError as error:
            raise _failed("read", error) from error

    async def remove(self, voice: LibraryVoice) -> bool:
        try:
            return await self._in(self._writing, self._folder.remove, voice, _soon())
        except OSError as error:
            raise _failed("removed", error) from error

    async def _in(self, threads: ThreadPoolExecutor, work: Callable[[*Arguments], T], *arguments: *Arguments) -> T:
        try:
            begun = threads.submit(work, *arguments)
        except RuntimeError:
            raise away() from None  # closed
        return await asyncio.wrap_future(begun)


def _soon() -> float:
    """Until when a change may wait for its turn, in seconds of ``time.monotonic``."""
    return time.monotonic() + PATIENCE


def _failed(what: str, error: OSError) -> Exception:
    log.error("a voice cannot be %s: %s", what, error)
    return away()
