"""The engine: conversations with Volcano Engine's speech service."""

from __future__ import annotations

import asyncio
import logging
import random
from collections.abc import AsyncGenerator, AsyncIterator, Mapping, Sequence
from contextlib import aclosing
from copy import copy
from itertools import count
from typing import Any, ClassVar

from providers.base import (
    SAMPLE_WIDTH,
    Capabilities,
    EngineBusy,
    EngineUnavailable,
    PcmChunk,
    ProviderError,
    Segment,
    Spoken,
    UnknownVoice,
    Voice,
)
from providers.volcano import options as accepted
from providers.volcano.accounts import Account, Accounts
from providers.volcano.answers import Sentence
from providers.volcano.bidirectional import session
from providers.volcano.credentials import Credentials
from providers.volcano.errors import Denied, silent
from providers.volcano.requests import Asking
from providers.volcano.settings import VolcanoSettings
from providers.volcano.text import Text
from providers.volcano.track import Track
from providers.volcano.voices import Service, Speaker, speakers

log = logging.getLogger(__name__)

_FIRST_WAIT, _LONGEST_WAIT = 0.25, 4.0
"""Seconds before another try."""


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

    def check(self, options: Mapping[str, Any]) -> Mapping[str, Any]:
        return accepted.check(options).model_dump(exclude_unset=True)

    async def start(self) -> None:
        if self._is_guest:
            return
        if not self._credentials.complete:
            raise EngineUnavailable(
                "engine 'volcano' has no account: set VOXWIRE_VOLCANO_API_KEY, "
                "or VOXWIRE_VOLCANO_APP_ID and VOXWIRE_VOLCANO_ACCESS_KEY"
            )
        self._accounts.open()
        default = next(iter(self._speakers.values()))
        if default.service is not Service.BIDIRECTIONAL:
            return
        try:
            pool = self._accounts.get(self._credentials).pool
            pool.give_back(await pool.take(default.resource), default.resource)
        except (EngineBusy, EngineUnavailable) as error:
            # It may be well by the time that somebody speaks.
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
        text, track = Text(segments), None
        try:
            while (first := await text.begin()) is not None:
                speaker = self._speaker(first)
                track = track or Track(speaker.voice.sample_rate)
                asking = Asking(speaker, first, self._credentials, self._settings)
                async with aclosing(self._session(account, asking, text, track)) as items:
                    async for item in items:
                        yield item
        finally:
            await text.close()

    async def _session(
        self, account: Account, asking: Asking, text: Text, track: Track
    ) -> AsyncGenerator[PcmChunk | Spoken, None]:
        """What ``text`` has for one session. It is begun again as long as nothing of it was heard."""
        for tries in count():
            track.begin()
            heard, told = False, text.before
            try:
                async with aclosing(self._asked(account, asking, text)) as items:
                    async for item in items:
                        if isinstance(item, bytes):
                            for chunk in track.sound(item):
                                heard = True
                                yield chunk
                        else:
                            track.sentence(item)
                            if (spoken := text.spoken(track.letters)) > told:
                                told = spoken
                                yield Spoken(spoken, track.words())
                if not heard:
                    raise silent()
                break
            except ProviderError as error:
                if heard or not error.retryable or tries >= self._settings.retries:
                    raise
            await asyncio.sleep(_wait(tries))
        spoken, words = text.before + len(text.session), track.words()
        if words or spoken > told:
            yield Spoken(spoken, words)

    def _asked(self, account: Account, asking: Asking, text: Text) -> AsyncGenerator[bytes | Sentence, None]:
        match asking.speaker.service:
            case Service.BIDIRECTIONAL:
                return session(account.pool, asking, text, self._settings.finish_after)
            case Service.UNIDIRECTIONAL:
                return account.requests.unidirectional(asking, text.session[0])
            case Service.SMALL:
                return account.requests.whole(asking, text.session[0])

    def _speaker(self, segment: Segment) -> Speaker:
        found = self._speakers.get(segment.voice.id)
        if found is None:
            raise UnknownVoice("engine 'volcano' has no such voice; others can be set in VOXWIRE_VOLCANO_VOICES")
        if not self._credentials.complete:
            raise Denied("engine 'volcano' has no account")
        return found


async def _only(segment: Segment) -> AsyncGenerator[Segment, None]:
    yield segment


def _wait(tries: int) -> float:
    """Two who were refused at once shall not come again at once."""
    return min(_LONGEST_WAIT, _FIRST_WAIT * 2.0**tries) * random.uniform(0.5, 1.0)
