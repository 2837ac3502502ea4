"""A library without a network, in a gateway without one."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from gateway.admission.auth import caller
from gateway.library import Library, LibraryVoice, Wish
from gateway.library.store import Snapshot
from gateway.runtime import Gateway


@contextmanager
def calling(tenant: str) -> Iterator[None]:
    """As whoever this is."""
    before = caller.set(tenant)
    try:
        yield
    finally:
        caller.reset(before)


async def design(made: Gateway, name: str = "Anna", owner: str = "", **wish: str) -> LibraryVoice:
    return await made.library.create_from_description(owner, Wish(name=name, **wish), f"like {name}")


class Watched:
    """A library whose looks at its store a test can wait for."""

    def __init__(self, library: Library) -> None:
        self._library = library
        self._took = asyncio.Event()
        self._take = library._take
        library._take = self._taken  # type: ignore[method-assign]

    def _taken(self, snapshot: Snapshot) -> None:
        self._take(snapshot)
        self._took.set()

    async def until(self, condition: Callable[[Library], object], within: float = 60.0) -> None:
        async with asyncio.timeout(within):
            while not condition(self._library):
                self._took.clear()
                await self._took.wait()
