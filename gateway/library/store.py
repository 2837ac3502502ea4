"""Where voices are kept, behind one protocol: in memory (``MemoryStore``), on the disk (``disk``), in Redis
(``redis_store``). One suite of tests runs over all three."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from gateway.errors import LibraryFull, Overloaded, VoiceExists
from gateway.library.voice import LibraryVoice

RETRY = 2.0
"""Seconds after which whoever finds the store away may come again."""
AWAY = "the voice library cannot be asked now; try again later"


@dataclass(frozen=True, slots=True)
class Room:
    """What a store takes."""

    voices: int
    """Of one owner."""
    total: int
    """Bytes of all prompts, whoever owns them."""


@dataclass(frozen=True, slots=True)
class Snapshot:
    """Every voice that was kept at one moment; ``version`` names the moment."""

    version: object
    voices: Sequence[LibraryVoice]


class Store(Protocol):
    """What is added is kept for good once ``add`` returns, or wholly not there. All but ``open`` may raise
    ``Overloaded``, where the store cannot be reached."""

    shared: bool
    """Others may add and remove voices too."""

    async def open(self) -> None:
        """Raises ``OSError`` where it cannot be used at all."""

    async def close(self) -> None:
        """Callable at any time, and twice."""

    async def snapshot(self, since: object = None) -> Snapshot | None:
        """Everything that is kept; ``None`` where that is what it was at the version ``since``."""

    async def wait(self, seconds: float) -> None:
        """Returns when something may have changed, and after ``seconds`` at the latest."""

    async def add(self, voice: LibraryVoice, prompt: bytes, room: Room) -> None:
        """Keep it. Raises ``VoiceExists``, where its owner has one of that id, and ``LibraryFull``."""

    async def prompt(self, voice: LibraryVoice) -> bytes | None:
        """Its prompt; ``None`` where it is removed. It is not checked. At most ``voice.size`` bytes and one."""

    async def remove(self, voice: LibraryVoice) -> bool:
        """False where it was removed before."""
        ...


def check_room(voice: LibraryVoice, kept: Sequence[LibraryVoice], room: Room) -> None:
    """Raises ``VoiceExists`` or ``LibraryFull``, where it cannot be added to what is kept."""
    own = [other for other in kept if other.owner == voice.owner]
    if any(other.id == voice.id for other in own):
        raise exists()
    if len(own) >= room.voices:
        raise too_many(room)
    if sum(other.size for other in kept) + voice.size > room.total:
        raise too_much()


def exists() -> VoiceExists:
    return VoiceExists("there is a voice of this id already: remove it first, or choose another 'id'")


def too_many(room: Room) -> LibraryFull:
    return LibraryFull(f"the library keeps {room.voices} voices for one key: remove one first")


def too_much() -> LibraryFull:
    return LibraryFull("the library has no room for another voice: remove one first")


def away() -> Overloaded:
    return Overloaded(AWAY, retry_after=RETRY)


class MemoryStore:
    """Those of this process, as long as it lives."""

    shared = False

    def __init__(self) -> None:
        self._kept: dict[str, tuple[LibraryVoice, bytes]] = {}
        self._version = 0

    async def open(self) -> None: ...

    async def close(self) -> None: ...

    async def snapshot(self, since: object = None) -> Snapshot | None:
        return None if since == self._version else Snapshot(self._version, self._voices())

    async def wait(self, seconds: float) -> None:
        await asyncio.sleep(seconds)

    async def add(self, voice: LibraryVoice, prompt: bytes, room: Room) -> None:
        check_room(voice, self._voices(), room)
        self._kept[voice.token] = voice, prompt
        self._version += 1

    async def prompt(self, voice: LibraryVoice) -> bytes | None:
        found = self._kept.get(voice.token)
        return None if found is None else found[1]

    async def remove(self, voice: LibraryVoice) -> bool:
        self._version += 1
        return self._kept.pop(voice.token, None) is not None

    def _voices(self) -> list[LibraryVoice]:
        return [voice for voice, _ in self._kept.values()]
