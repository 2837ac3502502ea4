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
from asyncio.subprocess import PIPE
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from functools import cache

import imageio_ffmpeg

from audio.child import Ffmpeg, over, start

_QUIETLY = ("-nostdin", "-hide_banner", "-loglevel", "error")
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


@asynccontextmanager
async def running(arguments: Sequence[str], limits: Limits, stdout: int = PIPE) -> AsyncIterator[Ffmpeg]:
    """Start ffmpeg with ``arguments``; at the end it is over, killed if need be, and nothing of it is left. Who is
    cancelled, once or often, hears of it then.

    Raises ``FfmpegMissing``.
    """
    program = await asyncio.to_thread(executable)
    # On a thread, because there may be thousands.
    await asyncio.to_thread(_withhold_descriptors)
    starting = asyncio.create_task(start(program, [*_QUIETLY, *arguments], _ENVIRONMENT, stdout))
    try:
        await over(starting)
        ffmpeg = _started(starting)
        _confine(ffmpeg.process.pid, limits)
        yield ffmpeg
    finally:
        if not starting.cancelled() and starting.exception() is None:
            ending = asyncio.create_task(starting.result().end())
            await over(ending)
            ending.result()


def _started(starting: asyncio.Task[Ffmpeg]) -> Ffmpeg:
    try:
        return starting.result()
    except OSError as error:
        raise FfmpegMissing("ffmpeg cannot be started") from error


def _withhold_descriptors() -> None:
    """Let no process have a descriptor of this one, such as the socket that it listens on. Python makes none that
    are inherited, but it may have been started with some, and libraries may. asyncio closes them; uvloop does not, and
    ffmpeg, which counts them among its own, could then open nothing."""
    with os.scandir("/dev/fd") as entries:
        numbers = [int(entry.name) for entry in entries]
    for number in numbers:
        # Those that are closed by now need nothing.
        with suppress(OSError):
            if number > 2:
                os.set_inheritable(number, False)


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
