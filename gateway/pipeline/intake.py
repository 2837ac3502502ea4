"""The text of a context on its way to the engine: what has come, and the segments that it was cut into."""

from __future__ import annotations

import asyncio
from collections import deque

from gateway.errors import TextTooLong
from gateway.pipeline.segmenter import Segmenter

_PIECE = 250
"""Characters that are segmented at once, in about 0.3 ms. The first sound waits for the first of them."""


class Intake:
    """At most ``limit`` characters wait. ``first`` and ``longest`` are the segmenter's; ``flushes``: a flush is told as
    a segment without text, behind those that it has cut."""

    def __init__(self, limit: int, first: int, longest: int, *, flushes: bool) -> None:
        self._limit = limit
        self._flushes = flushes
        self._segmenter = Segmenter(first_characters=min(first, longest), max_characters=longest)
        self._arrivals: deque[tuple[str, bool]] = deque()
        self._segments: deque[str] = deque()
        self._waiting = 0
        self._silent = 0
        self.ended = False
        """No more text will come."""

    # ---- the caller's end

    def add(self, text: str, *, flush: bool) -> None:
        """Raises ``TextTooLong`` when more would wait than the limit, and then takes nothing of it."""
        # What made no sound held nobody back: it counts for good, or text without sound would pile up for ever.
        if self._waiting + self._silent + len(text) > self._limit:
            raise TextTooLong(
                f"more than {self._limit} characters would wait to be spoken; "
                "send text as it is spoken, or in several contexts"
            )
        self._waiting += len(text)
        # Small pieces are joined, so that what waits is bounded in memory as it is in characters.
        if self._arrivals:
            last, flushed = self._arrivals[-1]
            if flushed and not text:
                return
            if not flushed and len(last) < _PIECE:
                self._arrivals[-1] = (last + text, flush)
                return
        self._arrivals.append((text, flush))

    def unspoken(self) -> str:
        """Text that has come and was not taken yet."""
        rest = "".join(self._segmenter.flush())
        return "".join(self._segments) + rest + "".join(text for text, _ in self._arrivals)

    # ---- the engine's end

    @property
    def ready(self) -> bool:
        """There is a segment to take."""
        return bool(self._segments)

    @property
    def arrived(self) -> bool:
        """Text has come that is to be cut."""
        return bool(self._arrivals)

    async def cut(self) -> None:
        """Cut a piece of what has come into segments. All at once, a long text would stop every other session."""
        text, flush = self._arrivals.popleft()
        if len(text) > _PIECE:
            self._arrivals.appendleft((text[_PIECE:], flush))
            text, flush = text[:_PIECE], False
        self._segments.extend(self._segmenter.feed(text))
        if flush:
            self._segments.extend(self._segmenter.flush())
            if self._flushes:
                self._segments.append("")
        if not self._segments:
            await asyncio.sleep(0)

    def cut_last(self) -> bool:
        """Once no more text comes: whether the last of it has become segments."""
        self._segments.extend(self._segmenter.flush())
        return self.ready

    def take(self) -> str:
        """The next segment."""
        text = self._segments.popleft()
        self._waiting -= len(text)
        return text

    def silent(self, characters: int) -> None:
        """So many of those that were taken made no sound."""
        self._silent += characters
