"""Many texts in one request: the answers in their order, and each failure alone."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterator, Sequence
from dataclasses import replace
from itertools import repeat

import orjson
import pybase64

from audio import wav
from gateway.dialects.batch import Made, run, spoken
from gateway.dialects.detail import DetailAnswer, refused, told
from gateway.dialects.qwen_tts_server.answers import BatchRest
from gateway.dialects.qwen_tts_server.speaking import DIALECT, Wanted
from gateway.dialects.responder import FileForm
from gateway.errors import BadRequest, VoxwireError
from gateway.events import Audio, Ended
from gateway.runtime import Gateway
from gateway.session.session import Emit, Plan
from providers.base import SAMPLE_WIDTH

DEFAULT_RATE = 24_000
"""Hz, of an answer without any sound."""

MAX_BYTES = 16 * 1024 * 1024
"""Of one request."""

_PIECE = 48 * 1024
"""Bytes of sound that are sent at once: base64 takes three at a time."""

FORM = FileForm(DIALECT, {"content-type": "application/json"}, refused)


class Batch:
    """One request. ``plan`` finds, or makes, what a text is spoken with; ``rate`` (Hz) is that of all the sound."""

    def __init__(
        self, gateway: Gateway, wanted: Sequence[Wanted], plan: Callable[[Wanted], Awaitable[Plan]], rate: int
    ) -> None:
        self._gateway = gateway
        self._wanted = [replace(one, batch=True, sample_rate=rate) for one in wanted]
        self._plan = plan
        self._rate = rate
        self._errors: list[DetailAnswer | None] = []

    async def produce(self, emit: Emit) -> None:
        count = 0

        async def write(data: bytes) -> None:
            nonlocal count
            await emit(Audio(data, count, 0, 0))
            count += 1

        async def say(index: int, outcome: Made | VoxwireError) -> None:
            await write(b"," if index else b'{"audios":[')
            for piece in self._said(outcome):
                await write(piece)

        await run(self._wanted, self._make, say, self._gateway.unsent, ordered=True)
        rest = BatchRest(errors=self._errors, sample_rate=self._rate)
        await write(b"]," + orjson.dumps(rest.model_dump())[1:])
        await emit(Ended(0.0, None, count))

    async def _make(self, wanted: Wanted) -> Made:
        planned = await self._plan(wanted)
        made = await spoken(self._gateway.sessions, planned, wanted.text, DIALECT)
        return Made(wav.header(planned.sample_rate, len(made.data) // SAMPLE_WIDTH) + made.data, made.seconds)

    def _said(self, outcome: Made | VoxwireError) -> Iterator[bytes]:
        """The element of ``audios``, in pieces: each has its own time to be taken in, and a long one does not keep the
        loop. That of ``errors`` is kept for the end."""
        if isinstance(outcome, Made):
            self._errors.append(None)
            yield b'"'
            for start in range(0, len(outcome.data), _PIECE):
                yield pybase64.b64encode(outcome.data[start : start + _PIECE])
            yield b'"'
        else:
            self._gateway.metrics.errors.labels(DIALECT, outcome.code).inc()
            self._errors.append(told(outcome))
            yield b"null"


async def common_rate(wanted: Sequence[Wanted], plan: Callable[[Wanted], Plan]) -> int:
    """That of the first text that can be planned: an answer has one rate."""
    for one in wanted:
        try:
            return plan(one).sample_rate
        except VoxwireError:
            # There may be a thousand, and others wait for the loop.
            await asyncio.sleep(0)
    return DEFAULT_RATE


def rows(texts: Sequence[str], **lists: Sequence[str | None] | None) -> list[tuple[str, tuple[str | None, ...]]]:
    """Each text and what the lists say of it: nothing, where one was left out. Raises ``BadRequest``."""
    for name, given in lists.items():
        if given is not None and len(given) != len(texts):
            raise BadRequest(f"{name} must have the same length as texts")
    columns = [repeat(None, len(texts)) if given is None else given for given in lists.values()]
    return list(zip(texts, zip(*columns, strict=True), strict=True))
