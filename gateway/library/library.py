"""The voice library of one gateway: makes voices, keeps them, finds them for their owner, and forgets them.

What is known of the voices is held in memory, for a voice is looked for on the way of every session; the prompts are
fetched when they are spoken with. What other gateways change in a shared store is known here within ``REFRESH``
seconds.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Iterable, Sequence

from pydantic import ValidationError

from gateway.admission.rate_limit import RateLimit
from gateway.clock import Clock
from gateway.errors import BadRequest, EngineError, Overloaded, UnknownLibraryVoice
from gateway.library.clip import Clips, Source
from gateway.library.making import Makers
from gateway.library.prompts import Prompts, removed
from gateway.library.store import Room, Snapshot, Store, away, exists, too_many
from gateway.library.voice import MAX_DESCRIPTION, LibraryVoice, Making, Wish, id_of
from providers.base import Clip, Cloning, Designing, Provider, ProviderError, Voice
from providers.registry import Providers

log = logging.getLogger(__name__)

REFRESH = 2.0
"""Seconds after which a shared store is asked whether something has changed, where it does not say so itself."""
_PROMPTS = 64 * 1024 * 1024
"""Bytes of prompts that are kept in memory beside those that are being spoken with."""


class Library:
    """Voices by their owner and id. An owner is a tenant (``admission.auth``); "" is everybody's, where no keys are.

    ``rate`` counts the voices that an owner makes.
    """

    def __init__(
        self,
        store: Store,
        providers: Providers,
        *,
        makers: Makers,
        clips: Clips,
        rate: RateLimit,
        room: Room,
        clock: Clock,
    ) -> None:
        self.clips = clips
        self._store = store
        self._providers = providers
        self._makers = makers
        self._rate = rate
        self._room = room
        self._clock = clock
        self._prompts = Prompts(store, _PROMPTS)
        self._index: dict[str, dict[str, LibraryVoice]] = {}
        self._version: object = None
        self._changes = 0
        """Made here: what was read before one of them is not what there is."""
        self._up = False
        """The store has answered when it was last asked for what there is."""
        self._watching: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Open the store and read what there is. One that is away keeps nobody from starting; one that cannot be used
        at all does, with an ``OSError``."""
        await self._store.open()
        await self._look()
        if self._store.shared:
            self._watching = asyncio.create_task(self._watch(), name="voice library")

    async def close(self) -> None:
        """Callable at any time, and twice."""
        if self._watching is not None:
            self._watching.cancel()
            await asyncio.wait([self._watching])
        await self._store.close()
        await self.clips.close()

    # ---- finding: nothing here waits

    def find(self, owner: str, voice: str | None, provider: str | None = None) -> LibraryVoice | None:
        """The owner's voice of that id; of that engine, where one is named."""
        found = self._index.get(owner, {}).get(voice) if voice else None
        return found if found is None or provider in (None, found.provider) else None

    def get(self, owner: str, voice: str) -> LibraryVoice:
        """As ``find``. Raises ``UnknownLibraryVoice``, and ``Overloaded`` where it is not known what there is."""
        found = self.find(owner, voice)
        if found is None:
            self.check()
            raise UnknownLibraryVoice("there is no such voice in the library")
        return found

    def list(self, owner: str) -> Sequence[LibraryVoice]:
        """The owner's voices, the oldest first. Raises ``Overloaded`` where it is not known what there is."""
        self.check()
        return self.known(owner)

    def known(self, owner: str) -> Sequence[LibraryVoice]:
        """As ``list``; empty where it is not known what there is."""
        return sorted(self._index.get(owner, {}).values(), key=lambda voice: (voice.created, voice.id))

    def usable(self, voice: LibraryVoice) -> bool:
        """Whether the engine that made it is here, and can speak."""
        try:
            return self._providers.engine(voice.provider).usable
        except ProviderError:
            return False

    @property
    def read(self) -> bool:
        """The store has answered since the start; until then it may have any voice."""
        return self._version is not None

    def check(self) -> None:
        """Raises ``Overloaded`` where it is not known what there is."""
        if not self.read:
            raise away()

    # ---- speaking

    async def voice(self, voice: LibraryVoice) -> Voice:
        """With its prompt, for the engine. Raises ``UnknownVoice`` where it was removed, and ``Overloaded``."""
        if not self._has(voice):
            raise removed()
        prompt = await self._prompts.of(voice)
        if not self._has(voice):
            # While it was read, so that it was forgotten before it was there.
            self._prompts.forget(voice.token)
            raise removed()
        return voice.spoken(prompt)

    def session_over(self) -> None:
        """A session has ended: whoever waits for a quiet engine looks again."""
        self._makers.session_over()

    # ---- making and removing

    async def create_from_clip(
        self, owner: str, wish: Wish, clip: Source, transcript: str | None = None
    ) -> LibraryVoice:
        """Make a voice like that of the clip, and keep it: it is kept for good when this returns.

        ``transcript`` is what is said in the clip. Raises ``BadRequest`` and what belongs to it (``BadClip``,
        ``BadUrl``), ``VoiceExists``, ``LibraryFull``, ``RateLimited``, ``Overloaded``, ``TimedOut`` and
        ``EngineError``.
        """
        making = self._admitted(owner, wish, self._makers.cloning)
        heard = await self.clips.hear(clip, transcript)
        return await self._keep(making, await self.clone(owner, heard, making.provider))

    async def create_from_description(self, owner: str, wish: Wish, description: str) -> LibraryVoice:
        """As ``create_from_clip``, from a description such as "a calm old man"."""
        _check_description(description)
        making = self._admitted(owner, wish, self._makers.designing, description)
        return await self._keep(making, await self.design(owner, description, wish.language, making.provider))

    async def clone(self, owner: str, clip: Clip, provider: str | None = None) -> Voice:
        """A voice that is not kept. ``clips.hear`` makes a ``Clip`` of a file."""

        async def clone(engine: Provider) -> Voice:
            assert isinstance(engine, Cloning)
            return await engine.clone(clip)

        return await self._makers.make(self._makers.cloning(provider), owner, clone)

    async def design(
        self, owner: str, description: str, language: str | None = None, provider: str | None = None
    ) -> Voice:
        """A voice that is not kept, from a description."""
        _check_description(description)

        async def design(engine: Provider) -> Voice:
            assert isinstance(engine, Designing)
            return await engine.design(description, language)

        return await self._makers.make(self._makers.designing(provider), owner, design)

    async def remove(self, owner: str, voice: str) -> None:
        """It is gone for good when this returns; who speaks with it speaks on. Raises ``UnknownLibraryVoice``, and
        ``Overloaded``."""
        found = self.get(owner, voice)
        gone = await self._store.remove(found)
        self._changes += 1
        if self._has(found):
            del self._index[owner][voice]
        self._prompts.forget(found.token)
        if not gone:
            raise UnknownLibraryVoice("there is no such voice in the library")

    # ----

    def _admitted(
        self, owner: str, wish: Wish, maker: Callable[[str | None], str], description: str | None = None
    ) -> Making:
        """What can be told before anything is spent on it."""
        self._rate.count(owner)
        if not self._up:
            raise away()
        making = Making(owner, wish.id or id_of(wish.name), wish, maker(wish.provider), description)
        own = self._index.get(owner, {})
        if making.id in own or any(known.id == making.id for _, known in self._providers.voices):
            raise exists()
        if len(own) >= self._room.voices:
            raise too_many(self._room)
        return making

    async def _keep(self, making: Making, made: Voice) -> LibraryVoice:
        try:
            # On a thread, because it looks at every byte of the prompt.
            voice = await asyncio.to_thread(making.made, made, self._clock.wall())
        except ValidationError as error:
            raise EngineError(f"engine {making.provider!r} made a voice that cannot be kept") from error
        await self._store.add(voice, made.prompt or b"", self._room)
        self._changes += 1
        self._index.setdefault(voice.owner, {})[voice.id] = voice
        return voice

    def _has(self, voice: LibraryVoice) -> bool:
        found = self.find(voice.owner, voice.id)
        return found is not None and found.token == voice.token

    # ---- what others change

    async def _watch(self) -> None:
        while True:
            try:
                await self._store.wait(REFRESH)
            except Overloaded:
                self._down()
                await asyncio.sleep(REFRESH)
            except Exception:
                log.exception("the voice library cannot be watched")
                await asyncio.sleep(REFRESH)
            await self._look()

    async def _look(self) -> None:
        """Read what there is, where it is not what is known."""
        try:
            changes = self._changes
            snapshot = await self._store.snapshot(self._version)
        except Overloaded:
            self._down()
            return
        except Exception:
            log.exception("the voice library cannot be read")
            self._down()
            return
        if not self._up and self._version is not None:
            log.info("the voice library can be read again")
        self._up = True
        # One that was read while something was changed here may be from before that: the next will do.
        if snapshot is not None and changes == self._changes:
            self._take(snapshot)

    def _take(self, snapshot: Snapshot) -> None:
        known = {voice.token for voice in self._all()}
        index: dict[str, dict[str, LibraryVoice]] = {}
        for voice in sorted(snapshot.voices, key=lambda voice: voice.created, reverse=True):
            index.setdefault(voice.owner, {})[voice.id] = voice
        self._index, self._version = index, snapshot.version
        for token in known - {voice.token for voice in self._all()}:
            self._prompts.forget(token)

    def _all(self) -> Iterable[LibraryVoice]:
        return (voice for own in self._index.values() for voice in own.values())

    def _down(self) -> None:
        if self._up or self._version is None:
            log.warning("the voice library cannot be asked; the voices that are known go on")
        self._up = False


def _check_description(description: str) -> None:
    if not 1 <= len(description) <= MAX_DESCRIPTION:
        raise BadRequest(f"a description has from 1 to {MAX_DESCRIPTION} characters")
