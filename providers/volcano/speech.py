"""One conversation: the sessions or requests that it takes, and the tries that each of them takes."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncGenerator
from contextlib import aclosing
from itertools import count

from providers.base import PcmChunk, ProviderError, Segment, Spoken
from providers.volcano.accounts import Account
from providers.volcano.answers import Sentence
from providers.volcano.bidirectional import session
from providers.volcano.credentials import Credentials
from providers.volcano.errors import silent
from providers.volcano.requests import Asking
from providers.volcano.settings import VolcanoSettings
from providers.volcano.text import Text
from providers.volcano.track import Track
from providers.volcano.voices import Service, Speaker

_FIRST_WAIT, _LONGEST_WAIT = 0.25, 4.0
"""Seconds before another try."""


class Speech:
    """``text`` in the voice of ``speaker``, and in the manner of each session's first segment."""

    def __init__(
        self, account: Account, speaker: Speaker, credentials: Credentials, settings: VolcanoSettings, text: Text
    ) -> None:
        self._account = account
        self._speaker = speaker
        self._credentials = credentials
        self._settings = settings
        self._text = text
        self._track = Track(speaker.voice.sample_rate)

    def speak(self, first: Segment) -> AsyncGenerator[PcmChunk | Spoken, None]:
        """All of it; ``first`` is what the text has begun with."""
        return self._answers(first) if self._speaker.service is Service.SMALL else self._sessions(first)

    def _asking(self, segment: Segment) -> Asking:
        return Asking(self._speaker, segment, self._credentials, self._settings)

    # ---- version 3

    async def _sessions(self, first: Segment | None) -> AsyncGenerator[PcmChunk | Spoken, None]:
        """One after the other, while there is text."""
        while first is not None:
            async with aclosing(self._session(self._asking(first))) as items:
                async for item in items:
                    yield item
            first = await self._text.begin()

    async def _session(self, asking: Asking) -> AsyncGenerator[PcmChunk | Spoken, None]:
        """What there is for one. It is begun again as long as nothing of it was heard."""
        text, track = self._text, self._track
        for tries in count():
            track.begin()
            heard, told = False, text.before
            try:
                async with aclosing(self._asked(asking)) as items:
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
                if heard:
                    raise
                await self._wait_for_another_try(error, tries)
        spoken, words = text.before + len(text.session), track.words()
        if words or spoken > told:
            yield Spoken(spoken, words)

    def _asked(self, asking: Asking) -> AsyncGenerator[bytes | Sentence, None]:
        if self._speaker.service is Service.UNIDIRECTIONAL:
            return self._account.requests.unidirectional(asking, self._text.session[0])
        return session(self._account.pool, asking, self._text, self._settings.finish_after)

    # ---- version 1

    async def _answers(self, first: Segment) -> AsyncGenerator[PcmChunk | Spoken, None]:
        """An answer comes when all of a segment is made. The next one is asked for while that is taken."""
        coming = asyncio.create_task(self._answer(first))
        try:
            while (answer := await coming) is not None:
                coming = asyncio.create_task(self._answer(None))
                for item in self._taken(answer[0]):
                    yield item
                yield Spoken(answer[1], self._track.words())
        finally:
            coming.cancel()
            await asyncio.wait([coming])

    def _taken(self, items: list[bytes | Sentence]) -> list[PcmChunk]:
        self._track.begin()
        chunks: list[PcmChunk] = []
        for item in items:
            if isinstance(item, Sentence):
                self._track.sentence(item)
            else:
                chunks += self._track.sound(item)
        return chunks

    async def _answer(self, segment: Segment | None) -> tuple[list[bytes | Sentence], int] | None:
        """Of the next segment, where none is given; and how many are spoken with it. ``None`` behind the last."""
        segment = segment or await self._text.begin()
        if segment is None:
            return None
        asking, text = self._asking(segment), self._text.session[0]
        for tries in count():
            try:
                async with aclosing(self._account.requests.whole(asking, text)) as items:
                    found = [item async for item in items]
                if not found:
                    raise silent()
                break
            except ProviderError as error:
                await self._wait_for_another_try(error, tries)
        return found, self._text.before + 1

    async def _wait_for_another_try(self, error: ProviderError, tries: int) -> None:
        """Raises ``error`` where there shall be none."""
        if not error.retryable or tries >= self._settings.retries:
            raise error
        # Two who were refused at once shall not come again at once.
        await asyncio.sleep(min(_LONGEST_WAIT, _FIRST_WAIT * 2.0**tries) * random.uniform(0.5, 1.0))
