"""One ffmpeg process that can do nothing but turn its standard input into its standard output.

Limits are set from outside with ``prlimit(2)``, after its start and before it is given a byte: until then it has
read nothing that a stranger made, so there is nothing to contain. The other ways are worse. ``preexec_fn`` can
deadlock in a process with threads, and a wrapper that sets limits on itself is a second program to start and to
trust. Systems without ``prlimit``, those that are not Linux, have the other bounds: time, input, output.
"""

from __future__ import annotations

import asyncio
import os
import resource
import shutil
import signal
from asyncio.subprocess import PIPE, Process
from collections.abc import AsyncIterable, AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import imageio_ffmpeg

_PIECE = 65_536
_LAST_WORDS = 4096
_DESCRIPTORS = 5
"""The three standard streams, and the copies that ffmpeg makes of its input and its output."""
_ENVIRONMENT = {
    "LC_ALL": "C",
    # glibc reserves 64 MiB of addresses for each thread's arena, which would count against the limit.
    "MALLOC_ARENA_MAX": "1",
}


class FfmpegMissing(RuntimeError):
    """There is no ffmpeg on this machine, or it cannot be started, or not within limits."""


@dataclass(frozen=True, slots=True)
class Limits:
    """What one process may take."""

    cpu_seconds: int = 10
    memory_bytes: int = 512 * 1024 * 1024
    """Of address space. Decoding takes about 200 MiB of it, most of that ffmpeg's own code, and 35 MiB of memory."""
    file_bytes: int = 0
    """Largest file that it may write; pipes are not files."""


class Ffmpeg:
    """A running ffmpeg. Made by ``running``."""

    def __init__(self, process: Process) -> None:
        self.process = process
        self.said = b""
        """The last of its messages. They quote the input, so they are for a log and not for a caller."""
        self._killed = False

    @asynccontextmanager
    async def fed(self, pieces: AsyncIterable[bytes]) -> AsyncIterator[None]:
        """Feed it while the block reads its output. What ``pieces`` raised is raised at the end of the block."""
        feeding = asyncio.create_task(self._feed(pieces))
        try:
            yield
        finally:
            feeding.cancel()
            await asyncio.wait([feeding])
            failure = None if feeding.cancelled() else feeding.exception()
        if failure is not None:
            raise failure

    async def _feed(self, pieces: AsyncIterable[bytes]) -> None:
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
        except BaseException:
            self.kill()
            raise
        finally:
            stdin.close()

    async def read(self) -> bytes:
        """The next piece of its output; ``b""`` at the end."""
        assert self.process.stdout is not None
        return await self.process.stdout.read(_PIECE)

    async def status(self) -> int:
        """Wait for its end. 0: it did everything. Negative: a signal ended it."""
        return await self.process.wait()

    def kill(self) -> None:
        """End it and whatever it may have started. Harmless afterwards."""
        if not self._killed and self.process.returncode is None:
            self._killed = True
            with suppress(ProcessLookupError):
                os.killpg(self.process.pid, signal.SIGKILL)

    async def listen(self) -> None:
        """Take its messages, so that it never waits to be rid of one, and keep the last."""
        assert self.process.stderr is not None
        while said := await self.process.stderr.read(_LAST_WORDS):
            self.said = (self.said + said)[-_LAST_WORDS:]


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


@asynccontextmanager
async def running(arguments: Sequence[str], limits: Limits, stdout: int = PIPE) -> AsyncIterator[Ffmpeg]:
    """Start ffmpeg with ``arguments``; at the end it is over, killed if need be, and nothing of it is left.

    Raises ``FfmpegMissing``.
    """
    program = await asyncio.to_thread(executable)
    # On a thread, because there may be thousands.
    await asyncio.to_thread(_withhold_descriptors)
    try:
        process = await asyncio.create_subprocess_exec(
            program,
            *("-nostdin", "-hide_banner", "-loglevel", "error"),
            *arguments,
            stdin=PIPE,
            stdout=stdout,
            stderr=PIPE,
            env=_ENVIRONMENT,
            cwd="/",
            start_new_session=True,
        )
    except OSError as error:
        raise FfmpegMissing("ffmpeg cannot be started") from error
    ffmpeg = Ffmpeg(process)
    listening = asyncio.create_task(ffmpeg.listen())
    try:
        _confine(process.pid, limits)
        yield ffmpeg
    finally:
        ffmpeg.kill()
        await _bury(process, listening)


def _withhold_descriptors() -> None:
    """Let no process have a descriptor of this one, such as the socket that it listens on. Python makes none that
    are inherited, but it may have been started with some, and libraries may. asyncio closes them; uvloop does not, and
    ffmpeg, which counts them among its own, could then open nothing."""
    for entry in Path("/dev/fd").iterdir():
        number = int(entry.name)
        # Those that are closed by now need nothing.
        with suppress(OSError):
            if number > 2:
                os.set_inheritable(number, False)


async def _bury(process: Process, listening: asyncio.Task[None]) -> None:
    """Wait until it and its pipes are gone. What is left in the pipes has to be read for that."""
    if process.stdin is not None:
        process.stdin.close()
    while process.stdout is not None and await process.stdout.read(_PIECE):
        pass
    await listening
    await process.wait()


def _confine(pid: int, limits: Limits) -> None:
    if not hasattr(resource, "prlimit"):
        return
    wanted = {
        resource.RLIMIT_CPU: limits.cpu_seconds,
        resource.RLIMIT_AS: limits.memory_bytes,
        resource.RLIMIT_FSIZE: limits.file_bytes,
        resource.RLIMIT_NOFILE: _DESCRIPTORS,
        resource.RLIMIT_CORE: 0,
    }
    try:
        for kind, value in wanted.items():
            hard = resource.prlimit(pid, kind)[1]
            most = value if hard == resource.RLIM_INFINITY else min(value, hard)
            resource.prlimit(pid, kind, (most, most))
    except ProcessLookupError:
        # It has ended already.
        return
    except OSError as error:
        # Some containers forbid the call. Then better none than one without limits.
        raise FfmpegMissing("ffmpeg cannot be confined") from error


@cache
def executable() -> str:
    """The ffmpeg that imageio-ffmpeg ships, else the system's; ``IMAGEIO_FFMPEG_EXE`` goes before both.

    Runs it once to see that it works, so it blocks. Raises ``FfmpegMissing``.
    """
    try:
        found = shutil.which(str(imageio_ffmpeg.get_ffmpeg_exe()))
    except RuntimeError:
        found = None
    if found is None:
        raise FfmpegMissing("there is no ffmpeg on this machine")
    return found
