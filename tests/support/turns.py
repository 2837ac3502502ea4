"""A lane of one place that counts what runs on it, and can make a walk fail."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncGenerator, Callable, Iterable, Iterator
from typing import Any, TypeVar

from providers.base import EngineFailed
from providers.lane import Lane

T = TypeVar("T")


class Turns(Lane):
    def __init__(self, name: str) -> None:
        super().__init__(1, name)
        self.turns = 0
        """Jobs that were given to a thread."""
        self.most = 0
        """Jobs that ran at the same time, at most."""
        self.fail_next = False
        """The next walk raises ``EngineFailed``."""
        self._running = 0
        self._counting = threading.Lock()

    def iterate(
        self, make: Callable[[], Iterable[T]], *, exclusive: bool = False, batch: bool = False
    ) -> AsyncGenerator[T, None]:
        if self.fail_next:
            self.fail_next, make = False, _broken
        return super().iterate(make, exclusive=exclusive, batch=batch)

    def _begin(self, work: Callable[[], Any]) -> asyncio.Future[Any]:
        self.turns += 1
        return super()._begin(lambda: self._counted(work))

    def _counted(self, work: Callable[[], Any]) -> Any:
        with self._counting:
            self._running += 1
            self.most = max(self.most, self._running)
        try:
            return work()
        finally:
            with self._counting:
                self._running -= 1


def _broken() -> Iterator[Any]:
    raise EngineFailed("it broke on purpose")
    yield
