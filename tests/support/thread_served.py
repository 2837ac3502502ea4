"""The gateway's own server on a loop and a thread of its own, for clients that block."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator, Sequence
from concurrent.futures import Future
from contextlib import contextmanager
from typing import Any

from providers.base import Provider
from tests.support.serving import Served, serving


@contextmanager
def thread_served(*, engines: Sequence[str | Provider] = ("mock_tone",), **settings: Any) -> Iterator[Served]:
    """As ``serving``; the thread is joined at the end."""
    started: Future[tuple[Served, asyncio.AbstractEventLoop, asyncio.Event]] = Future()

    async def serve() -> None:
        async with serving(engines=engines, **settings) as served:
            over = asyncio.Event()
            started.set_result((served, asyncio.get_running_loop(), over))
            await over.wait()

    def run() -> None:
        try:
            asyncio.run(serve())
        except BaseException as error:
            if started.done():
                raise
            started.set_exception(error)

    thread = threading.Thread(target=run, name="served")
    thread.start()
    try:
        served, loop, over = started.result()
        try:
            yield served
        finally:
            loop.call_soon_threadsafe(over.set)
    finally:
        thread.join()
