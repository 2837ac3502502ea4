"""The client for asyncio."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import Self, Unpack

from gateway.client.address import Address
from gateway.client.batch import Bar, BatchResult, BatchTask, OnResult, run
from gateway.client.connection import Connection
from gateway.client.errors import VoxwireClientError
from gateway.client.feeding import Text
from gateway.client.files import format_for
from gateway.client.messages import Ended, Options, Voice
from gateway.client.speech import AsyncSpeech

DEFAULT_URL = "http://127.0.0.1:8080"


class AsyncClient:
    """A gateway. Connects when it is first needed, and again when the connection was lost or the gateway asked
    for it; all speeches share one connection. Belongs to one event loop; ``close`` it, or use ``async with``.

    ``timeout``: seconds that the gateway may take to answer (to accept a connection, a speech, a cancel).
    ``max_unread``: seconds of audio that a speech holds for a reader that is slow. When they are full the
    gateway has to wait, and its engine with it. While other speeches share the connection, one whose reader
    takes nothing for 2 s is cancelled instead, with the error ``not_read``.
    """

    def __init__(
        self,
        url: str = DEFAULT_URL,
        *,
        api_key: str | None = None,
        timeout: float = 10.0,
        max_unread: float = 60.0,
    ) -> None:
        self._address = Address(url, api_key)
        self._timeout = timeout
        self._max_unread = max_unread
        self._connection: Connection | None = None
        self._connections: set[Connection] = set()
        self._opening = asyncio.Lock()
        self._closed = False

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    async def close(self) -> None:
        """Close every connection; speeches that run fail. Callable twice."""
        self._closed = True
        async with self._opening:
            connections, self._connections = self._connections, set()
            for connection in connections:
                await connection.close()

    def stream(self, **options: Unpack[Options]) -> AsyncSpeech:
        """A speech whose text you send: ``async with client.stream(voice="heart") as speech``."""
        return AsyncSpeech(self._connected, options, timeout=self._timeout)

    def speak(self, text: Text, **options: Unpack[Options]) -> AsyncSpeech:
        """A speech of ``text``: a string, or pieces that are sent as they come while the audio is read.

        A source that is no ``AsyncIterable`` is pulled on a thread of its own, so it may block. What it raises,
        the reader of the speech gets.
        """
        return AsyncSpeech(self._connected, options, text, timeout=self._timeout)

    async def save(self, text: Text, path: str | Path, **options: Unpack[Options]) -> Ended:
        """Speak ``text`` into a file, as fast as it goes. Without ``format`` its name decides: ``hello.mp3``."""
        async with self.speak(text, **for_file(path, options)) as speech:
            return await speech.save(path)

    async def batch(
        self,
        tasks: Sequence[BatchTask],
        folder: str | Path,
        *,
        concurrency: int = 8,
        retries: int = 5,
        progress: bool | OnResult = False,
    ) -> list[BatchResult]:
        """Speak many texts into files of ``folder``, ``concurrency`` at a time; result i is that of task i.

        A task that fails fails alone, with its reason, after ``retries`` where another try may help. What an earlier
        call has done in this folder is not done again. ``progress=True`` shows a bar; a function is called with each
        result as it comes. Raises ``ValueError`` for tasks that cannot be told apart, ``GatewayAway`` where there is
        no gateway; what was done until then is kept.
        """

        async def save(text: str, path: Path, options: Options) -> Ended:
            return await self.save(text, path, **options)

        bar = Bar(len(tasks)) if progress is True else None
        on_result = bar or (progress if callable(progress) else None)
        try:
            return await run(save, tasks, Path(folder), concurrency=concurrency, retries=retries, on_result=on_result)
        finally:
            if bar is not None:
                bar.close()

    async def voices(self) -> list[Voice]:
        """Every voice that the gateway offers, its default first. Raises a ``VoxwireClientError``."""
        return await asyncio.to_thread(list_voices, self._address, self._timeout)

    async def _connected(self) -> Connection:
        async with self._opening:
            if self._closed:
                raise VoxwireClientError("this client is closed")
            self._connections = {connection for connection in self._connections if not connection.over}
            if self._connection is None or not self._connection.usable:
                self._connection = await Connection.open(
                    self._address, timeout=self._timeout, max_unread=self._max_unread
                )
                self._connections.add(self._connection)
            return self._connection


def for_file(path: str | Path, options: Options) -> Options:
    """What to ask for when a file is all that is wanted."""
    chosen: Options = {"format": format_for(path), "pace": "burst"}
    chosen.update(options)
    return chosen


def list_voices(address: Address, timeout: float) -> list[Voice]:
    """Blocking."""
    answer = address.get("/v1/voices", timeout)
    rows = answer["voices"] if isinstance(answer, dict) else answer
    return [Voice.from_fields(row) for row in rows]
