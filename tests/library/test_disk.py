"""What the folder of voices survives beside a kill."""

from __future__ import annotations

import os
import stat
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from gateway.errors import Overloaded
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
