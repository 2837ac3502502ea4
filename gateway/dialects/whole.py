"""Speech that is spoken to its end before any of it is sent, for answers that begin with its length.

Meanwhile it is kept as recordings are (``gateway/session/recording.py``): in memory, and on the disk beyond that,
within the bounds that a deployment sets for all of them. It is dropped when it has been sent, or nobody waits for it
any more. Nothing is sent before the end, so whatever goes wrong is an HTTP status.
"""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import Callable, Mapping
from contextlib import aclosing
from dataclasses import dataclass
from typing import Any

import orjson
import pybase64
from starlette.responses import Response

from audio import wav
from gateway.dialects.responder import Produce, speech
from gateway.errors import NothingToSpeak, Overloaded, UnknownSession, VoxwireError
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

    @property
    def wav_header(self) -> bytes:
        return wav.header(self.sample_rate, self.samples)

    @property
    def wav_size(self) -> int:
        """Bytes, with the header."""
        return len(self.wav_header) + self.samples * SAMPLE_WIDTH


_NO_ROOM = "there is no room to keep the whole speech until it is sent: stream it, or try later"

Tell = Callable[[Spoken], None]
Describe = Callable[[Spoken], Mapping[str, Any]]


# ---- speaking


def whole(gateway: Gateway, plan: Plan, text: str, dialect: str, tell: Tell) -> Produce:
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
        except UnknownSession as error:
            raise Overloaded(_NO_ROOM) from error
        finally:
            recording.close(complete=False)
            gateway.recordings.forget(token)

    return produce


class _Listener:
    """Takes what a session says, as fast as it comes."""

    def __init__(self, gateway: Gateway, recording: Recording) -> None:
        self._clock = gateway.clock
        self._shelf = gateway.recordings.shelf
        self._recording = recording
        self._began = gateway.clock.now()
        self._first: float | None = None

    async def take(self, event: Event) -> None:
        if type(event) is Audio:
            if self._first is None:
                self._first = self._clock.now()
            await self._keep(bytes(event.data))
        elif isinstance(event, Failed):
            raise event.error

    async def _keep(self, pcm: bytes) -> None:
        if not self._shelf.fits(len(pcm)):
            # Nobody listens yet, so that this speech can wait for the disk.
            await self._shelf.settled()
        self._recording.add(pcm)
        if self._recording.truncated:
            raise Overloaded(_NO_ROOM)

    def spoken(self) -> Spoken:
        recording, first = self._recording, self._first
        if first is None:
            raise NothingToSpeak("the text made no sound")
        samples = recording.size // SAMPLE_WIDTH
        return Spoken(samples, recording.sample_rate, first - self._began, self._clock.now() - self._began)


async def _say(recording: Recording, emit: Emit) -> None:
    """All that was kept. From now on it is only kept for this listener, who may be slow, and makes room for others."""
    count = position = 0
    async with aclosing(recording.follow()) as pieces:
        async for piece in pieces:
            recording.close(complete=False)
            samples = len(piece) // SAMPLE_WIDTH
            await emit(Audio(piece, count, position, samples))
            count += 1
            position += samples
            # A client that takes all at once would otherwise keep the loop from everybody else.
            await asyncio.sleep(0)
    await emit(Ended(position / recording.sample_rate, None, count))


# ---- answering


class WholeWav:
    """A wav file. ``describe`` gives the headers beside its type and length."""

    def __init__(self, dialect: str, describe: Describe, refused: Callable[[VoxwireError], Response]) -> None:
        self.dialect = dialect
        self.refused = refused
        self._describe = describe
        self._spoken = Spoken(0, 1, 0.0, 0.0)

    def tell(self, spoken: Spoken) -> None:
        """Comes before anything else is asked."""
        self._spoken = spoken

    @property
    def headers(self) -> Mapping[str, str]:
        spoken = self._spoken
        length = str(spoken.wav_size)
        return {"content-type": "audio/wav", "content-length": length, **self._describe(spoken)}

    def audio(self, frame: Audio) -> bytes:
        return bytes(frame.data) if frame.sequence else self._spoken.wav_header + frame.data

    def ended(self, _: Ended) -> bytes:
        return b""

    def broken(self, _: VoxwireError) -> bytes:
        return b""


class WholeJson(WholeWav):
    """A JSON object whose first field, ``name``, is a wav file in base64; ``describe`` gives the others, at least one.
    It is written piece by piece, and never whole in memory."""

    def __init__(
        self, dialect: str, name: str, describe: Describe, refused: Callable[[VoxwireError], Response]
    ) -> None:
        super().__init__(dialect, describe, refused)
        self._opening = b'{%b:"' % orjson.dumps(name)
        self._rest = b""
        """The end of the file so far: base64 takes three bytes at a time."""

    @property
    def headers(self) -> Mapping[str, str]:
        base64 = (self._spoken.wav_size + 2) // 3 * 4
        length = len(self._opening) + base64 + len(self._closing)
        return {"content-type": "application/json", "content-length": str(length)}

    @property
    def _closing(self) -> bytes:
        return b'",' + orjson.dumps(self._describe(self._spoken))[1:]

    def audio(self, frame: Audio) -> bytes:
        data = self._rest + super().audio(frame)
        taken = len(data) // 3 * 3
        self._rest = data[taken:]
        opening = b"" if frame.sequence else self._opening
        return opening + pybase64.b64encode(data[:taken])

    def ended(self, _: Ended) -> bytes:
        return pybase64.b64encode(self._rest) + self._closing
