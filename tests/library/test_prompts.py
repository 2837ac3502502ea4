"""What voices are spoken with is kept in memory, within bounds, and read once for many."""

from __future__ import annotations

import asyncio

import pytest

from gateway.errors import EngineError, Overloaded, UnknownVoice
from gateway.library import prompts as module
from gateway.library.prompts import Prompts
from gateway.library.store import MemoryStore
from gateway.library.voice import LibraryVoice
from tests.library.records import ROOM, a_prompt, a_voice


class Counting(MemoryStore):
    def __init__(self) -> None:
        super().__init__()
        self.read = 0
        self.reading = 0
        self.most = 0
        self.hold = asyncio.Event()
        self.hold.set()

    async def prompt(self, voice: LibraryVoice) -> bytes | None:
        self.read += 1
        self.reading += 1
        self.most = max(self.most, self.reading)
        await self.hold.wait()
        self.reading -= 1
        return await super().prompt(voice)


async def some(store: MemoryStore, count: int) -> list[LibraryVoice]:
    voices = []
    for number in range(count):
        prompt = a_prompt(1000, number)
        voices.append(a_voice(f"v{number}", prompt=prompt))
        await store.add(voices[-1], prompt, ROOM)
    return voices


async def test_those_that_were_asked_for_last_are_kept_in_so_many_bytes() -> None:
    store = Counting()
    voices = await some(store, 4)
    prompts = Prompts(store, 3000)
    for voice in voices[:3]:
        await prompts.of(voice)
    for voice in voices[:3]:
        assert await prompts.of(voice) == await MemoryStore.prompt(store, voice)
    assert store.read == 3
    await prompts.of(voices[3])
    await prompts.of(voices[1])
    await prompts.of(voices[2])
    assert store.read == 4
    await prompts.of(voices[0])
    assert store.read == 5


async def test_one_larger_than_all_room_is_read_each_time() -> None:
    store = Counting()
    (voice,) = await some(store, 1)
    prompts = Prompts(store, 500)
    for _ in range(2):
        assert await prompts.of(voice) == a_prompt()
    assert store.read == 2


async def test_many_who_ask_at_once_read_few() -> None:
    store = Counting()
    (voice,) = await some(store, 1)
    prompts = Prompts(store, 10_000)
    store.hold.clear()
    asking = [asyncio.create_task(prompts.of(voice)) for _ in range(50)]
    await asyncio.sleep(0)
    store.hold.set()
    found = await asyncio.gather(*asking)
    assert all(prompt is found[0] for prompt in found[4:])
    assert (store.most, store.read) == (4, 4)


async def test_what_is_forgotten_is_read_again() -> None:
    store = Counting()
    (voice,) = await some(store, 1)
    prompts = Prompts(store, 10_000)
    await prompts.of(voice)
    prompts.forget(voice.token)
    prompts.forget(voice.token)
    await prompts.of(voice)
    assert store.read == 2
    await store.remove(voice)
    prompts.forget(voice.token)
    with pytest.raises(UnknownVoice):
        await prompts.of(voice)


@pytest.mark.parametrize("other", [a_prompt(1000, 9), a_prompt(999), a_prompt(1001), b"x"])
async def test_what_is_not_the_voices_own_is_not_given_out(other: bytes) -> None:
    store = MemoryStore()
    voice = a_voice()
    await store.add(voice, other, ROOM)
    with pytest.raises(EngineError, match="damaged"):
        await Prompts(store, 10_000).of(voice)


async def test_a_store_that_hangs_keeps_nobody_waiting_whoever_waits_before(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_PATIENCE", 0.2)
    store = Counting()
    voices = await some(store, 30)
    store.hold.clear()
    prompts = Prompts(store, 100_000)
    async with asyncio.timeout(60):
        answers = await asyncio.gather(*(prompts.of(voice) for voice in voices), return_exceptions=True)
    assert all(isinstance(answer, Overloaded) for answer in answers)
    store.hold.set()
    # On a thread, which a busy machine may let wait.
    monkeypatch.setattr(module, "_PATIENCE", 60.0)
    assert await prompts.of(voices[0]) == a_prompt(1000, 0)
