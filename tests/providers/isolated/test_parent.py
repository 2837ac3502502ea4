"""Whatever ends the gateway ends its engines' processes, and nothing of them stays behind."""

from __future__ import annotations

import asyncio
import gc
import os
import signal
import subprocess
import sys
import threading
from contextlib import suppress
from pathlib import Path

import pytest

from tests.providers.isolated.processes import WILD, made, over, running, speak
from tests.support.processes import descriptors

_PARENT = """
import asyncio, sys
from tests.providers.isolated.processes import running, speak

async def main():
    async with running(**eval(sys.argv[1])) as engine:
        await speak(engine, sys.argv[2])

asyncio.run(main())
"""


def parent(text: str, **options: object) -> subprocess.Popen[str]:
    """Another process with an engine that speaks."""
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    arguments = [sys.executable, "-c", _PARENT, repr(options), text]
    return subprocess.Popen(arguments, text=True, env=environment)


@pytest.mark.parametrize(("text", "begun"), [("20 wait", "chunk 20"), ("hold", "hold")])
async def test_a_parent_that_is_killed_takes_it_along(text: str, begun: str, tmp_path: Path) -> None:
    note = tmp_path / "note"
    os.mkfifo(note)
    # Opened for both, it has no end whenever its writers close it.
    with os.fdopen(os.open(note, os.O_RDWR)) as lines, parent(text, note=str(note)) as process:
        while (await asyncio.to_thread(lines.readline)).strip() != begun:
            pass
        (pid,) = children(process.pid)
        process.kill()
        await over(pid)


async def test_a_parent_that_is_killed_while_it_loads_takes_it_along(tmp_path: Path) -> None:
    """Also where loading keeps the interpreter's lock."""
    note = tmp_path / "note"
    os.mkfifo(note)
    with parent("20", at={"make": "hold"}, note=str(note)) as process:
        assert await asyncio.to_thread(note.read_text) == "making\n"
        (pid,) = children(process.pid)
        process.kill()
        await over(pid)


async def test_a_ctrl_c_of_the_terminal_is_not_for_it() -> None:
    async with running() as engine:
        assert os.getpgid(engine.process) != os.getpgid(0)
        assert os.getsid(engine.process) == engine.process


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP])
async def test_a_stop_that_is_told_to_all_processes_is_the_gateways_to_carry_out(number: int) -> None:
    async with running() as engine:
        speaking = asyncio.create_task(speak(engine, "20 wait"))
        await engine.voices()
        os.kill(engine.process, number)
        assert await speak(engine, "20 20")
        assert not speaking.done()
        speaking.cancel()
        await asyncio.wait([speaking])


async def test_no_end_of_anything_is_inherited_by_it_or_by_what_it_starts() -> None:
    with open(os.devnull) as file:  # noqa: ASYNC230, PTH123
        os.set_inheritable(file.fileno(), True)
        async with running() as engine, running() as second:
            ours = {value for value in descriptors().values() if value.startswith(("socket:", "pipe:"))}
            # The two ends of a pipe have one name: of its log and its leash; the sockets are its own.
            for each in (engine, second):
                theirs = {name: value for name, value in descriptors(each.process).items() if value in ours}
                assert all(value.startswith("pipe:") for value in theirs.values())
                assert len(set(theirs.values())) == 2
            await speak(engine, "spawn")
            (started,) = children(engine.process)
            assert not {value for value in descriptors(started).values() if value.startswith("socket:")}
            # Its output, which is the log, and nothing of the leash.
            assert len({value for value in descriptors(started).values() if value in ours}) == 1


async def test_starts_and_ends_of_all_kinds_leave_no_descriptor_thread_task_or_process() -> None:
    async def life(end: str) -> None:
        engine = await made()
        if end == "never started":
            await engine.close()
            return
        starting = asyncio.create_task(engine.start())
        if end == "cancelled":
            # It is asked by now, and cannot have answered.
            await asyncio.sleep(0)
            starting.cancel()
            await asyncio.wait([starting])
        else:
            await starting
            told = asyncio.Event()
            engine.when_lost(lambda _: told.set())
            speaking = asyncio.create_task(speak(engine, "20 wait"))
            await engine.voices()
            if end == "killed":
                os.kill(engine.process, signal.SIGKILL)
                await told.wait()
            await asyncio.gather(engine.close(), engine.close())
            await asyncio.wait([speaking])
            assert speaking.exception() is not None
        await engine.close()

    await life("closed")
    # What other tests have left may go at any time, and what goes by itself goes now.
    gc.collect()
    before = (descriptors().items(), set(threading.enumerate()), asyncio.all_tasks(), children("self"))
    for end in ("closed", "never started", "cancelled", "killed") * 2:
        await life(end)
    after = (descriptors().items(), set(threading.enumerate()), asyncio.all_tasks(), children("self"))
    assert [set(now) - set(then) for now, then in zip(after, before, strict=True)] == [set()] * 4


async def test_its_end_is_seen_also_where_the_system_has_no_descriptor_of_a_process(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    threads = set(threading.enumerate())
    with monkeypatch.context() as patch:
        patch.delattr(os, "pidfd_open")
        async with running() as engine:
            told = asyncio.Event()
            engine.when_lost(lambda _: told.set())
            await speak(engine, "20")
            os.kill(engine.process, signal.SIGKILL)
            await told.wait()
            await engine.start()
            assert await speak(engine, "20")
    for thread in set(threading.enumerate()) - threads:
        # It has told of the end, and has its own before it.
        thread.join(60)
    assert set(threading.enumerate()) <= threads


def test_the_leash_holds_also_where_the_kernel_does_not_end_anything_by_itself() -> None:
    code = """
import fcntl, time
del fcntl.F_SETSIG
from providers.isolated.leash import tie
tie(0)
print("tied", flush=True)
time.sleep(100)
"""
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    leash, ours = os.pipe()
    with subprocess.Popen(
        [sys.executable, "-c", code], stdin=leash, stdout=subprocess.PIPE, env=environment
    ) as process:
        os.close(leash)
        assert process.stdout is not None
        process.stdout.readline()
        os.close(ours)
        assert process.wait(60) == 0


async def test_one_that_was_asked_and_not_started_goes_after_a_while(monkeypatch: pytest.MonkeyPatch) -> None:
    from providers.isolated import engine as module

    monkeypatch.setattr(module, "_LINGER", 0.1)
    engine = await made(WILD)
    pid = engine.process
    await over(pid)
    assert engine.process is None
    assert [voice.id for voice in await engine.voices()] == ["one", "two"]
    await engine.start()
    assert await speak(engine, "20")
    await engine.close()


def children(pid: int | str) -> set[int]:
    found = set()
    for task in Path(f"/proc/{pid}/task").iterdir():
        # A thread may be over by now.
        with suppress(FileNotFoundError):
            found |= {int(child) for child in (task / "children").read_text().split()}
    return found
