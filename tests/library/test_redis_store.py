"""What Redis adds: gateways hear of each other's voices, and outlive an outage."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
from redis.asyncio import Redis

from gateway.errors import Overloaded
from gateway.library import redis_store as module
from gateway.library.redis_store import RedisStore
from gateway.library.voice import LibraryVoice
from tests.library.records import ROOM, a_prompt, a_voice
from tests.support.redis_server import RedisServer, redis_server


@asynccontextmanager
async def client(server: RedisServer) -> AsyncIterator[Redis]:
    made = Redis.from_url(server.url)
    try:
        yield made
    finally:
        await made.aclose()


async def test_who_waits_is_woken_by_another_gateways_change(redis: RedisServer, prefix: str) -> None:
    first, second = (RedisStore(redis.url, prefix=prefix) for _ in range(2))
    # The first wait only begins to listen: what came before it is not known.
    await second.wait(60.0)
    waiting = asyncio.create_task(second.wait(60.0))
    voice = a_voice()
    await first.add(voice, a_prompt(), ROOM)
    async with asyncio.timeout(60):
        await waiting
    waiting = asyncio.create_task(second.wait(60.0))
    await first.remove(voice)
    async with asyncio.timeout(60):
        await waiting
    await first.close()
    await second.close()


async def test_a_wait_ends_without_a_change_too(redis: RedisServer, prefix: str) -> None:
    store = RedisStore(redis.url, prefix=prefix)
    await store.wait(60.0)
    await store.wait(0.05)
    await store.close()


async def test_what_somebody_else_has_written_there_is_no_voice(redis: RedisServer, prefix: str) -> None:
    store = RedisStore(redis.url, prefix=prefix)
    voice = a_voice()
    await store.add(voice, a_prompt(), ROOM)
    record = voice.model_dump()
    strange = {
        "web\nbad": "no JSON",
        "web\nother": json.dumps(record),
        "phone\nanna": json.dumps(record),
        "web\nlong": json.dumps(record | {"id": "long", "description": "x" * 20_000}),
        "web\nsize": json.dumps(record | {"id": "size", "size": 10**9}),
        "web\n../up": json.dumps(record | {"id": "../up"}),
    }
    async with client(redis) as other:
        for field, value in strange.items():
            await other.hset(f"{prefix}kept", field, value)
        await other.set(f"{prefix}version", "another")
    snapshot = await store.snapshot()
    assert snapshot is not None
    assert list(snapshot.voices) == [voice]
    await store.close()


async def test_never_more_of_a_prompt_is_read_than_it_may_have(redis: RedisServer, prefix: str) -> None:
    store = RedisStore(redis.url, prefix=prefix)
    voice = a_voice()
    await store.add(voice, a_prompt(), ROOM)
    async with client(redis) as other:
        await other.set(f"{prefix}prompt:{voice.token}", b"x" * 5_000_000)
    found = await store.prompt(voice)
    assert found is not None
    assert len(found) == voice.size + 1
    await store.close()


async def test_nothing_of_a_removed_voice_stays_in_redis(redis: RedisServer, prefix: str) -> None:
    store = RedisStore(redis.url, prefix=prefix)
    voice = a_voice()
    await store.add(voice, a_prompt(), ROOM)
    await store.remove(voice)
    async with client(redis) as other:
        assert await other.keys(f"{prefix}*") == [f"{prefix}version".encode()]
    await store.close()


async def test_a_redis_that_is_away_is_an_outage_and_what_it_had_saved_is_there_again() -> None:
    with redis_server() as server:
        store = RedisStore(server.url, prefix="away:")
        voice = a_voice()
        await store.add(voice, a_prompt(), ROOM)
        await store.wait(60.0)
        waiting = asyncio.create_task(store.wait(60.0))
        server.save()
        server.stop()
        with pytest.raises(Overloaded):
            await waiting
        for asked in (store.snapshot(), store.prompt(voice), store.remove(voice), store.wait(1.0)):
            with pytest.raises(Overloaded):
                await asked
        with pytest.raises(Overloaded) as error:
            await store.add(a_voice("other"), a_prompt(), ROOM)
        assert str(server.port) not in error.value.message
        server.start()
        assert await store.prompt(voice) == a_prompt()
        await store.wait(60.0)
        await store.close()


async def test_what_is_known_already_is_not_checked_again(
    redis: RedisServer, prefix: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    checked: list[bytes] = []

    def check(field: bytes, record: bytes) -> LibraryVoice | None:
        checked.append(field)
        return real(field, record)

    real = module._checked
    monkeypatch.setattr(module, "_checked", check)
    store = RedisStore(redis.url, prefix=prefix)
    many = [a_voice(f"v{number}", f"owner{number // 50}") for number in range(350)]
    for voice in many:
        await store.add(voice, a_prompt(), ROOM)
    first = await store.snapshot()
    assert first is not None
    assert {voice.token for voice in first.voices} == {voice.token for voice in many}
    assert len(checked) == 350
    # Removed and made again, it is another one of the same name.
    await store.remove(many[7])
    await store.add(again := a_voice("v7", "owner0", name="Another"), a_prompt(), ROOM)
    second = await store.snapshot(first.version)
    assert second is not None
    assert {voice.token for voice in second.voices} == {voice.token for voice in (*many[:7], again, *many[8:])}
    assert checked[350:] == [b"owner0\nv7"]
    await store.close()


async def test_a_redis_that_answers_and_refuses_is_said_in_the_log(
    redis: RedisServer, prefix: str, caplog: pytest.LogCaptureFixture
) -> None:
    store = RedisStore(redis.url, prefix=prefix)
    async with client(redis) as other:
        await other.set(f"{prefix}kept", "another kind")
    with pytest.raises(Overloaded):
        await store.add(a_voice(), a_prompt(), ROOM)
    assert "Redis refuses" in caplog.text
    assert str(redis.port) not in caplog.text
    await store.close()
