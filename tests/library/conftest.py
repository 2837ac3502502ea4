from __future__ import annotations

import itertools
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path

import pytest

from gateway.library import disk
from gateway.library.disk import DiskStore
from gateway.library.redis_store import RedisStore
from gateway.library.store import MemoryStore, Store
from tests.support.redis_server import RedisServer, redis_server

_prefixes = itertools.count()


@pytest.fixture(scope="session")
def redis() -> Iterator[RedisServer]:
    """A Redis that keeps running; every test uses a part of its own."""
    with redis_server() as server:
        yield server


@pytest.fixture(autouse=True)
def _patient(monkeypatch: pytest.MonkeyPatch) -> None:
    """A store that a busy machine keeps waiting is not away."""
    monkeypatch.setattr(disk, "PATIENCE", 60.0)
    monkeypatch.setitem(RedisStore.__init__.__kwdefaults__, "patience", 60.0)


@pytest.fixture
def prefix() -> str:
    return f"test{next(_prefixes)}:"


def maker(request: pytest.FixtureRequest, folder: Path, prefix: str) -> Callable[[], Store]:
    match request.param:
        case "disk":
            return lambda: DiskStore(folder / "voices")
        case "redis":
            server: RedisServer = request.getfixturevalue("redis")
            return lambda: RedisStore(server.url, prefix=prefix)
    return MemoryStore


@pytest.fixture(params=["memory", "disk", "redis"])
def make_store(request: pytest.FixtureRequest, tmp_path: Path, prefix: str) -> Callable[[], Store]:
    """Makes stores of each kind."""
    return maker(request, tmp_path, prefix)


@pytest.fixture(params=["disk", "redis"])
def share_store(request: pytest.FixtureRequest, tmp_path: Path, prefix: str) -> Callable[[], Store]:
    """Makes stores of each kind that several processes may have, over the same voices."""
    return maker(request, tmp_path, prefix)


@pytest.fixture
async def store(make_store: Callable[[], Store]) -> AsyncIterator[Store]:
    made = make_store()
    await made.open()
    yield made
    await made.close()
