"""The engine: conversations with Volcano Engine's speech service."""

from __future__ import annotations

import logging
from collections.abc import AsyncGenerator, AsyncIterator, Mapping, Sequence
from contextlib import aclosing
from copy import copy
from typing import Any, ClassVar

from providers.base import (
    SAMPLE_WIDTH,
    Capabilities,
    EngineBusy,
    EngineUnavailable,
    PcmChunk,
    Segment,
    Spoken,
    UnknownVoice,
    Voice,
)
from providers.volcano import options as accepted
from providers.volcano.accounts import Accounts
from providers.volcano.credentials import Credentials
from providers.volcano.errors import Denied, NotGranted
from providers.volcano.settings import VolcanoSettings
from providers.volcano.speech import Speech
from providers.volcano.text import Text
from providers.volcano.voices import Service, Speaker, speakers

log = logging.getLogger(__name__)

_NO_ACCOUNT = (
    "engine 'volcano' has no account: set VOXWIRE_VOLCANO_API_KEY, "
    "or VOXWIRE_VOLCANO_APP_ID and VOXWIRE_VOLCANO_ACCESS_KEY"
)


class Volcano:
    """``settings``: from the environment where none are given."""

    id: ClassVar[str] = "volcano"
    capabilities: ClassVar[Capabilities] = Capabilities(
        streams=True, speed=True, speeds=(0.5, 2.0), native_words=True, max_characters=300, segments_at_once=1
    )
    option_names: ClassVar[frozenset[str]] = frozenset(accepted.Options.model_fields)

    def __init__(self, settings: VolcanoSettings | None = None) -> None:
        self._settings = settings or VolcanoSettings()
        self._speakers = speakers(
            self._settings.sample_rate, self._settings.voice, self._settings.voices, self._settings.resource
        )
        self._credentials = Credentials.of(self._settings)
        self._accounts = Accounts(self._settings)
        self._is_guest = False

    def with_credentials(self, credentials: Mapping[str, str]) -> Volcano:
        """The engine in another's name: it shares all but the account, and lives as long as this one."""
        guest = copy(self)
        guest._credentials = Credentials.read(credentials)
        guest._is_guest = True
        return guest

    @property
    def places(self) -> int:
        return self._settings.concurrency

    @property
    def account(self) -> str:
        return self._credentials.account

    @property
    def detail(self) -> str | None:
        """For ``voxwire doctor``: that it has started says nothing of an account."""
        return None if self._credentials.complete else "no account of its own: only for callers who bring one"

    def check(self, options: Mapping[str, Any]) -> Mapping[str, Any]:
        return accepted.check(options).model_dump(exclude_unset=True)

    async def start(self) -> None:
        if self._is_guest:
            return
        self._accounts.open()
        if not self._credentials.complete:
            # Requests may bring their own.
            log.warning("volcano: %s", _NO_ACCOUNT)
            return
        default = next(iter(self._speakers.values()))
        if default.service is not Service.BIDIRECTIONAL:
            return
        try:
            pool = self._accounts.get(self._credentials).pool
            pool.give_back(await pool.take(default.resource), default.resource)
        except (EngineBusy, EngineUnavailable, NotGranted) as error:
            # It may be well by the time that somebody speaks, or with another voice.
            log.warning("volcano: %s", error)

    async def close(self) -> None:
        if not self._is_guest:
            await self._accounts.close()

    async def voices(self) -> Sequence[Voice]:
        return tuple(speaker.voice for speaker in self._speakers.values())

    async def settled(self) -> None:
        """Wait until the service has given up every session that was cancelled."""
        await self._accounts.settled()

    async def synthesize(self, segment: Segment) -> AsyncGenerator[PcmChunk, None]:
        last = b""
        words: tuple[Any, ...] = ()
        async with aclosing(self.converse(_only(segment))) as items:
            async for item in items:
                # The last words come behind the last sound: one sample is kept to go with them.
                words += item.words
                if isinstance(item, PcmChunk):
                    pcm = last + item.pcm
                    pcm, last = pcm[:-SAMPLE_WIDTH], pcm[-SAMPLE_WIDTH:]
                    if pcm:
                        yield PcmChunk(pcm, words)
                        words = ()
        if last:
            yield PcmChunk(last, words)

    async def converse(self, segments: AsyncIterator[Segment]) -> AsyncGenerator[PcmChunk | Spoken, None]:
        account = self._accounts.get(self._credentials)
        text = Text(segments)
        try:
            if (first := await text.begin()) is None:
                return
            speech = Speech(account, self._speaker(first), self._credentials, self._settings, text)
            async with aclosing(speech.speak(first)) as items:
                async for item in items:
                    yield item
        finally:
            await text.close()

    def _speaker(self, segment: Segment) -> Speaker:
        found = self._speakers.get(segment.voice.id)
        if found is None:
            raise UnknownVoice("engine 'volcano' has no such voice; others can be set in VOXWIRE_VOLCANO_VOICES")
        if not self._credentials.complete:
            raise Denied(_NO_ACCOUNT)
        return found


async def _only(segment: Segment) -> AsyncGenerator[Segment, None]:
    yield segment
