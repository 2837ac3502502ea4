"""Voices in a folder, one file each: a line that says what it is, a line of JSON, and the prompt.

A file is written under another name, synced, given its name, and the folder is synced: whatever ends the process,
and wherever, a voice is there as a whole or not at all, and there for good once ``add`` has returned. Several processes
may use one folder: they take turns by a lock on a file in it, and see within a poll what others have changed.
"""

from __future__ import annotations

import asyncio
import fcntl
import logging
import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from pydantic import ValidationError

from gateway.library.store import Room, Snapshot, away, check_room
from gateway.library.voice import MAX_RECORD, LibraryVoice

log = logging.getLogger(__name__)

_MAGIC = b"voxwire voice 1\n"
_ENDING = ".voice"
_UNFINISHED = ".unfinished"
_LOCK = "lock"
_HEAD = len(_MAGIC) + MAX_RECORD + 1
"""Bytes in which the two lines are."""


class DiskStore:
    """``folder`` is made where it is missing, and is its owner's alone."""

    shared = True

    def __init__(self, folder: Path) -> None:
        self._folder = _Folder(folder)

    async def open(self) -> None:
        try:
            await asyncio.to_thread(self._folder.open)
        except OSError as error:
            log.error("the folder of voices cannot be used: %s", error)
            raise

    async def close(self) -> None: ...

    async def snapshot(self, since: object = None) -> Snapshot | None:
        try:
            return await asyncio.to_thread(self._folder.snapshot, since)
        except OSError as error:
            raise _failed("read", error) from error

    async def wait(self, seconds: float) -> None:
        await asyncio.sleep(seconds)

    async def add(self, voice: LibraryVoice, prompt: bytes, room: Room) -> None:
        try:
            await asyncio.to_thread(self._folder.add, voice, prompt, room)
        except OSError as error:
            raise _failed("written", error) from error

    async def prompt(self, voice: LibraryVoice) -> bytes | None:
        try:
            return await asyncio.to_thread(self._folder.prompt, voice)
        except OSError as error:
            raise _failed("read", error) from error

    async def remove(self, voice: LibraryVoice) -> bool:
        try:
            return await asyncio.to_thread(self._folder.remove, voice)
        except OSError as error:
            raise _failed("removed", error) from error


def _failed(what: str, error: OSError) -> Exception:
    log.error("a voice cannot be %s: %s", what, error)
    return away()


class _Folder:
    """The blocking side, called on threads."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._mutex = threading.Lock()
        self._read: dict[str, LibraryVoice | None] = {}
        """What is known of each file, by its name; ``None`` of one that is no voice."""

    def open(self) -> None:
        """Make the folder, and remove what a process has left unfinished that was ended while it wrote."""
        if not self._path.is_dir():
            self._path.mkdir(mode=0o700, parents=True, exist_ok=True)
            _sync(self._path.parent)
        with self._alone():
            for file in self._path.glob(f"*{_UNFINISHED}"):
                file.unlink(missing_ok=True)

    def snapshot(self, since: object) -> Snapshot | None:
        with self._mutex:
            names = self._names()
            return None if names == since else Snapshot(names, self._voices(names))

    def add(self, voice: LibraryVoice, prompt: bytes, room: Room) -> None:
        record = voice.model_dump_json().encode()
        with self._alone():
            check_room(voice, self._voices(self._names()), room)
            file = self._file(voice)
            unfinished = file.with_suffix(_UNFINISHED)
            try:
                _write(unfinished, _MAGIC + record + b"\n", prompt)
                unfinished.replace(file)
            except BaseException:
                with suppress(OSError):
                    unfinished.unlink(missing_ok=True)
                raise
            _sync(self._path)

    def prompt(self, voice: LibraryVoice) -> bytes | None:
        try:
            with self._file(voice).open("rb") as file:
                head = file.read(_HEAD)
                start = head.find(b"\n", len(_MAGIC)) + 1
                file.seek(start)
                return file.read(voice.size + 1)
        except FileNotFoundError:
            return None

    def remove(self, voice: LibraryVoice) -> bool:
        with self._alone():
            try:
                self._file(voice).unlink()
            except FileNotFoundError:
                return False
            _sync(self._path)
            return True

    # ----

    @contextmanager
    def _alone(self) -> Iterator[None]:
        """No other thread or process writes meanwhile."""
        with self._mutex:
            lock = os.open(self._path / _LOCK, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
            try:
                fcntl.flock(lock, fcntl.LOCK_EX)
                yield
            finally:
                os.close(lock)

    def _file(self, voice: LibraryVoice) -> Path:
        return self._path / f"{voice.token}{_ENDING}"

    def _names(self) -> frozenset[str]:
        """A file of one name never changes, so that these say whether anything has."""
        with os.scandir(self._path) as entries:
            return frozenset(entry.name for entry in entries if entry.name.endswith(_ENDING))

    def _voices(self, names: frozenset[str]) -> list[LibraryVoice]:
        """Those of the files that are voices. Each is read once."""
        for gone in self._read.keys() - names:
            del self._read[gone]
        for name in names - self._read.keys():
            self._read[name] = self._voice(name)
        return [voice for voice in self._read.values() if voice is not None]

    def _voice(self, name: str) -> LibraryVoice | None:
        path = self._path / name
        try:
            with path.open("rb") as file:
                head = file.read(_HEAD)
                size = os.fstat(file.fileno()).st_size
        except FileNotFoundError:
            return None
        end = head.find(b"\n", len(_MAGIC))
        try:
            voice = LibraryVoice.model_validate_json(head[len(_MAGIC) : max(end, 0)])
        except ValidationError:
            voice = None
        whole = voice is not None and head.startswith(_MAGIC) and size == end + 1 + voice.size
        if voice is None or not whole or name != self._file(voice).name:
            log.error("a file in the folder of voices is none, and is left alone: %s", name)
            return None
        return voice


def _write(path: Path, *parts: bytes) -> None:
    """A new file, on the disk when this returns."""
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        for part in parts:
            file.write(part)
        file.flush()
        os.fsync(file.fileno())


def _sync(folder: Path) -> None:
    """Have the names in it on the disk."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
