"""The process that ffmpeg runs in: what it may not take, and that it is over when it should be."""

from __future__ import annotations

import asyncio
import os
import resource
import select
import signal
import socket
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import uvloop

from audio import sandbox
from audio.decode import DecodeLimits, TimedOut, decode
from audio.sandbox import FfmpegMissing, Limits, running
from tests.support.processes import children, descriptors
from tests.support.sound_files import made, wav

Impostor = Callable[[str], None]
Loop = Callable[[], asyncio.AbstractEventLoop]
both_loops = pytest.mark.parametrize("loop", [asyncio.new_event_loop, uvloop.new_event_loop], ids=["asyncio", "uvloop"])
RAW = ["-f", "u8", "-i", "pipe:0", "-f", "u8", "pipe:1"]


@pytest.fixture(autouse=True)
def no_process_is_left() -> Iterator[None]:
    yield
    assert children() == []


@pytest.fixture
def impostor(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Impostor:
    """Puts a shell script in ffmpeg's place."""

    def put(script: str) -> None:
        path = tmp_path / "ffmpeg"
        path.write_text(f"#!/bin/sh\n{script}\n")
        path.chmod(0o700)
        monkeypatch.setattr(sandbox, "executable", lambda: str(path))
        # A shell keeps its script open under a higher number.
        monkeypatch.setattr(sandbox, "_DESCRIPTORS", 64)

    return put


class Watched:
    """A process that is not ours to wait for, by a handle that means it and no other."""

    def __init__(self, pid: int) -> None:
        self._handle = os.pidfd_open(pid)

    def dies(self) -> bool:
        """A kill is carried out when the system comes to it: whether it is, in a minute."""
        try:
            return bool(select.select([self._handle], [], [], 60)[0])
        finally:
            os.close(self._handle)


def limits_of(pid: int) -> dict[str, list[str]]:
    """Soft and hard."""
    lines = Path(f"/proc/{pid}/limits").read_text().splitlines()
    return {line[:25].strip(): line[25:].split()[:2] for line in lines}


async def endless() -> AsyncIterator[bytes]:
    while True:
        yield bytes(100_000)


async def test_its_limits_are_the_kernels() -> None:
    async with running(RAW, Limits(cpu_seconds=7, memory_bytes=300_000_000)) as ffmpeg:
        limits = limits_of(ffmpeg.process.pid)
    assert limits["Max cpu time"] == ["7", "7"]
    assert limits["Max address space"] == ["300000000", "300000000"]
    assert limits["Max file size"] == ["0", "0"]
    assert limits["Max open files"] == ["5", "5"]
    assert limits["Max core file size"] == ["0", "0"]


@both_loops
def test_it_has_no_descriptor_of_the_gateways(loop: Loop) -> None:
    async def seen() -> set[str]:
        async with running(RAW, Limits()) as ffmpeg, ffmpeg.fed(endless()):
            await ffmpeg.read()
            return set(descriptors(ffmpeg.process.pid).values())

    with socket.create_server(("127.0.0.1", 0)) as listener, asyncio.Runner(loop_factory=loop) as runner:
        # As a supervisor hands one over.
        listener.set_inheritable(True)
        assert descriptors()[listener.fileno()] not in runner.run(seen())


async def test_it_knows_nothing_of_the_gateways_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("VOXWIRE_API_KEYS", "secret")
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:1")
    # ffmpeg would write a report into its folder.
    monkeypatch.setenv("FFREPORT", "file=report.log")
    async with running(RAW, Limits()) as ffmpeg, ffmpeg.fed(endless()):
        # Just after its start the kernel does not show it yet.
        await ffmpeg.read()
        process = Path(f"/proc/{ffmpeg.process.pid}")
        names = {pair.split(b"=")[0] for pair in (process / "environ").read_bytes().split(b"\0") if pair}
        assert names == {b"LC_ALL", b"MALLOC_ARENA_MAX"}
        assert (process / "cwd").readlink() == Path("/")


async def test_neither_side_waits_for_the_other_for_ever() -> None:
    """More goes in and out than the pipes hold, and the reader is slower than the writer."""
    data = bytes(range(256)) * 20_000

    async def pieces() -> AsyncIterator[bytes]:
        yield data

    out = bytearray()
    async with running(RAW, Limits()) as ffmpeg:
        async with ffmpeg.fed(pieces()):
            while piece := await ffmpeg.read():
                out += piece
                await asyncio.sleep(0)
        assert await ffmpeg.status() == 0
    assert out == data


async def test_a_reader_that_stops_stops_the_writer() -> None:
    given = 0

    async def counted() -> AsyncIterator[bytes]:
        nonlocal given
        async for piece in endless():
            given += len(piece)
            yield piece

    async with running(RAW, Limits()) as ffmpeg, ffmpeg.fed(counted()):
        for _ in range(3):
            await ffmpeg.read()
        # All that is on the way now lies in buffers of fixed size.
        before = -1
        while given != before:
            before = given
            await asyncio.sleep(0.05)
        assert given < 8_000_000


async def test_one_that_never_reads_and_never_ends_is_killed(impostor: Impostor) -> None:
    impostor("exec sleep 1000")
    with pytest.raises(TimedOut):
        await decode(endless(), sample_rate=8000, limits=DecodeLimits(wall_seconds=0.2, input_bytes=10**9))


async def test_one_that_floods_its_messages_is_no_trouble(impostor: Impostor) -> None:
    impostor("head -c 3000000 /dev/zero >&2; printf done")
    async with running([], Limits()) as ffmpeg:
        async with ffmpeg.fed(endless()):
            assert await ffmpeg.read() == b"done"
            assert await ffmpeg.read() == b""
        assert await ffmpeg.status() == 0
    assert ffmpeg.said == bytes(4096)


async def test_what_feeds_it_is_closed_to_its_end_whatever_happens_meanwhile(impostor: Impostor) -> None:
    impostor("exec 0<&-; exec sleep 1000")
    closing, go, closed = asyncio.Event(), asyncio.Event(), False

    async def sound() -> AsyncIterator[bytes]:
        nonlocal closed
        try:
            async for piece in endless():
                yield piece
        finally:
            closing.set()
            await go.wait()
            closed = True

    async with running([], Limits()) as ffmpeg:
        async with ffmpeg.fed(sound()):
            # It takes no more, so nothing is asked of the sound any more.
            await closing.wait()
            asyncio.get_running_loop().call_soon(go.set)
        assert closed


async def test_what_feeds_it_may_end_as_cancelled_and_nobody_else_is(impostor: Impostor) -> None:
    impostor("exec 0<&-; exec sleep 1000")
    closed = asyncio.Event()

    async def sound() -> AsyncIterator[bytes]:
        other = asyncio.create_task(asyncio.Event().wait())
        try:
            async for piece in endless():
                yield piece
        finally:
            other.cancel()
            closed.set()
            await other

    async with running([], Limits()) as ffmpeg, ffmpeg.fed(sound()):
        await closed.wait()


async def test_what_it_has_started_is_killed_with_it(impostor: Impostor) -> None:
    impostor("sleep 1000 & echo $!; wait")
    async with running([], Limits()) as ffmpeg:
        child = Watched(int(await ffmpeg.read()))
    assert child.dies()


async def test_what_it_has_left_behind_is_killed(impostor: Impostor) -> None:
    impostor("sleep 1000 & echo $!")
    async with running([], Limits()) as ffmpeg:
        child = Watched(int(await ffmpeg.read()))
    assert child.dies()


async def test_what_has_left_its_group_is_not_waited_for(impostor: Impostor) -> None:
    """It cannot be found, and it holds the pipes open."""
    impostor("setsid sh -c 'echo $$; exec sleep 1000' & wait")
    async with asyncio.timeout(60), running([], Limits()) as ffmpeg:
        pid = int(await ffmpeg.read())
    os.kill(pid, signal.SIGKILL)


@both_loops
@pytest.mark.parametrize("fed", [False, True], ids=["starting", "fed"])
@pytest.mark.parametrize("between", [None, 0, 1, 3, 8])
def test_cancelled_at_any_moment_once_or_twice_it_leaves_nothing(loop: Loop, fed: bool, between: int | None) -> None:
    """``between``: the loop's turns to the second time."""
    complaints: list[dict[str, Any]] = []

    async def cancelled(turns: int) -> bool:
        asyncio.get_running_loop().set_exception_handler(lambda _, complaint: complaints.append(complaint))
        reached = asyncio.Event()

        async def sound() -> AsyncIterator[bytes]:
            yield wav(b"", claims=0xFFFFFFFF)
            async for piece in endless():
                yield piece
                reached.set()

        limits = DecodeLimits(input_bytes=10**9, seconds=100_000.0)
        task = asyncio.create_task(decode(sound(), sample_rate=8000, limits=limits))
        if fed:
            await reached.wait()
        await turn(turns)
        task.cancel()
        if between is not None:
            await turn(between)
            task.cancel()
        await asyncio.wait([task])
        assert asyncio.all_tasks() == {asyncio.current_task()}
        return task.cancelled()

    with asyncio.Runner(loop_factory=loop) as runner:
        # What the loop makes for its first process it keeps.
        runner.run(decode_whole())
        before = descriptors()
        for turns in range(0, 50, 4):
            assert runner.run(cancelled(turns))
            assert children() == []
        # Its threads may still be at what nobody waits for any more.
        runner.run(runner.get_loop().shutdown_default_executor())
        # What other tests have left behind may be let go meanwhile.
        assert descriptors().items() <= before.items()
    assert complaints == []


async def turn(times: int) -> None:
    for _ in range(times):
        await asyncio.sleep(0)


async def decode_whole() -> None:
    await decode(made("wav"), sample_rate=8000)


async def test_it_cannot_write_a_file(impostor: Impostor, tmp_path: Path) -> None:
    impostor(f"read go; echo something > {tmp_path}/written; echo $?")

    async def go() -> AsyncIterator[bytes]:
        # By now the limits hold.
        yield b"go\n"

    async with running([], Limits()) as ffmpeg, ffmpeg.fed(go()):
        assert await ffmpeg.read() != b"0\n"
    written = tmp_path / "written"
    assert not written.exists() or not written.stat().st_size


async def test_a_program_that_cannot_be_run_is_missing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sandbox, "executable", lambda: str(tmp_path))
    with pytest.raises(FfmpegMissing):
        async with running(RAW, Limits()):
            pass


