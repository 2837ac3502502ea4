"""A lane in virtual time."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

from providers.lane import Lane


class Simulated(Lane):
    """Its threads are the loop's: a job takes some of the loop's time, and does its work at the end of it."""

    def __init__(self, width: int, takes: Callable[[], float], **settings: Any) -> None:
        super().__init__(width, "simulated", **settings)
        self._takes = takes
        self.at_once = self.jobs = 0

    def _begin(self, work: Callable[[], Any]) -> asyncio.Future[Any]:
        loop = asyncio.get_running_loop()
        job = loop.create_future()
        self.at_once += 1
        self.jobs += 1
        self.check()

        def end() -> None:
            self.at_once -= 1
            try:
                job.set_result(work())
            except Exception as error:  # noqa: BLE001 - as a thread pool does
                job.set_exception(error)

        loop.call_later(self._takes(), end)
        return job

    def check(self) -> None:
        assert self.at_once <= self.busy <= self.width
        living = [waiter for line in self._waiters for waiter in line if not waiter.done()]
        assert self.busy == self.width or not living, "a place is free, and somebody waits"
