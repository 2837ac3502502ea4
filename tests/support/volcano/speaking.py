"""Speaks the sentences of one session, whatever carries them."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Any

from tests.support.volcano.plans import Plan
from tests.support.volcano.speech import Manner, Sentence

if TYPE_CHECKING:
    from tests.support.volcano.service import Record, VolcanoService


class Ended(Exception):
    """The plan wants the session to end here."""

    def __init__(self, how: str) -> None:
        super().__init__(how)
        self.how = how


class Voice:
    """``send`` takes a piece of sound, ``mark`` an event of that name and what it says."""

    def __init__(
        self,
        service: VolcanoService,
        record: Record,
        plan: Plan,
        manner: Manner,
        *,
        second: bool,
        send: Callable[[bytes], Awaitable[None]],
        mark: Callable[[str, dict[str, Any]], Awaitable[None]],
    ) -> None:
        self._service = service
        self._record = record
        self._plan = plan
        self._manner = manner
        self._second = second
        self._send = send
        self._mark = mark
        self._encoder = manner.encoder()
        self._seconds = 0.0
        self._text = ""
        self._begun = False
        self._late: list[dict[str, Any]] = []

    async def say(self, text: str) -> None:
        """One sentence. Raises ``Ended``."""
        if self._plan.empty:
            return
        await self._begin()
        sentence = self._manner.sentence(text)
        if not self._second:
            await self._mark("start", {"res_params": {"text": text}})
        for piece in self._pieces(sentence.pcm):
            await self._piece(piece)
            # A subtitle comes when its sentence was recognised, and does not hold up the next one.
            await self._subtitles()
        await self._end(sentence)

    async def finish(self) -> None:
        """No more text."""
        if rest := self._encoder.finish():
            await self._out(rest)
        await self._subtitles()
        if self._second and self._begun:
            await self._mark("end", {"phonemes": [], "text": self._text, "words": []})

    async def _begin(self) -> None:
        if self._begun:
            return
        self._begun = True
        if self._plan.hold is not None:
            await self._plan.hold.wait()
        latency = self._service.pace.latency if self._plan.latency is None else self._plan.latency
        if latency:
            await asyncio.sleep(latency)
        if self._second:
            # Its text was seen to be empty.
            await self._mark("start", {"res_params": {"text": ""}})

    def _pieces(self, pcm: bytes) -> list[bytes]:
        size = self._manner.rate * self._service.pace.chunk_ms // 1000 * 2
        if self._service.odd:
            size -= 1
        return [pcm[at : at + size] for at in range(0, len(pcm), size)]

    async def _piece(self, pcm: bytes) -> None:
        if self._plan.chunks is not None and self._record.sent >= self._plan.chunks:
            raise Ended(self._plan.then)
        if self._record.sent == 0:
            pcm = self._service.first(pcm)
        await self._out(pcm if self._manner.format == "pcm" else self._encoder.encode(pcm))
        if self._service.pace.interval:
            await asyncio.sleep(self._service.pace.interval)

    async def _out(self, data: bytes) -> None:
        if data:
            self._record.sent += 1
            await self._send(data)
            self._service.changed()

    async def _end(self, sentence: Sentence) -> None:
        begin = 0.0 if self._service.relative_words else self._seconds
        words = [
            {**word, "startTime": word["startTime"] + begin, "endTime": word["endTime"] + begin}
            for word in sentence.words
        ]
        self._seconds += len(sentence.pcm) / 2 / self._manner.rate
        self._text += sentence.text
        said = {"phonemes": [], "text": sentence.text, "words": words}
        if not self._second:
            await self._mark("end", said)
        elif self._manner.timed:
            self._late.append(said)

    async def _subtitles(self) -> None:
        while self._late:
            await self._mark("subtitle", self._late.pop(0))
