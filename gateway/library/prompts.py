"""The prompts that are spoken with, kept in memory for a while: many sessions share one copy."""

from __future__ import annotations

import asyncio
from collections import OrderedDict

from gateway.errors import EngineError, UnknownVoice
from gateway.library.store import Store, away
from gateway.library.voice import LibraryVoice

_AT_A_TIME = 4
"""How many are read at a time; the others find most of what they want by then."""
_PATIENCE = 10.0
"""Seconds from the question to the answer, the wait for others included: whoever asks has an engine's place by then."""


class Prompts:
    """Those that were asked for last, in ``most`` bytes."""

    def __init__(self, store: Store, most: int) -> None:
        self._store = store
        self._most = most
        self._kept: OrderedDict[str, bytes] = OrderedDict()
        self._bytes = 0
        self._reading = asyncio.Semaphore(_AT_A_TIME)

    async def of(self, voice: LibraryVoice) -> bytes:
        """Raises ``UnknownVoice`` where it was removed, ``EngineError`` where it is not what was made, and
        ``Overloaded``."""
        if (found := self._find(voice.token)) is not None:
            return found
        try:
            async with asyncio.timeout(_PATIENCE):
                return await self._read(voice)
        except TimeoutError:
            raise away() from None

    def forget(self, token: str) -> None:
        self._bytes -= len(self._kept.pop(token, b""))

    async def _read(self, voice: LibraryVoice) -> bytes:
        async with self._reading:
            if (found := self._find(voice.token)) is not None:
                return found
            prompt = await self._store.prompt(voice)
            if prompt is None:
                raise removed()
            if not await asyncio.to_thread(voice.holds, prompt):
                raise EngineError("this voice of the library is damaged: remove it, and make it again")
        self._keep(voice.token, prompt)
        return prompt

    def _find(self, token: str) -> bytes | None:
        found = self._kept.get(token)
        if found is not None:
            self._kept.move_to_end(token)
        return found

    def _keep(self, token: str, prompt: bytes) -> None:
        self.forget(token)
        self._kept[token] = prompt
        self._bytes += len(prompt)
        while self._bytes > self._most:
            self.forget(next(iter(self._kept)))


def removed() -> UnknownVoice:
    return UnknownVoice("this voice was removed from the library")
