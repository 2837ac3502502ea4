"""What every store promises, in memory, on the disk and in Redis."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence

import pytest

from gateway.errors import LibraryFull, VoiceExists
from gateway.library.store import Room, Store
from gateway.library.voice import MAX_PROMPT, LibraryVoice
from tests.library.records import ROOM, a_prompt, a_voice


async def kept(store: Store) -> Sequence[LibraryVoice]:
    snapshot = await store.snapshot()
    assert snapshot is not None
    return sorted(snapshot.voices, key=lambda voice: voice.id)


async def test_what_is_added_is_kept_as_it_was(store: Store) -> None:
    prompt = bytes(range(256)) * 40
    voice = a_voice(prompt=prompt, gender="female", description="calm,\nand \u00e4lter", name="Anna \u5c0f\u660e")
    await store.add(voice, prompt, ROOM)
    assert await kept(store) == [voice]
    assert await store.prompt(voice) == prompt


async def test_a_prompt_may_be_as_large_as_any(store: Store) -> None:
    prompt = a_prompt(MAX_PROMPT)
    voice = a_voice(prompt=prompt)
    await store.add(voice, prompt, ROOM)
    assert await store.prompt(voice) == prompt


async def test_what_is_removed_is_gone(store: Store) -> None:
    first, second = a_voice("first"), a_voice("second")
    for voice in (first, second):
        await store.add(voice, a_prompt(), ROOM)
    assert await store.remove(first) is True
    assert await kept(store) == [second]
    assert await store.prompt(first) is None
    assert await store.remove(first) is False


async def test_an_owner_has_a_voice_of_one_id_once_and_others_may_have_theirs(store: Store) -> None:
    first, other = a_voice(owner="web"), a_voice(owner="phone")
    await store.add(first, a_prompt(), ROOM)
    with pytest.raises(VoiceExists):
        await store.add(a_voice(owner="web"), a_prompt(), ROOM)
    await store.add(other, a_prompt(), ROOM)
    assert {voice.token for voice in await kept(store)} == {first.token, other.token}


async def test_a_voice_that_was_made_again_is_not_removed_in_place_of_the_old_one(store: Store) -> None:
    old, new = a_voice(), a_voice()
    await store.add(old, a_prompt(), ROOM)
    await store.remove(old)
    await store.add(new, a_prompt(), ROOM)
    assert await store.remove(old) is False
    assert await kept(store) == [new]
    assert await store.prompt(new) == a_prompt()


async def test_an_owner_has_so_many_voices_and_one_that_is_removed_makes_room(store: Store) -> None:
    room = Room(voices=2, total=1_000_000)
    voices = [a_voice(f"v{number}") for number in range(3)]
    for voice in voices[:2]:
        await store.add(voice, a_prompt(), room)
    with pytest.raises(LibraryFull):
        await store.add(voices[2], a_prompt(), room)
    await store.add(a_voice("v2", owner="phone"), a_prompt(), room)
    await store.remove(voices[0])
    await store.add(voices[2], a_prompt(), room)


async def test_the_prompts_of_all_owners_have_so_many_bytes(store: Store) -> None:
    room = Room(voices=100, total=2500)
    first = a_voice("a", owner="web")
    await store.add(first, a_prompt(), room)
    await store.add(a_voice("b", owner="phone"), a_prompt(), room)
    with pytest.raises(LibraryFull):
        await store.add(a_voice("c", owner="desk"), a_prompt(), room)
    await store.remove(first)
    await store.add(a_voice("c", owner="desk"), a_prompt(), room)


async def test_of_many_who_add_at_once_one_gets_the_id_and_the_last_room(store: Store) -> None:
    room = Room(voices=5, total=1_000_000)

    async def add(id: str) -> bool:
        try:
            await store.add(a_voice(id), a_prompt(), room)
        except (VoiceExists, LibraryFull):
            return False
        return True

    same = await asyncio.gather(*(add("same") for _ in range(8)))
    assert sum(same) == 1
    several = await asyncio.gather(*(add(f"v{number}") for number in range(8)))
    assert sum(several) == 4
    assert len(await kept(store)) == 5


async def test_a_snapshot_is_only_made_where_something_has_changed(store: Store) -> None:
    empty = await store.snapshot()
    assert empty is not None
    assert list(empty.voices) == []
    assert await store.snapshot(empty.version) is None
    voice = a_voice()
    await store.add(voice, a_prompt(), ROOM)
    one = await store.snapshot(empty.version)
    assert one is not None
    assert await store.snapshot(one.version) is None
    await store.remove(voice)
    none = await store.snapshot(one.version)
    assert none is not None
    assert list(none.voices) == []


async def test_a_second_store_finds_what_the_first_has_kept(share_store: Callable[[], Store]) -> None:
    first, second = share_store(), share_store()
    await first.open()
    await second.open()
    voice = a_voice()
    before = await second.snapshot()
    assert before is not None
    await first.add(voice, a_prompt(), ROOM)
    assert await kept(second) == [voice]
    assert await second.snapshot(before.version) is not None
    assert await second.prompt(voice) == a_prompt()
    with pytest.raises(VoiceExists):
        await second.add(a_voice(), a_prompt(), ROOM)
    assert await second.remove(voice) is True
    assert await first.remove(voice) is False
    await first.close()
    assert await kept(second) == []
    await second.close()
    await second.close()
