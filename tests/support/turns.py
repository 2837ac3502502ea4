"""A lane of one place that counts what runs on it, and can make a walk fail."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncGenerator, Callable, Generator, Iterable, Iterator
from functools import partial
from typing import Any, TypeVar

from providers.base import EngineFailed
from providers.lane import Lane

T = TypeVar("T")


class Turns(Lane):
    def __init__(self, name: str) -> None:
        # How long somebody waits for a place is the machine's to say.
        super().__init__(1, name, max_wait=None)
        self.turns = 0
        """Jobs that were given to a thread."""
        self.most = 0
        """Jobs that ran at the same time, at most."""
        self.segments = 0
        """Segments that are begun and not over, at most."""
        self.fail_next = False
        """In the next walk the engine has an error."""
        self._inside = self._begun = 0
        self._counting = threading.Lock()

    def iterate(
        self, make: Callable[[], Iterable[T]], *, exclusive: bool = False, batch: bool = False
    ) -> AsyncGenerator[T, None]:
        if self.fail_next:
            self.fail_next, make = False, partial(_breaks_off, make)
        return super().iterate(lambda: self._walked(make), exclusive=exclusive, batch=batch)

    def _walked(self, make: Callable[[], Iterable[T]]) -> Iterator[T]:
        self._begun += 1
        self.segments = max(self.segments, self._begun)
        try:
            yield from make()
        finally:
            self._begun -= 1

    def _begin(self, work: Callable[[], Any]) -> asyncio.Future[Any]:
        self.turns += 1
        return super()._begin(lambda: self._counted(work))

    def _counted(self, work: Callable[[], Any]) -> Any:
        with self._counting:
            self._inside += 1
            self.most = max(self.most, self._inside)
        try:
            return work()
        finally:
            with self._counting:
                self._inside -= 1


def _breaks_off(make: Callable[[], Iterable[T]]) -> Iterator[T]:
    """The engine's own work has an error after its first piece, with all that it holds."""
    pieces = iter(make())
    assert isinstance(pieces, Generator)
    yield next(pieces)
    pieces.throw(EngineFailed("it broke on purpose"))