async def test_where_limits_are_forbidden_nothing_is_run(monkeypatch: pytest.MonkeyPatch) -> None:
    def forbid(*_: object) -> None:
        raise PermissionError(1, "Operation not permitted")

    monkeypatch.setattr(resource, "prlimit", forbid)
    with pytest.raises(FfmpegMissing, match="confined"):
        async with running(RAW, Limits()):
            pass


def test_without_any_program_it_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("IMAGEIO_FFMPEG_EXE", "/nowhere/ffmpeg")
    sandbox.executable.cache_clear()
    try:
        with pytest.raises(FfmpegMissing, match="no ffmpeg"):
            sandbox.executable()
    finally:
        sandbox.executable.cache_clear()


async def test_many_at_once_beside_busy_threads_all_end() -> None:
    over = threading.Event()
    threads = [threading.Thread(target=_burn, args=(over,)) for _ in range(3)]
    for thread in threads:
        thread.start()
    try:
        async with asyncio.TaskGroup() as group:
            decoded = [group.create_task(decode(made("mp3"), sample_rate=8000)) for _ in range(8)]
    finally:
        over.set()
        for thread in threads:
            thread.join()
    assert len({task.result() for task in decoded}) == 1


def _burn(over: threading.Event) -> None:
    while not over.is_set():
        sum(range(1000))
