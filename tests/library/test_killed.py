"""Whatever ends a process that keeps a voice, and wherever: what was acknowledged is there, and nothing is half."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from gateway.library.disk import DiskStore
from gateway.library.redis_store import RedisStore
from gateway.library.store import Store
from tests.library.records import ROOM, a_prompt, a_voice
from tests.library.writer import SIZE, STEPS
from tests.support.redis_server import RedisServer, redis_server


@contextmanager
def writer(where: str, first: int, *step: str) -> Iterator[subprocess.Popen[str]]:
    """A process that keeps voices, killed at the end."""
    command = [sys.executable, "-m", "tests.library.writer", where, str(first), *step]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=_environment())
    try:
        yield process
    finally:
        process.kill()
        process.wait()
        assert process.stdout is not None
        process.stdout.close()


def _environment() -> dict[str, str]:
    return {"PYTHONPATH": ":".join(path for path in sys.path if path), "PATH": ""}


def said(process: subprocess.Popen[str]) -> str:
    assert process.stdout is not None
    return process.stdout.readline().strip()


def rest(process: subprocess.Popen[str]) -> list[str]:
    """What a killed process had still said."""
    process.kill()
    assert process.stdout is not None
    return process.stdout.read().split()


async def whole(store: Store) -> set[str]:
    """The ids of the voices that are kept, each with its whole prompt."""
    snapshot = await store.snapshot()
    assert snapshot is not None
    for voice in snapshot.voices:
        assert await store.prompt(voice) == a_prompt(SIZE, int(voice.id[1:]))
    return {voice.id for voice in snapshot.voices}


def unfinished(folder: Path) -> list[Path]:
    return list(folder.glob("*.unfinished"))


@pytest.mark.parametrize("step", STEPS)
async def test_a_kill_in_each_step_of_writing_leaves_what_was_acknowledged_and_nothing_half(
    tmp_path: Path, step: str
) -> None:
    with writer(str(tmp_path), 0, step) as process:
        assert said(process) == "v0"
        assert said(process) == f"stopped at {step}"
    store = DiskStore(tmp_path)
    await store.open()
    # In the last step it has its name already: kept, though nobody was told so.
    assert await whole(store) == ({"v0", "v1"} if step == "fsync 2" else {"v0"})
    assert unfinished(tmp_path) == []
    # The lock is free, and the id too where nothing was kept.
    await store.add(a_voice("v2"), a_prompt(), ROOM)


async def test_kills_at_any_time_lose_nothing_that_was_acknowledged(tmp_path: Path) -> None:
    acknowledged: set[str] = set()
    for first, count in ((0, 1), (1000, 4), (2000, 9)):
        with writer(str(tmp_path), first) as process:
            acknowledged |= {said(process) for _ in range(count)}
            acknowledged |= set(rest(process))
        store = DiskStore(tmp_path)
        await store.open()
        found = await whole(store)
        assert acknowledged <= found
        # One a process may have been kept whose acknowledgement was not said.
        assert len(found - acknowledged) <= 1 + first // 1000
    assert len(acknowledged) >= 14


async def test_kills_of_a_gateway_lose_nothing_that_redis_has_acknowledged(redis: RedisServer) -> None:
    acknowledged: set[str] = set()
    store = RedisStore(redis.url, prefix="killed:")
    for first, count in ((0, 1), (1000, 8)):
        with writer(redis.url, first) as process:
            acknowledged |= {said(process) for _ in range(count)}
            acknowledged |= set(rest(process))
        assert acknowledged <= await whole(store)
    await store.close()


async def test_a_kill_of_a_redis_that_writes_a_log_of_every_change_loses_nothing_either() -> None:
    with redis_server("--appendonly", "yes", "--appendfsync", "always") as server:
        with writer(server.url, 0) as process:
            acknowledged = {said(process) for _ in range(8)}
            server.stop()
            acknowledged |= set(rest(process))
        server.start()
        store = RedisStore(server.url, prefix="killed:")
        assert acknowledged <= await whole(store)
        await store.close()
