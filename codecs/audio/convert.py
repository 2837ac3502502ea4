"""PCM into files that only ffmpeg writes. For whole files: a stream has its encoders in ``audio.formats``.

Most containers can be written to a pipe, and then the file grows as the sound does. The others need to go back to
their header, so they are written to a file without a name first, which is gone with this process whatever ends it.
"""

from __future__ import annotations

import asyncio
import logging
import os
import tempfile
from collections.abc import AsyncGenerator, AsyncIterable, Awaitable, Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Protocol

import ffmpeg as command

from audio import sandbox

log = logging.getLogger(__name__)

Write = Callable[[bytes], Awaitable[None]]
"""Takes the next piece of the file; returns when there is room for another."""
_PIECE = 65_536
_STDOUT = "/dev/fd/1"
"""ffmpeg's own standard output, by a name under which it can move about in it."""


class UnknownContainer(ValueError):
    """No container has that name."""


class ConvertError(RuntimeError):
    """ffmpeg is missing, or could not make the file. The sound is not to blame."""


@dataclass(frozen=True, slots=True)
class Container:
    """One kind of file."""

    name: str
    """Also the file's extension."""
    mime: str
    muxer: str
    codec: str
    options: tuple[tuple[str, str], ...] = ()
    rate: int | None = None
    """Hz, where there is only one; otherwise the sound's own, or the nearest that the codec has."""
    seeks: bool = False
    """Nothing of it is there before all of it is."""

    @property
    def extension(self) -> str:
        return self.name


_AAC = ("b:a", "64k")
# The index of an MP4 stands in pieces between the sound, a second each, so that it needs no way back; "delay_moov"
# lets it say how much silence the encoder put in front.
_FRAGMENTS = (("movflags", "+delay_moov"), ("frag_duration", "1000000"))

CONTAINERS: dict[str, Container] = {
    row.name: row
    for row in (
        Container("m4a", "audio/mp4", "ipod", "aac", (_AAC, *_FRAGMENTS)),
        Container("aac", "audio/aac", "adts", "aac", (_AAC,)),
        Container("flac", "audio/flac", "flac", "flac"),
        Container("oga", "audio/ogg", "ogg", "flac"),
        Container("ogg", "audio/ogg", "ogg", "libvorbis"),
        Container("webm", "audio/webm", "webm", "libopus", (("b:a", "32k"),)),
        Container("mka", "audio/x-matroska", "matroska", "flac"),
        Container("caf", "audio/x-caf", "caf", "pcm_s16be"),
        Container("au", "audio/basic", "au", "pcm_s16be"),
        Container("aiff", "audio/aiff", "aiff", "pcm_s16be", seeks=True),
        Container("w64", "audio/x-w64", "w64", "pcm_s16le", seeks=True),
        Container("wma", "audio/x-ms-wma", "asf", "wmav2", (("b:a", "64k"),)),
        Container("amr", "audio/amr", "amr", "libopencore_amrnb", (("b:a", "12.2k"),), rate=8000),
    )
}


@dataclass(frozen=True, slots=True)
class ConvertLimits:
    """What one file may take."""

    cpu_seconds: int = 300
    memory_bytes: int = 512 * 1024 * 1024
    """Of ffmpeg's address space."""
    file_bytes: int = 256 * 1024 * 1024
    """Of a file that has to be written as a whole first."""
    stall_seconds: float = 30.0
    """In which ffmpeg takes no more sound, or after its end gives nothing more of the file."""


def find(name: str) -> Container:
    """The container of that name. Raises ``UnknownContainer``, whose message lists the names."""
    try:
        return CONTAINERS[name]
    except KeyError:
        raise UnknownContainer(f"unknown container {name!r}; there are {', '.join(CONTAINERS)}") from None


