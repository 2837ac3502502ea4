"""Several gateways over one store: each sees what the others have made, and all outlive an outage."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from redis.asyncio import Redis

from gateway.errors import Overloaded, UnknownVoice, VoiceExists
from gateway.events import Ended, Failed, SpeechRequest
from gateway.library import Wish
from gateway.library import library as under_test
from gateway.library.store import MemoryStore, Snapshot
from gateway.runtime import Gateway
from tests.library.rig import Watched, calling, design
from tests.support.engines import Making
from tests.support.redis_server import RedisServer, redis_server
from tests.support.rig import Listener, gateway


@pytest.fixture(params=["disk", "redis"])
async def where(request: pytest.FixtureRequest, tmp_path: Path) -> dict[str, Any]:
    """The settings of gateways that share."""
    if request.param == "disk":
        return {"voices_dir": tmp_path}
    server: RedisServer = request.getfixturevalue("redis")
    redis = Redis.from_url(server.url)
    await redis.flushall()
    await redis.aclose()
    return {"redis_url": server.url}


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody waits long for a poll."""
    monkeypatch.setattr(under_test, "REFRESH", 0.05)


@asynccontextmanager
async def two(where: dict[str, Any]) -> AsyncIterator[tuple[Gateway, Gateway, Making]]:
    """Both, and the second's engine."""
    engine = Making()
    async with gateway(Making(), **where) as first, gateway(engine, **where) as second:
        yield first, second, engine


async def test_a_voice_that_one_gateway_has_made_is_spoken_by_another_and_gone_once_it_is_removed(
    where: dict[str, Any],
) -> None:
    async with two(where) as (first, second, engine):
        watched = Watched(second.library)
        with calling("web"):
            voice = await design(first, owner="web")
            assert isinstance(await Listener(first, voice="anna").start().say("Hello.").done(), Ended)
            await watched.until(lambda library: library.find("web", "anna"))
            assert second.library.list("web") == [voice]
            assert isinstance(await Listener(second, voice="anna").start().say("Hello.").done(), Ended)
            assert engine.segments[0].voice.prompt is not None
            with pytest.raises(VoiceExists):
                await design(second, owner="web")
            await first.library.remove("web", "anna")
            await watched.until(lambda library: not library.find("web", "anna"))
            with pytest.raises(UnknownVoice):
                second.sessions.plan(SpeechRequest(voice="anna"))
        # Nor is what it was spoken with kept any longer.
        assert second.library._prompts._kept == {}


async def test_a_restart_of_both_loses_none(where: dict[str, Any]) -> None:
    async with two(where) as (first, second, _):
        voices = [await design(first, "A", owner="web"), await design(second, "B", owner="web")]
    async with two(where) as (first, second, _):
        assert first.library.list("web") == second.library.list("web") == voices


async def test_a_voice_that_was_made_again_elsewhere_is_the_new_one(where: dict[str, Any]) -> None:
    async with two(where) as (first, second, engine):
        watched = Watched(second.library)
        old = await design(first)
        await watched.until(lambda library: library.find("", "anna"))
        await first.library.remove("", "anna")
        new = await first.library.create_from_description("", Wish(name=old.name), "another one")
        await watched.until(lambda library: library.find("", "anna") == new)
        await Listener(second, voice="anna").start().say("Hello.").done()
        prompt = engine.segments[0].voice.prompt
        assert prompt is not None
        assert b"another one" in prompt


async def test_limits_count_what_all_gateways_have(where: dict[str, Any]) -> None:
    where = where | {"voices_per_key": 3}
    async with two(where) as (first, second, _):
        made = await asyncio.gather(
            *(design(each, f"V{number}") for number, each in enumerate((first, second) * 3)), return_exceptions=True
        )
        assert sum(not isinstance(one, BaseException) for one in made) == 3


# ---- an outage


async def test_a_gateway_starts_and_speaks_without_its_redis_and_finds_the_voices_when_it_is_back() -> None:
    with redis_server() as server:
        settings: dict[str, Any] = {"redis_url": server.url, "lease_s": 1.0}
        async with gateway(Making(), **settings) as made:
            voice = await design(made)
        server.save()
        server.stop()
        async with gateway(Making(), **settings) as made:
            assert isinstance(await Listener(made, voice="one").start().say("Hello.").done(), Ended)
            # Not unknown: it may be there.
            with pytest.raises(UnknownVoice) as unknown:
                made.sessions.plan(SpeechRequest(voice="anna"))
            assert (unknown.value.retryable, unknown.value.retry_after) == (True, 2.0)
            with pytest.raises(Overloaded):
                made.library.list("")
            with pytest.raises(Overloaded):
                await design(made, "Other")
            watched = Watched(made.library)
            server.start()
            await watched.until(lambda library: library.find("", "anna"))
            assert made.library.list("") == [voice]
            with pytest.raises(UnknownVoice) as unknown:
                made.sessions.plan(SpeechRequest(voice="berta"))
            assert unknown.value.retryable is False
            assert isinstance(await Listener(made, voice="anna").start().say("Hello.").done(), Ended)


async def test_voices_that_are_known_are_spoken_with_while_redis_is_away() -> None:
    with redis_server() as server:
        async with gateway(Making(), redis_url=server.url, lease_s=1.0) as made:
            await design(made, "Heard")
            voice = await design(made, "Unheard")
            await Listener(made, voice="heard").start().say("Hello.").done()
            server.stop()
            assert isinstance(await Listener(made, voice="heard").start().say("Hello.").done(), Ended)
            # What it is spoken with is nowhere but there.
            failed = await Listener(made, voice=voice.id).start().say("Hello.").done()
            assert isinstance(failed, Failed)
            assert (failed.error.code, failed.error.retryable) == ("overloaded", True)


# ---- what is read while something is changed here


class Slow(MemoryStore):
    """Answers with what there was when it was asked, when the test says so."""

    shared = True

    def __init__(self) -> None:
        super().__init__()
        self.asked = asyncio.Event()
        self.go = asyncio.Event()
        self.go.set()

    async def snapshot(self, since: object = None) -> Snapshot | None:
        found = await super().snapshot(since)
        self.asked.set()
        await self.go.wait()
        return found


async def test_what_was_read_before_a_change_does_not_undo_it() -> None:
    store = Slow()
    async with gateway(Making()) as made:
        library = made.library
        library._store = store
        await design(made, "Old")
        for change in (lambda: design(made, "New"), lambda: library.remove("", "old")):
            store.asked.clear()
            store.go.clear()
            looking = asyncio.create_task(library._look())
            await store.asked.wait()
            await change()
            store.go.set()
            await looking
        assert [voice.id for voice in library.list("")] == ["new"]
        await library._look()
        assert [voice.id for voice in library.list("")] == ["new"]
