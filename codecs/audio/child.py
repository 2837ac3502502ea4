"""A running ffmpeg: fed and read side by side, and ended whatever happens meanwhile."""

from __future__ import annotations

import asyncio
import os
import signal
from asyncio.subprocess import PIPE, Process, SubprocessStreamProtocol
from collections.abc import AsyncGenerator, AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from typing import Any

_PIECE = 65_536
_LAST_WORDS = 4096
_GRACE = 1.0
"""Seconds."""


class Ffmpeg:
    """Made by ``audio.sandbox.running``."""

    def __init__(self, process: Process, transport: asyncio.SubprocessTransport) -> None:
        self.process = process
        self.said = b""
        """The last of its messages. They quote the input, so they are for a log and not for a caller."""
        self._transport = transport
        self._listening = asyncio.create_task(self._listen())

    @asynccontextmanager
    async def fed(self, pieces: AsyncGenerator[bytes, None]) -> AsyncIterator[None]:
        """Feed it while the block reads its output. What ``pieces`` raised is raised at the end of the block; by then
        they are closed."""
        feeding = asyncio.create_task(self._feed(pieces))
        # In a task of its own: the end of the block cancels what feeds it, and not the closing of the source.
        closing = asyncio.create_task(_closed_behind(feeding, pieces))
        try:
            yield
        finally:
            feeding.cancel()
            await over(closing)
        for task in (feeding, closing):
            if not task.cancelled():
                task.result()

    async def _feed(self, pieces: AsyncGenerator[bytes, None]) -> None:
        """Write all pieces to its input and end it there; if it takes no more, stop.

        What ``pieces`` raises is raised, after ffmpeg was killed: who reads its output then comes to an end too.
        """
        stdin = self.process.stdin
        assert stdin is not None
        try:
            async for piece in pieces:
                for start in range(0, len(piece), _PIECE):
                    if not await _write(stdin, piece[start : start + _PIECE]):
                        return
        except Exception:
            self._kill()
            raise
        finally:
            stdin.close()

    async def read(self) -> bytes:
        """The next piece of its output; ``b""`` at the end."""
        assert self.process.stdout is not None
        return await self.process.stdout.read(_PIECE)

    async def status(self) -> int:
        """Wait for its end and its last words. 0: it did everything. Negative: a signal ended it."""
        status = await self.process.wait()
        await asyncio.wait([self._listening])
        return status

    async def end(self) -> None:
        """Kill it and whatever it may have started, and let go of their pipes."""
        self._kill()
        # What was killed closes its ends at once. They stay open where something has left the group with them.
        await asyncio.wait([self._listening], timeout=_GRACE)
        self._close_pipes()
        await self.process.wait()
        await asyncio.wait([self._listening])
        await self._pipes_closed()
        self._transport.close()

    def _kill(self) -> None:
        if self.process.returncode is not None and self._listening.done():
            # All that held its pipe for messages are over, and by now their number may be somebody else's.
            return
        with suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGKILL)

    def _close_pipes(self) -> None:
        """asyncio takes a process for running until they are, whoever else holds their other ends."""
        assert self.process.stdin is not None
        stdin = self.process.stdin.transport
        # asyncio's cannot be aborted once it is closed.
        if not stdin.is_closing() or stdin.get_write_buffer_size():
            stdin.abort()
        for number in (1, 2):
            pipe = self._transport.get_pipe_transport(number)
            if pipe is not None:
                pipe.close()

    async def _pipes_closed(self) -> None:
        """That of its messages is closed where they end."""
        assert self.process.stdin is not None
        with suppress(OSError):
            await self.process.stdin.wait_closed()
        while self.process.stdout is not None and await self.process.stdout.read(_PIECE):
            pass

    async def _listen(self) -> None:
        """Take its messages, so that it never waits to be rid of one, and keep the last."""
        assert self.process.stderr is not None
        while said := await self.process.stderr.read(_LAST_WORDS):
            self.said = (self.said + said)[-_LAST_WORDS:]


async def start(program: str, arguments: Sequence[str], environment: Mapping[str, str], stdout: int = PIPE) -> Ffmpeg:
    """Start ``program`` in a process group of its own, with its three standard streams and no other. Raises
    ``OSError``."""
    loop = asyncio.get_running_loop()
    # As asyncio.create_subprocess_exec does it, which keeps the transport to itself.
    transport, protocol = await loop.subprocess_exec(
        lambda: SubprocessStreamProtocol(limit=_PIECE, loop=loop),
        program,
        *arguments,
        stdin=PIPE,
        stdout=stdout,
        stderr=PIPE,
        env=environment,
        cwd="/",
        start_new_session=True,
    )
    return Ffmpeg(Process(transport, protocol, loop), transport)


async def over(task: asyncio.Task[Any]) -> None:
    """Wait for the end of ``task``, whatever it is. Who is cancelled meanwhile, once or often, hears of it then."""
    cancelled: asyncio.CancelledError | None = None
    while not task.done():
        try:
            await asyncio.wait([task])
        except asyncio.CancelledError as error:
            cancelled = error
    if not task.cancelled():
        # Seen, so that it is not reported where nobody asks for it.
        task.exception()
    if cancelled is not None:
        raise cancelled


async def _closed_behind(feeding: asyncio.Task[None], pieces: AsyncGenerator[bytes, None]) -> None:
    try:
        await over(feeding)
    finally:
        await pieces.aclose()


async def _write(stdin: asyncio.StreamWriter, piece: bytes) -> bool:
    """False where ffmpeg takes no more. That is no fault: its output and its status say how it ended."""
    if stdin.is_closing():
        return False
    stdin.write(piece)
    try:
        await stdin.drain()
    except (BrokenPipeError, ConnectionResetError):
        return False
    return True
