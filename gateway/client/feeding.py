"""Text that comes piece by piece, from any kind of source, without blocking the event loop."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncGenerator, AsyncIterable, Iterable, Iterator
from queue import SimpleQueue
from typing import TypeAlias

Text: TypeAlias = str | Iterable[str] | AsyncIterable[str]

_END = object()


async def pieces(text: Iterable[str] | AsyncIterable[str]) -> AsyncGenerator[str, None]:
    """The pieces of ``text``. A source that may block is pulled on a thread of its own."""
    if isinstance(text, AsyncIterable):
        async for piece in text:
            yield piece
    elif isinstance(text, list | tuple):
        for piece in text:
            yield piece
    else:
        pulled = _pulled(text)
        try:
            async for piece in pulled:
                yield piece
        finally:
            await pulled.aclose()


async def _pulled(source: Iterable[str]) -> AsyncGenerator[str, None]:
    # One thread for one source: a generator may not change threads between its steps (it may hold a database
    # cursor, say). A daemon, because a source that never gives its next piece must not keep the process.
    loop = asyncio.get_running_loop()
    requests: SimpleQueue[asyncio.Future[object] | None] = SimpleQueue()
    threading.Thread(target=_answer, args=(source, loop, requests), name="voxwire-text", daemon=True).start()
    try:
        while True:
            future: asyncio.Future[object] = loop.create_future()
            requests.put(future)
            piece = await future
            if piece is _END:
                return
            assert isinstance(piece, str)
            yield piece
    finally:
        requests.put(None)


def _answer(
    source: Iterable[str],
    loop: asyncio.AbstractEventLoop,
    requests: SimpleQueue[asyncio.Future[object] | None],
) -> None:
    """The thread: one step of ``source`` for each request, until there is none."""
    iterator: Iterator[str] | None = None
    try:
        while (future := requests.get()) is not None:
            try:
                if iterator is None:
                    iterator = iter(source)
                outcome: object = next(iterator, _END)
            except Exception as error:  # noqa: BLE001 - handed to whoever waits for the piece
                loop.call_soon_threadsafe(_fail, future, error)
            else:
                loop.call_soon_threadsafe(_settle, future, outcome)
    except RuntimeError:
        pass  # The loop is closed: nobody waits any more.


def _settle(future: asyncio.Future[object], outcome: object) -> None:
    if not future.done():
        future.set_result(outcome)


def _fail(future: asyncio.Future[object], error: Exception) -> None:
    if not future.done():
        future.set_exception(error)
