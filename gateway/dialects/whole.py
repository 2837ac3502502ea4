"""Speech that is spoken to its end before any of it is sent, for answers that begin with its length.

Meanwhile it is kept as recordings are (``gateway/session/recording.py``): in memory, and on the disk beyond that,
within the bounds that a deployment sets for all of them. It is dropped when it has been sent, or nobody waits for it
any more. Nothing is sent before the end, so whatever goes wrong is an HTTP status.
"""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import Callable
from contextlib import aclosing
from dataclasses import dataclass

from gateway.dialects.responder import Produce, speech
from gateway.errors import NothingToSpeak, Overloaded
from gateway.events import Audio, Ended, Event, Failed
from gateway.runtime import Gateway
from gateway.session.recording import Recording
from gateway.session.session import Emit, Plan
from providers.base import SAMPLE_WIDTH


@dataclass(frozen=True, slots=True)
class Spoken:
    """How it went. Seconds, but for the samples and their rate (Hz)."""

    samples: int
    sample_rate: int
    ttfa: float
    """Until the first sound, a wait for a place included."""
    took: float
    """Until the last."""

    @property
    def duration(self) -> float:
        return self.samples / self.sample_rate


def whole(gateway: Gateway, plan: Plan, text: str, dialect: str, tell: Callable[[Spoken], None]) -> Produce:
    """Speak ``text`` by ``plan``, whose format is pcm16; then ``tell`` how it went, and say the sound.

    Raises ``Overloaded`` where there is no room for all of it.
    """

    async def produce(emit: Emit) -> None:
        token = uuid.uuid4().hex
        recording = gateway.recordings.open(token, plan.sample_rate, plan.request)
        listener = _Listener(gateway, recording)
        try:
            await speech(gateway.sessions, plan, text, dialect, token)(listener.take)
            tell(listener.spoken())
            await _say(recording, emit)
        finally:
            recording.close(complete=False)

    return produce


class _Listener:
    """Takes what a session says, as fast as it comes."""

    def __init__(self, gateway: Gateway, recording: Recording) -> None:
        self._clock = gateway.clock
        self._recording = recording
        self._began = gateway.clock.now()
        self._first: float | None = None

    async def take(self, event: Event) -> None:
        if type(event) is Audio:
            if self._first is None:
                self._first = self._clock.now()
            self._recording.add(bytes(event.data))
            if self._recording.truncated:
                raise Overloaded(
                    "there is no room to keep the whole speech until it ends; stream it, or try again later"
                )
        elif isinstance(event, Failed):
            raise event.error

    def spoken(self) -> Spoken:
        recording, first = self._recording, self._first
        if first is None:
            raise NothingToSpeak("the text made no sound")
        samples = recording.size // SAMPLE_WIDTH
        return Spoken(samples, recording.sample_rate, first - self._began, self._clock.now() - self._began)


async def _say(recording: Recording, emit: Emit) -> None:
    """All that was kept. The recording is open still, so that nobody else's takes its place."""
    count = position = 0
    async with aclosing(recording.follow()) as pieces:
        while position * SAMPLE_WIDTH < recording.size:
            piece = await anext(pieces)
            samples = len(piece) // SAMPLE_WIDTH
            await emit(Audio(piece, count, position, samples))
            count += 1
            position += samples
            # A client that takes all at once would otherwise keep the loop from everybody else.
            await asyncio.sleep(0)
    await emit(Ended(position / recording.sample_rate, None, count))
