"""Voices that are made for a request: like that of a clip, or as they are described."""

from __future__ import annotations

import asyncio
import hashlib
import uuid
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, replace
from weakref import WeakValueDictionary

from gateway.admission.auth import caller
from gateway.dialects.qwen_tts_server import languages
from gateway.dialects.qwen_tts_server.bodies import CreatePromptBody, ReferenceBody
from gateway.dialects.qwen_tts_server.speaking import Wanted, maker, with_voice
from gateway.errors import VoxwireError
from gateway.library import Wish
from gateway.runtime import Gateway
from gateway.session.session import Plan
from providers.base import Clip, Cloning, Designing, Voice

_KEPT_BYTES = 32 * 1024 * 1024
"""Of the prompts of the voices that were made last."""

Key = tuple[str, str, bytes]
"""Whose, of which engine, and made of what."""


Described = tuple[str | None, str]
"""A voice, and the language that it is to speak."""


def described_by(wanted: Wanted) -> Described:
    return wanted.instruct, wanted.language


@dataclass(frozen=True, slots=True)
class Reference:
    """A clip that was heard, and the engine that is to make a voice of it."""

    provider: str
    clip: Clip

    def digest(self) -> bytes:
        """Takes a few milliseconds."""
        return _digest(self.clip.pcm, self.clip.transcript)


class Makers:
    """Makes voices that are not kept, and knows for a while those that it has made: many requests bring the same."""

    def __init__(self, gateway: Gateway) -> None:
        self._gateway = gateway
        self._made: OrderedDict[Key, Voice] = OrderedDict()
        self._bytes = 0
        self._being_made: WeakValueDictionary[Key, asyncio.Lock] = WeakValueDictionary()

    # ---- from clips

    async def hear(self, body: ReferenceBody) -> Reference:
        """Raises ``NotServed``, ``BadRequest`` and what belongs to it, and ``Overloaded``."""
        provider = maker(self._gateway, Cloning)
        source, transcript = body.source(), body.transcript()
        return Reference(provider, await self._gateway.library.clips.hear(source, transcript))

    async def cloned(self, wanted: Wanted, reference: Reference) -> tuple[Plan, bool]:
        """The plan to speak with that voice, and whether it was known. Raises as ``Library.clone`` does."""
        owner, provider = caller.get(), reference.provider
        key = owner, provider, await asyncio.to_thread(reference.digest)
        voice, known = await self._voice(
            key, "clone", lambda: self._gateway.library.clone(owner, reference.clip, provider)
        )
        return with_voice(self._gateway, wanted, provider, voice), known

    # ---- from descriptions

    async def designed(self, wanted: Wanted) -> tuple[Plan, bool]:
        """The plan to speak with a voice as ``instruct`` describes it, and whether it was known. Raises ``NotServed``,
        and as ``Library.design`` does."""
        owner, provider = caller.get(), maker(self._gateway, Designing)
        description, language = wanted.instruct or "", languages.tag(wanted.language)
        key = owner, provider, _digest(description.encode(), language)
        voice, known = await self._voice(
            key, "design", lambda: self._gateway.library.design(owner, description, language, provider)
        )
        return with_voice(self._gateway, wanted, provider, voice), known

    async def design_all(self, wanted: Sequence[Wanted]) -> dict[Described, VoxwireError]:
        """Make what they describe, before any of it is spoken: an engine makes voices when nobody speaks with it.
        Returns what can never be made, and why."""
        failed: dict[Described, VoxwireError] = {}
        for described, one in {described_by(one): one for one in wanted}.items():
            try:
                await self.designed(one)
            except VoxwireError as error:
                if not error.retryable:
                    failed[described] = error
        return failed

    # ---- kept for a while

    async def _voice(self, key: Key, name: str, make: Callable[[], Awaitable[Voice]]) -> tuple[Voice, bool]:
        # One that is being made is waited for, and not made twice.
        async with self._being_made.setdefault(key, asyncio.Lock()):
            known = self._made.get(key)
            if known is not None:
                self._made.move_to_end(key)
                return known, True
            voice = replace(await make(), id=name, name=name.capitalize())
            self._keep(key, voice)
        return voice, False

    def _keep(self, key: Key, voice: Voice) -> None:
        self._forget(key)
        self._made[key] = voice
        self._bytes += len(voice.prompt or b"")
        while self._bytes > _KEPT_BYTES:
            self._forget(next(iter(self._made)))

    def _forget(self, key: Key) -> None:
        voice = self._made.pop(key, None)
        if voice is not None:
            self._bytes -= len(voice.prompt or b"")

    # ---- kept for good

    async def prompt(self, body: CreatePromptBody) -> str:
        """Make a voice of a clip and keep it in the library; the id that it has there. Raises as
        ``Library.create_from_clip`` does, and ``NotServed``."""
        provider = maker(self._gateway, Cloning)
        source, transcript = body.source(), body.transcript()
        wish = Wish(name=body.name, id=str(uuid.uuid4()), provider=provider)
        return (await self._gateway.library.create_from_clip(caller.get(), wish, source, transcript)).id

    def prompted(self, wanted: Wanted, prompt: str) -> Plan:
        """The plan to speak with a voice that was kept. Raises ``UnknownLibraryVoice``."""
        kept = self._gateway.library.get(caller.get(), prompt)
        return self._gateway.sessions.plan(replace(wanted.request(), voice=kept.id, provider=kept.provider))


def _digest(data: bytes, more: str | None) -> bytes:
    found = hashlib.sha256(data)
    # Nothing is not the same as an empty text.
    found.update(b"" if more is None else b"\0" + more.encode())
    return found.digest()
