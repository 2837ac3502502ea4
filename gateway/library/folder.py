"""The folder of voices, from the blocking side: one file each, a line that says what it is, a line of JSON, the prompt.

A file is written under another name, synced, given its name, and the folder is synced: whatever ends the process,
and wherever, a voice is there as a whole or not at all, and there for good once ``add`` has returned. Several processes
may use one folder: they take turns by a lock on a file in it, and see within a poll what others have changed.
"""

from __future__ import annotations

import errno
import fcntl
import logging
import os
import stat
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO

from pydantic import ValidationError

from gateway.library.store import Room, Snapshot, check_room
from gateway.library.voice import MAX_RECORD, LibraryVoice

log = logging.getLogger(__name__)

_MAGIC = b"voxwire voice 1\n"
_ENDING = ".voice"
_UNFINISHED = ".unfinished"
_LOCK = "lock"
_HEAD = len(_MAGIC) + MAX_RECORD + 1
"""Bytes in which the two lines are."""
_STRANGE = (errno.EACCES, errno.EISDIR, errno.ELOOP, errno.ENXIO, errno.EPERM)
"""What is said where something is no file, or not ours to read."""
_AGAIN = 0.02
"""Seconds."""


class Folder:
    """All raises ``OSError``. ``until`` is when a change may begin at the latest, in seconds of ``time.monotonic``."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._mutex = threading.Lock()
        self._read: dict[str, LibraryVoice | None] = {}
        """What is known of each file, by its name; ``None`` of one that is no voice."""

    def open(self, until: float) -> None:
        """Make the folder, and remove what a process has left unfinished that was ended while it wrote."""
        missing = [path for path in (self._path, *self._path.parents) if not path.is_dir()]
        self._path.mkdir(mode=0o700, parents=True, exist_ok=True)
        for path in missing:
            _sync(path.parent)
        with self._alone(until):
            for file in self._path.glob(f"*{_UNFINISHED}"):
                # What cannot be removed was not written here, and is in nobody's way.
                with suppress(OSError):
                    file.unlink()

    def snapshot(self, since: object) -> Snapshot | None:
        names = self._names()
        return None if names == since else Snapshot(names, self._voices(names))

    def add(self, voice: LibraryVoice, prompt: bytes, room: Room, until: float) -> None:
        record = voice.model_dump_json().encode()
        with self._alone(until):
            check_room(voice, self._voices(self._names()), room)
            file = self._file(voice)
            unfinished = file.with_suffix(_UNFINISHED)
            try:
                _write(unfinished, _MAGIC + record + b"\n", prompt)
                unfinished.replace(file)
                _sync(self._path)
            except BaseException:
                # Also one that has its name: who is told that it failed asks again.
                for left in (unfinished, file):
                    with suppress(OSError):
                        left.unlink(missing_ok=True)
                raise

    def prompt(self, voice: LibraryVoice) -> bytes | None:
        try:
            with _opened(self._file(voice)) as file:
                head = file.read(_HEAD)
                start = head.find(b"\n", len(_MAGIC)) + 1
                file.seek(start)
                return file.read(voice.size + 1)
        except FileNotFoundError:
            return None

    def remove(self, voice: LibraryVoice, until: float) -> bool:
        with self._alone(until):
            try:
                self._file(voice).unlink()
            except FileNotFoundError:
                return False
            _sync(self._path)
            return True

    # ----

    @contextmanager
    def _alone(self, until: float) -> Iterator[None]:
        """No other thread or process writes meanwhile. Raises ``TimeoutError``, which is an ``OSError``: one that was
        stopped where it writes would keep all the others waiting."""
        lock = os.open(self._path / _LOCK, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
        try:
            while not _locked(lock):
                if time.monotonic() > until:
                    raise TimeoutError("another process does not leave the folder of voices")
                # There is no call that waits for a lock for so long and no longer.
                time.sleep(_AGAIN)
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
        with self._mutex:
            for gone in self._read.keys() - names:
                del self._read[gone]
            for name in names - self._read.keys():
                self._read[name] = self._voice(name)
            return [voice for voice in self._read.values() if voice is not None]

    def _voice(self, name: str) -> LibraryVoice | None:
        path = self._path / name
        try:
            with _opened(path) as file:
                head = file.read(_HEAD)
                size = os.fstat(file.fileno()).st_size
        except FileNotFoundError:
            return None
        except OSError as error:
            # Whatever else goes wrong may go well the next time.
            if error.errno not in _STRANGE:
                raise
            head, size = b"", 0
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


def _opened(path: Path) -> BinaryIO:
    """To read. Raises ``OSError``, at once, also where it is something else than a file."""
    descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise OSError(errno.ENXIO, "not a file", str(path))
    return os.fdopen(descriptor, "rb")


def _locked(lock: int) -> bool:
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


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
