"""The text of a conversation on its way to the service, session by session."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

from providers.base import Segment

_Next = asyncio.Task[Segment | None]


class Text:
    """Takes segments as they come. Those of the running session are kept: it may have to be begun again."""

    def __init__(self, segments: AsyncIterator[Segment]) -> None:
        self._segments = segments
        self._next: _Next | None = None
        self._ended = False
        self._over = False
        """The session that runs gets no more."""
        self.session: list[str] = []
        """The texts of the session that runs, or of the last one."""
        self.before = 0
        """Segments of the sessions before it."""

    async def begin(self) -> Segment | None:
        """The first segment of another session, whenever it comes. ``None`` when there is no more text."""
        self.before += len(self.session)
        self.session, self._over = [], False
        while (segment := await self._take(None)) is not None:
            if letters(segment.text):
                self.session.append(_plain(segment.text))
                return segment
            # A flush of nothing, or what nobody can speak.
            self.before += bool(segment.text)
        return None

    async def more(self, patience: float) -> str | None:
        """The next text of the session. ``None`` where it is to be finished: there is no more, or it shall be spoken
        now, or nothing has come for ``patience`` seconds."""
        if self._over:
            return None
        try:
            segment = await self._take(patience)
        except TimeoutError:
            segment = None
        if segment is None or not segment.text:
            self._over = True
            return None
        self.session.append(_plain(segment.text))
        return self.session[-1]

    def spoken(self, characters: int) -> int:
        """How many segments are spoken when so many letters of the session are."""
        count = 0
        for text in self.session:
            characters -= letters(text)
            if characters < 0:
                break
            count += 1
        return self.before + count

    async def close(self) -> None:
        """Leave the iterator alone."""
        if self._next is not None:
            self._next.cancel()
            await asyncio.wait([self._next])

    async def _take(self, patience: float | None) -> Segment | None:
        """The next segment. One that is late is not lost: it is the next that is taken."""
        if self._ended:
            return None
        if self._next is None:
            self._next = asyncio.create_task(self._pull())
        await asyncio.wait([self._next], timeout=patience)
        if not self._next.done():
            raise TimeoutError
        segment, self._next = self._next.result(), None
        self._ended = segment is None
        return segment

    async def _pull(self) -> Segment | None:
        return await anext(self._segments, None)


def letters(text: str) -> int:
    """Letters and digits: without one there is nothing to speak."""
    return sum(map(str.isalnum, text))


def _plain(text: str) -> str:
    """What can be written as UTF-8."""
    return text.encode(errors="replace").decode()
