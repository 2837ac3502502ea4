"""An event loop whose time is the test's: a wait of thirty seconds takes none, and always the same course.

Time moves only when nothing else can happen: no callback is ready, no thread works, no socket has something.
"""

from __future__ import annotations

import asyncio
import functools
import selectors
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any, ParamSpec

P = ParamSpec("P")


class _Selector(selectors.DefaultSelector):  # type: ignore[misc, valid-type]
    """Never waits for time to pass: it moves the loop's time instead."""

    loop: VirtualTimeLoop

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        if timeout is None or timeout <= 0:
            # Without a timer only a thread or a socket can go on; that wait is a real one.
            return super().select(timeout)
        if self.loop.threads:
            return super().select(None)
        ready = super().select(0)
        if not ready:
            self.loop.now += timeout
        return ready


class VirtualTimeLoop(asyncio.SelectorEventLoop):
    """Starts at 1000 seconds, so that a time of zero is never a plausible one."""

    def __init__(self) -> None:
        selector = _Selector()
        selector.loop = self
        self.now = 1000.0
        self.threads = 0
        super().__init__(selector)

    def time(self) -> float:
        return self.now

    def run_in_executor(self, executor: Any, func: Callable[..., Any], *args: Any) -> asyncio.Future[Any]:
        future = super().run_in_executor(executor, func, *args)
        self.threads += 1
        future.add_done_callback(self._thread_done)
        return future

    def _thread_done(self, _: asyncio.Future[Any]) -> None:
        self.threads -= 1


def virtual_time(test: Callable[P, Coroutine[Any, Any, None]]) -> Callable[P, None]:
    """Run an async test in virtual time. Fails if it leaves a task behind."""

    @functools.wraps(test)
    def run(*args: P.args, **kwargs: P.kwargs) -> None:
        async def main() -> None:
            await test(*args, **kwargs)
            left = asyncio.all_tasks() - {asyncio.current_task()}
            assert not left, f"tasks left behind: {left}"

        with asyncio.Runner(loop_factory=VirtualTimeLoop) as runner:
            runner.run(main())

    return run


async def settle() -> None:
    """Let everything run that can run without time passing."""
    loop = asyncio.get_running_loop()
    assert isinstance(loop, VirtualTimeLoop)
    began = loop.now
    await asyncio.sleep(1e-6)
    assert loop.now - began < 1e-3


async def outcome(awaitable: Awaitable[Any]) -> Any:
    """What an awaitable raised, or else what it returned."""
    try:
        return await awaitable
    except Exception as error:  # noqa: BLE001 - what was raised is the answer
        return error
