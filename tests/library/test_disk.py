"""What the folder of voices survives beside a kill."""

from __future__ import annotations

import asyncio
import fcntl
import os
import stat
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from gateway.errors import Overloaded
from gateway.library import disk as disk_module
from gateway.library import folder as folder_module
from gateway.library.disk import DiskStore
from tests.library.records import ROOM, a_prompt, a_voice


@pytest.fixture
async def store(tmp_path: Path) -> AsyncIterator[DiskStore]:
    made = DiskStore(tmp_path / "of" / "voices")
    await made.open()
    yield made
    await made.close()


def file_of(tmp_path: Path) -> Path:
    (found,) = (tmp_path / "of" / "voices").glob("*.voice")
    return found


async def ids(store: DiskStore) -> list[str]:
    snapshot = await store.snapshot()
    assert snapshot is not None
    return sorted(voice.id for voice in snapshot.voices)


async def test_the_folder_and_its_files_are_their_owners_alone(tmp_path: Path, store: DiskStore) -> None:
    await store.add(a_voice(), a_prompt(), ROOM)
    assert stat.S_IMODE((tmp_path / "of" / "voices").stat().st_mode) == 0o700
    assert stat.S_IMODE(file_of(tmp_path).stat().st_mode) == 0o600


@pytest.mark.parametrize(
    "broken",
    [
        b"",
        b"voxwire voice 1\n",
        b"voxwire voice 1\n{}\n",
        b"voxwire voice 1\nno JSON\nprompt",
        b"another file\n{}\n",
        b"\xff" * 100_000,
    ],
    ids=["empty", "no record", "not a voice", "no JSON", "another kind", "long noise"],
)
async def test_a_file_that_is_no_voice_is_left_alone(tmp_path: Path, store: DiskStore, broken: bytes) -> None:
    stranger = tmp_path / "of" / "voices" / f"{'0' * 32}.voice"
    stranger.write_bytes(broken)
    await store.add(a_voice(), a_prompt(), ROOM)
    assert await ids(store) == ["anna"]
    assert stranger.read_bytes() == broken


STRANGERS: dict[str, Callable[[Path], object]] = {
    "a folder": Path.mkdir,
    "a pipe": os.mkfifo,
    "a link to itself": lambda path: path.symlink_to(path.name),
    "a link to nowhere": lambda path: path.symlink_to("nowhere"),
    "a link without an end": lambda path: path.symlink_to("/dev/zero"),
}


@pytest.mark.parametrize("kind", STRANGERS)
async def test_what_is_not_even_a_file_is_left_alone(tmp_path: Path, store: DiskStore, kind: str) -> None:
    folder = tmp_path / "of" / "voices"
    for name in (f"{'0' * 32}.voice", f"{'0' * 32}.unfinished"):
        STRANGERS[kind](folder / name)
    async with asyncio.timeout(60):
        await store.add(a_voice(), a_prompt(), ROOM)
        assert await ids(store) == ["anna"]
        again = DiskStore(folder)
        await again.open()
        assert await ids(again) == ["anna"]
        await again.close()
    assert f"{'0' * 32}.voice" in [path.name for path in folder.iterdir()]


