"""Where blocks of sound lie: in memory, on the disk, and what happens when the disk does not take them."""

from __future__ import annotations

import asyncio
import errno
import os
import tempfile
import threading
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import IO, Any

import pytest

from gateway.clock import Clock
from gateway.events import SpeechRequest
from gateway.session.recording import Recordings
from gateway.session.shelf import Shelf
from gateway.session.spool import BLOCK, Spool
from tests.support.virtual_time import virtual_time


class Disk:
    """A disk that can be full, and slow."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.full = False
        self.writes = 0
        self.ready = threading.Event()
        self.ready.set()
        self._write = os.pwritev
        monkeypatch.setattr(os, "pwritev", self.write)

    def write(self, *arguments: Any) -> int:
        self.ready.wait()
        self.writes += 1
        if self.full:
            raise OSError(errno.ENOSPC, "No space left on device")
        return self._write(*arguments)


@pytest.fixture
def disk(monkeypatch: pytest.MonkeyPatch) -> Disk:
    return Disk(monkeypatch)


@asynccontextmanager
async def shelf(room: int) -> AsyncIterator[Shelf]:
    made = Shelf(room, Clock(now=asyncio.get_running_loop().time))
    try:
        yield made
    finally:
        await made.close()


def block(letter: str, size: int = BLOCK) -> bytes:
    return letter.encode() * size


async def speak(kept: Recordings, keys: str) -> None:
    """A recording of one block for each key."""
    for key in keys:
        recording = kept.open(key, 24000, SpeechRequest())
        recording.add(block(key))
        recording.close(complete=True)
        await kept.shelf.settled()


def there(kept: Recordings, keys: str) -> str:
    return "".join(key for key in keys if (found := kept.find(key)) is not None and found.complete)


@virtual_time
async def test_the_disk_is_not_touched_while_memory_has_room(disk: Disk) -> None:
    async with shelf(3 * BLOCK) as kept:
        blocks = [kept.put(block(letter)) for letter in "abc"]
        await kept.settled()
        assert [await kept.read(one) for one in blocks] == [block(letter) for letter in "abc"]
        assert (disk.writes, kept.on_disk) == (0, 0)


@virtual_time
async def test_a_short_block_comes_back_as_short_as_it_was(disk: Disk) -> None:
    async with shelf(1) as kept:
        long, short = kept.put(block("a")), kept.put(block("b", 10))
        await kept.settled()
        assert (short.data, kept.in_memory) == (None, 0)
        assert [await kept.read(long), await kept.read(short)] == [block("a"), block("b", 10)]


@virtual_time
async def test_many_blocks_are_moved_at_a_time(disk: Disk) -> None:
    async with shelf(1) as kept:
        blocks = [kept.put(bytes([number]) * BLOCK) for number in range(40)]
        await kept.settled()
        assert (disk.writes, kept.on_disk) == (2, 40)
        assert [await kept.read(one) for one in blocks] == [bytes([number]) * BLOCK for number in range(40)]


@virtual_time
async def test_a_disk_that_takes_a_part_at_a_time_gets_all(monkeypatch: pytest.MonkeyPatch) -> None:
    write = os.pwritev
    monkeypatch.setattr(os, "pwritev", lambda fd, pieces, at: write(fd, [b"".join(pieces)[:50_001]], at))
    async with shelf(1) as kept:
        blocks = [kept.put(block(letter, size)) for letter, size in zip("abcd", (BLOCK, 10, BLOCK, 7), strict=True)]
        await kept.settled()
        read = [await kept.read(one) for one in blocks]
    assert read == [block(letter, one.size) for letter, one in zip("abcd", blocks, strict=True)]


@virtual_time
async def test_places_between_others_are_used_again(disk: Disk) -> None:
    async with shelf(1) as kept:
        blocks = [kept.put(block(letter)) for letter in "abcdefgh"]
        await kept.settled()
        for one in blocks[1::3]:
            kept.drop(one)
        more = [kept.put(block(letter)) for letter in "wxyz"]
        await kept.settled()
        stay = [one for one in blocks if one not in blocks[1::3]]
        assert b"".join([(await kept.read(one))[:1] for one in (*stay, *more)]) == b"acdfgwxyz"
        assert kept.on_disk == 9
        # Three where others were, and one behind them.
        assert sorted(one.number or 0 for one in more) == [1, 4, 7, 8]


@virtual_time
async def test_a_block_that_is_dropped_while_it_is_written_leaves_nothing(disk: Disk) -> None:
    async with shelf(1) as kept:
        disk.ready.clear()
        one = kept.put(block("a"))
        moving = asyncio.create_task(kept.settled())
        await asyncio.sleep(0)
        kept.drop(one)
        disk.ready.set()
        await moving
        assert (kept.in_memory, kept.on_disk) == (0, 0)


@virtual_time
async def test_blocks_can_be_read_while_the_disk_is_slow(disk: Disk) -> None:
    async with shelf(BLOCK) as kept:
        disk.ready.clear()
        blocks = [kept.put(block(letter)) for letter in "ab"]
        assert [await kept.read(one) for one in blocks] == [block("a"), block("b")]
        assert not kept.fits(BLOCK)
        disk.ready.set()
        await kept.settled()
        assert kept.fits(BLOCK)


@virtual_time
async def test_a_full_disk_leaves_what_is_in_memory_and_is_tried_again_later(
    disk: Disk, caplog: pytest.LogCaptureFixture
) -> None:
    async with shelf(2 * BLOCK) as kept:
        disk.full = True
        blocks = [kept.put(block(letter)) for letter in "abc"]
        await kept.settled()
        assert (kept.in_memory, kept.on_disk, kept.fits(1)) == (3 * BLOCK, 0, False)
        blocks.append(kept.put(block("d")))
        await kept.settled()
        assert disk.writes == 1
        # Not what is said of something else, such as what an earlier test has left to be collected.
        assert [record.getMessage() for record in caplog.records if record.name.startswith("gateway.")] == [
            "recordings cannot be written to the disk, fewer are kept: No space left on device"
        ]
        disk.full = False
        await asyncio.sleep(31)
        blocks.append(kept.put(block("e")))
        await kept.settled()
        assert (kept.in_memory, kept.on_disk, kept.fits(1)) == (2 * BLOCK, 3, True)
        assert [await kept.read(one) for one in blocks] == [block(letter) for letter in "abcde"]


@virtual_time
async def test_a_full_disk_costs_recordings_and_not_speech(disk: Disk) -> None:
    disk.full = True
    kept = Recordings(100 * BLOCK, 60.0, Clock(now=asyncio.get_running_loop().time), memory=2 * BLOCK)
    recording = kept.open("a", 24000, SpeechRequest())
    for _ in range(10):
        recording.add(block("a"))
        await kept.shelf.settled()
    assert recording.truncated
    assert recording.size == 3 * BLOCK
    recording.close(complete=True)
    assert not recording.complete
    again = kept.open("b", 24000, SpeechRequest())
    again.add(block("b"))
    again.close(complete=True)
    assert again.complete
    await kept.close()


@virtual_time
async def test_a_full_disk_costs_none_of_the_recordings_that_are_on_it(disk: Disk) -> None:
    kept = Recordings(100 * BLOCK, 600.0, Clock(now=asyncio.get_running_loop().time), memory=2 * BLOCK)
    await speak(kept, "abcd")
    assert kept.shelf.on_disk == 2
    disk.full = True
    await speak(kept, "efghij")
    # Those that are on the disk, and of the others the newest for which memory has room.
    assert there(kept, "abcdefghij") == "abij"
    await kept.close()


@virtual_time
async def test_a_disk_that_has_room_again_is_used_again(disk: Disk) -> None:
    kept = Recordings(100 * BLOCK, 600.0, Clock(now=asyncio.get_running_loop().time), memory=2 * BLOCK)
    disk.full = True
    await speak(kept, "abcd")
    disk.full = False
    await speak(kept, "ef")
    assert (there(kept, "abcdef"), kept.shelf.on_disk) == ("ef", 0)
    await asyncio.sleep(31)
    await speak(kept, "ghi")
    assert (there(kept, "abcdefghi"), kept.shelf.on_disk) == ("efghi", 3)
    await kept.close()


def test_a_file_that_cannot_be_made_is_an_error_of_the_write() -> None:
    def refuse() -> IO[bytes]:
        raise OSError(errno.EROFS, "Read-only file system")

    async def main() -> None:
        spool = Spool(refuse)
        with pytest.raises(OSError, match="Read-only"):
            await spool.write([b"a"])
        assert spool.used == 0
        spool.close()

    asyncio.run(main())


def test_the_file_has_no_name_and_its_descriptor_is_given_back() -> None:
    made: list[IO[bytes]] = []

    def create() -> IO[bytes]:
        made.append(tempfile.TemporaryFile())  # noqa: SIM115 - the spool closes it
        return made[0]

    async def main() -> None:
        spool = Spool(create)
        [number] = await spool.write([b"a"])
        assert os.fstat(made[0].fileno()).st_nlink == 0
        assert (await spool.read(number))[:1] == b"a"
        spool.close()
        assert made[0].closed

    asyncio.run(main())
