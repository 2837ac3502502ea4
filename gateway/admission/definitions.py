"""Semaphores that are made while the gateway runs: what they are called, how many places they have."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol


@dataclass(frozen=True, slots=True)
class Definition:
    """One of them, as whoever has made it has said."""

    name: str
    places: int
    description: str = ""


class Definitions(Protocol):
    """Where they are kept: in this process, or in Redis for all. May raise ``Overloaded``, where Redis is away."""

    async def put(self, definition: Definition) -> None:
        """Keep it; in place of one of the same name, where there is one."""

    async def find(self, name: str) -> Definition | None: ...

    async def all(self) -> Sequence[Definition]:
        """By their names' order."""
        ...

    async def remove(self, name: str) -> bool:
        """False where there was none of that name."""
        ...


class LocalDefinitions:
    """Those of this process."""

    def __init__(self) -> None:
        self._kept: dict[str, Definition] = {}

    async def put(self, definition: Definition) -> None:
        self._kept[definition.name] = definition

    async def find(self, name: str) -> Definition | None:
        return self._kept.get(name)

    async def all(self) -> Sequence[Definition]:
        return [self._kept[name] for name in sorted(self._kept)]

    async def remove(self, name: str) -> bool:
        return self._kept.pop(name, None) is not None
