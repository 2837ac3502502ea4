"""Recordings: what is kept, for how long, where, and what those who follow them get."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import AsyncIterator
from contextlib import aclosing, asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from gateway.clock import Clock
from gateway.errors import UnknownSession
from gateway.events import SpeechRequest
from gateway.session import recording as module
from gateway.session.recording import Recording, Recordings
from gateway.session.spool import BLOCK
from tests.support.virtual_time import settle, virtual_time

ROOT = Path(__file__).parents[2]


@asynccontextmanager
async def recordings(limit: int = 400, memory: int | None = None, ttl: float = 60.0) -> AsyncIterator[Recordings]:
    """Nothing of them is left at the end, or this fails."""
    made = Recordings(limit, ttl, Clock(now=asyncio.get_running_loop().time), memory)
    try:
        yield made
    finally:
        await made.close()
        assert (len(made), made.size, made.shelf.in_memory, made.shelf.on_disk) == (0, 0, 0, 0)


def opened(kept: Recordings, key: str) -> Recording:
    return kept.open(key, 24000, SpeechRequest(record=True))


def spoken(kept: Recordings, key: str, pcm: bytes) -> Recording:
    recording = opened(kept, key)
    recording.add(pcm)
    recording.close(complete=True)
    return recording


def sound(size: int, seed: int = 0) -> bytes:
    """Bytes in which a piece that is missing or in the wrong place shows."""
    return b"".join((seed * 1_000_003 + n).to_bytes(4, "little") for n in range(-(-size // 4)))[:size]


async def whole(recording: Recording) -> bytes:
    async with aclosing(recording.follow()) as pieces:
        return b"".join([piece async for piece in pieces])


def there(kept: Recordings, keys: str) -> str:
    return "".join(key for key in keys if kept.find(key) is not None)


# ---- bounds


@virtual_time
async def test_the_oldest_that_are_over_make_room_for_what_is_spoken() -> None:
    async with recordings(400) as kept:
        for key in "0123456789":
            assert spoken(kept, key, bytes(80)).complete
        assert there(kept, "0123456789") == "56789"


@virtual_time
async def test_age_and_order_count_from_the_end_of_the_speech() -> None:
    async with recordings(400) as kept:
        long = opened(kept, "long")
        long.add(bytes(100))
        spoken(kept, "short", bytes(100))
        long.close(complete=True)
        spoken(kept, "a", bytes(100))
        spoken(kept, "b", bytes(100))
        spoken(kept, "c", bytes(100))
        assert kept.find("short") is None
        assert kept.find("long") is long


@virtual_time
async def test_without_anything_to_drop_a_recording_is_truncated() -> None:
    async with recordings(400) as kept:
        live = [opened(kept, key) for key in "01234"]
        for recording in live:
            recording.add(bytes(100))
        assert [recording.size for recording in live] == [100, 100, 100, 100, 0]
        for recording in live:
            recording.close(complete=True)
        assert [recording.complete for recording in live] == [True] * 4 + [False]


@virtual_time
async def test_what_was_truncated_makes_room_at_once() -> None:
    async with recordings(400) as kept:
        live = [opened(kept, key) for key in "01234"]
        for recording in live[:4]:
            recording.add(bytes(90))
        for recording in live:
            recording.add(bytes(50))
        assert [recording.truncated for recording in live] == [True, True, True, True, False]
        assert kept.size == 50
        live[0].close(complete=True)
        assert not live[0].complete


@virtual_time
async def test_one_alone_may_take_a_quarter() -> None:
    async with recordings(400) as kept:
        recording = opened(kept, "a")
        recording.add(bytes(100))
        recording.add(bytes(2))
        recording.add(bytes(0))
        assert (recording.size, recording.truncated) == (100, True)


@virtual_time
async def test_a_recording_goes_when_its_time_is_over_even_if_nobody_asks() -> None:
    async with recordings(400, ttl=60.0) as kept:
        spoken(kept, "a", bytes(100))
        await asyncio.sleep(30)
        spoken(kept, "b", bytes(100))
        await asyncio.sleep(29)
        assert (len(kept), kept.size) == (2, 200)
        await asyncio.sleep(2)
        assert (len(kept), kept.size) == (1, 100)
        await asyncio.sleep(60)
        assert (len(kept), kept.size) == (0, 0)


@virtual_time
async def test_the_number_of_recordings_is_bounded_whatever_their_size(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MAX_KEPT", 3)
    async with recordings(400) as kept:
        for key in "01234":
            spoken(kept, key, b"")
        kept.evict()
        assert there(kept, "01234") == "234"


@virtual_time
async def test_a_look_for_one_takes_as_long_however_many_there_are() -> None:
    async with recordings(1 << 20) as kept:
        for number in range(module.MAX_KEPT):
            spoken(kept, str(number), bytes(2))
        began = time.thread_time()
        for _ in range(1000):
            assert kept.find("0") is not None
        # A walk over all of them takes seconds.
        assert time.thread_time() - began < 0.5


@virtual_time
async def test_an_incomplete_recording_is_remembered_and_its_sound_is_not_kept() -> None:
    async with recordings(400) as kept:
        recording = opened(kept, "a")
        recording.add(bytes(100))
        recording.close(complete=False)
        assert kept.find("a") is recording
        assert (recording.closed, recording.complete, kept.size) == (True, False, 0)


# ---- followers


@virtual_time
async def test_followers_that_come_at_different_times_all_get_all_of_it() -> None:
    pcm = sound(3 * BLOCK + 1000)
    async with recordings(20 * BLOCK) as kept:
        recording = opened(kept, "a")
        early = asyncio.create_task(whole(recording))
        for start in range(0, len(pcm), 10_000):
            recording.add(pcm[start : start + 10_000])
            if start == 100_000:
                middle = asyncio.create_task(whole(recording))
            await settle()
        assert not early.done()
        recording.close(complete=True)
        assert [await early, await middle, await whole(recording)] == [pcm] * 3
        assert recording.followers == 0


@virtual_time
async def test_a_follower_gets_what_is_spoken_as_it_is_spoken() -> None:
    async with recordings(400) as kept:
        recording = opened(kept, "a")
        async with aclosing(recording.follow()) as pieces:
            recording.add(b"one!")
            assert await anext(pieces) == b"one!"
            recording.add(b"two!")
            assert await anext(pieces) == b"two!"
            recording.close(complete=True)
            assert await anext(pieces, None) is None


@virtual_time
async def test_a_follower_is_told_when_there_is_no_room_for_more_and_not_at_the_end_of_the_speech() -> None:
    async with recordings(400) as kept:
        recording = opened(kept, "a")
        recording.add(bytes(100))
        following = asyncio.create_task(whole(recording))
        await settle()
        recording.add(bytes(2))
        assert await following == bytes(100)
        assert (recording.complete, kept.size) == (False, 0)


@virtual_time
async def test_a_follower_keeps_its_sound_while_the_recording_is_evicted() -> None:
    pcm = sound(2 * BLOCK)
    async with recordings(8 * BLOCK, ttl=10.0) as kept:
        recording = spoken(kept, "a", pcm)
        async with aclosing(recording.follow()) as pieces:
            got = await anext(pieces)
            await asyncio.sleep(11)
            assert kept.find("a") is None
            assert kept.size == len(pcm)
            got += b"".join([piece async for piece in pieces])
        assert got == pcm
        assert kept.size == 0


@virtual_time
async def test_a_slow_follower_keeps_nobody_elses_out() -> None:
    async with recordings(8 * BLOCK, ttl=10.0) as kept:
        slow = [spoken(kept, key, sound(2 * BLOCK)) for key in "abcd"]
        following = [recording.follow() for recording in slow]
        for pieces in following:
            await anext(pieces)
        await asyncio.sleep(11)
        assert kept.size == 8 * BLOCK
        new = spoken(kept, "e", sound(BLOCK, 5))
        assert await whole(new) == sound(BLOCK, 5)
        with pytest.raises(UnknownSession):
            _ = [piece async for piece in following[0]]
        for pieces in following[1:]:
            assert len(b"".join([piece async for piece in pieces])) == 2 * BLOCK - 16_384


@virtual_time
async def test_who_begins_to_follow_after_the_eviction_is_told() -> None:
    async with recordings(400, ttl=10.0) as kept:
        recording = spoken(kept, "a", bytes(100))
        await asyncio.sleep(11)
        with pytest.raises(UnknownSession, match="not kept any more"):
            await whole(recording)


@virtual_time
async def test_a_follower_is_told_when_the_gateway_stops() -> None:
    async with recordings(400) as kept:
        recording = opened(kept, "a")
        recording.add(bytes(100))
        following = asyncio.create_task(whole(recording))
        await settle()
    with pytest.raises(UnknownSession):
        await following
    recording.add(bytes(10))
    recording.close(complete=True)
    assert len(kept) == 0


@virtual_time
async def test_followers_that_read_the_disk_while_the_gateway_stops_are_told(monkeypatch: pytest.MonkeyPatch) -> None:
    reading, slow = threading.Event(), threading.Event()
    pread = os.pread

    def read(*arguments: Any) -> bytes:
        reading.set()
        slow.wait()
        return pread(*arguments)

    monkeypatch.setattr(os, "pread", read)
    async with recordings(40 * BLOCK, memory=BLOCK) as kept:
        recording = spoken(kept, "a", sound(2 * BLOCK))
        await kept.shelf.settled()
        # The first of them is being read for, and the others wait for that.
        following = [asyncio.create_task(whole(recording)) for _ in range(3)]
        await asyncio.to_thread(reading.wait)
        closing = asyncio.create_task(kept.close())
        await asyncio.sleep(0)
        slow.set()
        await closing
        for follower in following:
            with pytest.raises(UnknownSession, match="not kept any more"):
                await follower


# ---- the disk


@virtual_time
async def test_what_memory_has_no_room_for_is_on_the_disk_the_oldest_first() -> None:
    async with recordings(100 * BLOCK, memory=4 * BLOCK) as kept:
        made = {}
        for key in "abc":
            made[key] = spoken(kept, key, sound(2 * BLOCK, ord(key)))
            await kept.shelf.settled()
        assert (kept.shelf.in_memory, kept.shelf.on_disk) == (4 * BLOCK, 2)
        assert [block.number is None for block in made["a"].blocks] == [False, False]
        for key in "abc":
            assert await whole(made[key]) == sound(2 * BLOCK, ord(key))


@virtual_time
async def test_the_place_of_an_evicted_recording_on_the_disk_is_used_again() -> None:
    async with recordings(8 * BLOCK, memory=BLOCK) as kept:
        for number in range(20):
            recording = spoken(kept, str(number), sound(2 * BLOCK - 10, number))
            await kept.shelf.settled()
            assert await whole(recording) == sound(2 * BLOCK - 10, number)
        assert kept.shelf.on_disk <= 8


@virtual_time
async def test_a_recording_on_the_disk_can_be_followed_while_it_grows() -> None:
    pcm = sound(5 * BLOCK + 100)
    async with recordings(40 * BLOCK, memory=BLOCK) as kept:
        recording = opened(kept, "a")
        following = asyncio.create_task(whole(recording))
        for start in range(0, len(pcm), BLOCK):
            recording.add(pcm[start : start + BLOCK])
            await kept.shelf.settled()
        late = asyncio.create_task(whole(recording))
        recording.close(complete=True)
        assert kept.shelf.on_disk == 4
        assert [await following, await late] == [pcm, pcm]


@virtual_time
async def test_a_follower_of_a_recording_on_the_disk_never_gets_anothers_sound() -> None:
    async with recordings(8 * BLOCK, memory=BLOCK, ttl=10.0) as kept:
        recording = spoken(kept, "a", sound(2 * BLOCK, 1))
        await kept.shelf.settled()
        async with aclosing(recording.follow()) as pieces:
            got = await anext(pieces)
            await asyncio.sleep(11)
            for key in "bcd":
                spoken(kept, key, sound(2 * BLOCK, ord(key)))
                await kept.shelf.settled()
            got += b"".join([piece async for piece in pieces])
        assert got == sound(2 * BLOCK, 1)


def test_nothing_is_seen_on_the_disk_and_nothing_left_when_the_process_is_killed(tmp_path: Path) -> None:
    script = """
import asyncio, sys
from gateway.clock import Clock
from gateway.events import SpeechRequest
from gateway.session.recording import Recordings

async def main():
    kept = Recordings(1 << 24, 60.0, Clock(), memory=1 << 16)
    recording = kept.open("a", 24000, SpeechRequest())
    for _ in range(17):
        recording.add(bytes(1 << 16))
        await kept.shelf.settled()
    print(kept.shelf.on_disk, flush=True)
    await asyncio.Event().wait()

asyncio.run(main())
"""
    path = f"{ROOT}{os.pathsep}{ROOT / 'codecs'}"
    environment = {**os.environ, "TMPDIR": str(tmp_path), "PYTHONPATH": path}
    command = [sys.executable, "-c", script]
    with subprocess.Popen(command, env=environment, stdout=subprocess.PIPE) as process:
        try:
            assert process.stdout is not None
            assert process.stdout.readline() == b"16\n"
            assert list(tmp_path.iterdir()) == []
        finally:
            process.send_signal(signal.SIGKILL)
    assert list(tmp_path.iterdir()) == []