async def convert(
    pcm: AsyncIterable[bytes],
    write: Write,
    *,
    sample_rate: int,
    container: Container,
    limits: ConvertLimits = ConvertLimits(),
) -> None:
    """Make a file of s16le mono ``pcm`` at ``sample_rate`` Hz and give it to ``write``, piece by piece.

    Raises ``ConvertError``, and what ``pcm`` and ``write`` raise; ffmpeg is over by then.
    """
    make = _by_file if container.seeks else _by_pipe
    try:
        async with asyncio.timeout(None) as deadline:
            await make(_arguments(sample_rate, container), Sound(pcm, deadline, limits.stall_seconds), write, limits)
    except sandbox.FfmpegMissing as error:
        raise ConvertError("files of this kind cannot be made here: ffmpeg is missing") from error
    except TimeoutError as error:
        if not deadline.expired():
            raise
        raise ConvertError("ffmpeg does not finish the file") from error


class Deadline(Protocol):
    """``asyncio.Timeout``, as far as it matters."""

    def reschedule(self, when: float | None) -> None: ...

    def expired(self) -> bool: ...


class Sound:
    """What ffmpeg is fed. ``deadline`` holds while ffmpeg owes something: room for the next piece or, after the last,
    the rest of the file; not while the writer is busy with what is there of it."""

    def __init__(self, pcm: AsyncIterable[bytes], deadline: Deadline, seconds: float) -> None:
        self._pcm = pcm
        self._deadline = deadline
        self._seconds = seconds
        self._owing = False
        self._writing = False

    async def pieces(self) -> AsyncGenerator[bytes, None]:
        """All of it; an async generator is closed at the end."""
        try:
            async for piece in self._pcm:
                self._owes(True)
                yield piece
                self._owes(False)
            self._owes(True)
        finally:
            if isinstance(self._pcm, AsyncGenerator):
                await self._pcm.aclose()

    @contextmanager
    def written(self) -> Iterator[None]:
        """While the block waits, it does not wait for ffmpeg."""
        self._writing = True
        self._restart()
        yield
        self._writing = False
        self._restart()

    def _owes(self, owing: bool) -> None:
        self._owing = owing
        self._restart()

    def _restart(self) -> None:
        # One that has passed cannot be moved any more.
        if not self._deadline.expired():
            due = asyncio.get_running_loop().time() + self._seconds
            self._deadline.reschedule(due if self._owing and not self._writing else None)


async def _by_pipe(arguments: list[str], sound: Sound, write: Write, limits: ConvertLimits) -> None:
    allowed = sandbox.Limits(limits.cpu_seconds, limits.memory_bytes)
    async with sandbox.running(arguments, allowed) as ffmpeg:
        async with ffmpeg.fed(sound.pieces()):
            while piece := await ffmpeg.read():
                with sound.written():
                    await write(piece)
        _check(await ffmpeg.status(), ffmpeg.said)


async def _by_file(arguments: list[str], sound: Sound, write: Write, limits: ConvertLimits) -> None:
    allowed = sandbox.Limits(limits.cpu_seconds, limits.memory_bytes, limits.file_bytes)
    with tempfile.TemporaryFile() as file:
        async with sandbox.running(arguments, allowed, stdout=file.fileno()) as ffmpeg:
            async with ffmpeg.fed(sound.pieces()):
                status = await ffmpeg.status()
            _check(status, ffmpeg.said)
        position = 0
        with sound.written():
            while piece := await asyncio.to_thread(os.pread, file.fileno(), _PIECE, position):
                await write(piece)
                position += len(piece)


def _check(status: int, said: bytes) -> None:
    if status:
        log.error("ffmpeg ended with %d: %s", status, said.decode(errors="replace"))
        raise ConvertError("ffmpeg could not make the file")


def _arguments(sample_rate: int, container: Container) -> list[str]:
    rate = {} if container.rate is None else {"ar": container.rate}
    source = command.input(
        "pipe:0", format="s16le", ar=sample_rate, ac=1, protocol_whitelist="pipe", probesize=32, threads=1
    )
    target = source.output(
        _STDOUT if container.seeks else "pipe:1",
        format=container.muxer,
        acodec=container.codec,
        threads=1,
        **rate,
        **dict(container.options),
    )
    arguments: list[str] = target.global_args("-filter_threads", "1").overwrite_output().get_args()
    return arguments