async def test_every_folder_that_is_made_is_there_for_good(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    synced: list[Path] = []
    monkeypatch.setattr(folder_module, "_sync", synced.append)
    (tmp_path / "there").mkdir()
    await DiskStore(tmp_path / "there" / "is" / "none" / "yet").open()
    assert set(synced) == {tmp_path / "there" / "is" / "none", tmp_path / "there" / "is", tmp_path / "there"}
    synced.clear()
    await DiskStore(tmp_path / "there" / "is" / "none" / "yet").open()
    assert synced == []


async def test_a_lock_that_leads_elsewhere_is_not_followed(tmp_path: Path) -> None:
    folder, elsewhere = tmp_path / "voices", tmp_path / "elsewhere"
    folder.mkdir()
    (folder / "lock").symlink_to(elsewhere)
    with pytest.raises(OSError):
        await DiskStore(folder).open()
    assert not elsewhere.exists()


async def test_a_voice_whose_name_could_not_be_made_to_last_is_not_there(
    store: DiskStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(_: Path) -> None:
        raise OSError(5, "Input/output error")

    voice = a_voice()
    with monkeypatch.context() as patch:
        patch.setattr(folder_module, "_sync", broken)
        with pytest.raises(Overloaded):
            await store.add(voice, a_prompt(), ROOM)
    assert await ids(store) == []
    await store.add(voice, a_prompt(), ROOM)


@contextmanager
def occupied(tmp_path: Path) -> Iterator[None]:
    """Another process is in the middle of a change, and stays there."""
    lock = os.open(tmp_path / "of" / "voices" / "lock", os.O_RDWR)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield
    finally:
        os.close(lock)


async def test_a_process_that_stops_in_a_change_keeps_the_others_for_seconds_only(
    tmp_path: Path, store: DiskStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(disk_module, "PATIENCE", 0.1)
    anna = a_voice()
    await store.add(anna, a_prompt(), ROOM)
    with occupied(tmp_path):
        async with asyncio.timeout(60):
            with pytest.raises(Overloaded):
                await store.add(a_voice("other"), a_prompt(), ROOM)
            with pytest.raises(Overloaded):
                await store.remove(anna)
            with pytest.raises(TimeoutError):
                await DiskStore(tmp_path / "of" / "voices").open()
    await store.add(a_voice("other"), a_prompt(), ROOM)
    assert await ids(store) == ["anna", "other"]


async def test_changes_that_wait_hold_up_neither_reading_nor_anything_else(tmp_path: Path, store: DiskStore) -> None:
    anna = a_voice()
    await store.add(anna, a_prompt(), ROOM)
    with occupied(tmp_path):
        waiting = [asyncio.create_task(store.remove(a_voice(f"v{number}"))) for number in range(50)]
        await asyncio.sleep(0)
        async with asyncio.timeout(60):
            assert await ids(store) == ["anna"]
            assert await store.prompt(anna) == a_prompt()
            assert await asyncio.to_thread(len, "other work") == 10
    assert not any(await asyncio.gather(*waiting))


async def test_a_change_that_is_cancelled_before_its_turn_is_not_made(tmp_path: Path, store: DiskStore) -> None:
    with occupied(tmp_path):
        first = asyncio.create_task(store.add(a_voice("first"), a_prompt(), ROOM))
        second = asyncio.create_task(store.add(a_voice("second"), a_prompt(), ROOM))
        await asyncio.sleep(0)
        second.cancel()
        await asyncio.wait([second])
    await first
    assert await ids(store) == ["first"]


async def test_a_store_that_is_closed_is_away(store: DiskStore) -> None:
    voice = a_voice()
    await store.add(voice, a_prompt(), ROOM)
    await store.close()
    with pytest.raises(Overloaded):
        await store.prompt(voice)


@pytest.mark.parametrize("cut", [1, 500, 1200])
async def test_a_voice_that_was_cut_off_is_none(tmp_path: Path, store: DiskStore, cut: int) -> None:
    await store.add(a_voice(), a_prompt(), ROOM)
    file = file_of(tmp_path)
    file.write_bytes(file.read_bytes()[:-cut])
    again = DiskStore(tmp_path / "of" / "voices")
    await again.open()
    assert await ids(again) == []


async def test_a_copy_of_a_voice_under_another_name_is_none(tmp_path: Path, store: DiskStore) -> None:
    await store.add(a_voice(), a_prompt(), ROOM)
    file_of(tmp_path).with_name(f"{'1' * 32}.voice").write_bytes(file_of(tmp_path).read_bytes())
    assert await ids(store) == ["anna"]


async def test_a_disk_that_is_full_keeps_nothing_and_the_caller_is_told_to_come_later(
    tmp_path: Path, store: DiskStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: Any) -> None:
        raise OSError(28, "No space left on device", "/a/path")

    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", full)
        with pytest.raises(Overloaded, match="cannot be asked now") as error:
            await store.add(a_voice(), a_prompt(), ROOM)
    assert "/a/path" not in error.value.message
    assert [path.name for path in (tmp_path / "of" / "voices").iterdir()] == ["lock"]
    await store.add(a_voice(), a_prompt(), ROOM)
    assert await ids(store) == ["anna"]


async def test_a_folder_that_cannot_be_made_is_said_at_the_start(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(OSError):
        await DiskStore(tmp_path / "file" / "voices").open()


async def test_a_folder_that_goes_away_meanwhile_is_an_outage(tmp_path: Path, store: DiskStore) -> None:
    voice = a_voice()
    await store.add(voice, a_prompt(), ROOM)
    (tmp_path / "of").rename(tmp_path / "elsewhere")
    with pytest.raises(Overloaded):
        await store.snapshot()
    with pytest.raises(Overloaded):
        await store.add(a_voice("other"), a_prompt(), ROOM)
    (tmp_path / "elsewhere").rename(tmp_path / "of")
    assert await ids(store) == ["anna"]
    assert await store.prompt(voice) == a_prompt()
