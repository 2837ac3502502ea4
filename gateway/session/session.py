"""One context from its start to its last event: it owns the tasks of its stages and leaves none behind."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from typing import Any

from audio.formats import AudioFormat
from gateway.admission.capacities import Capacities
from gateway.admission.capacity import Capacity
from gateway.clock import Clock
from gateway.errors import Internal, ListenerGone, NothingToSpeak, VoxwireError, from_provider
from gateway.events import (
    Cancelled,
    Ended,
    Event,
    Failed,
    Pace,
    Priority,
    Queued,
    SpeechRequest,
    SpokenWord,
    Started,
    Words,
)
from gateway.library import Library, LibraryVoice
from gateway.log import session_id
from gateway.metrics import Counted, Meter
from gateway.pipeline.alignment import TimedWord
from gateway.pipeline.pacing import Playback, Wheel
from gateway.pipeline.synthesis import Limits, Synthesis
from gateway.pipeline.transcoding import Transcoder, TranscodingPool, transcoder
from gateway.session.recording import Recorder, Recording
from gateway.session.state import Machine, Move
from providers.base import Accounted, Limited, Provider, ProviderError, Voice
from providers.registry import Providers

log = logging.getLogger(__name__)

Emit = Callable[[Event], Awaitable[None]]
"""Takes one event to the caller; returns when the caller's socket has room again."""


@dataclass(frozen=True, slots=True)
class Plan:
    """A request with every default filled in and everything in it found."""

    request: SpeechRequest
    provider: Provider
    voice: Voice
    format: AudioFormat
    sample_rate: int
    frame_samples: int
    bit_rate: int | None = None
    options: Mapping[str, Any] = field(default_factory=dict)
    """The engine's own, checked by it."""
    kept: LibraryVoice | None = None
    """The voice, where it is one of the library: what the engine needs of it is fetched when it is spoken with."""

    @property
    def batch(self) -> bool:
        """Nobody listens to it."""
        return self.request.priority is Priority.BATCH


@dataclass(frozen=True, slots=True)
class Resources:
    """What all sessions of a process share."""

    clock: Clock
    wheel: Wheel
    pool: TranscodingPool
    providers: Providers
    capacities: Capacities
    library: Library
    limits: Limits
    lead: float


def capacities(plan: Plan, resources: Resources) -> Sequence[Capacity]:
    """What a session needs a place of. The engine's comes first: whoever waits for it keeps nobody from others."""
    provider, places = plan.provider, resources.capacities
    if isinstance(provider, Limited):
        account = provider.account if isinstance(provider, Accounted) else None
        return places.engine(provider.id, provider.places, account), places.sessions
    return (places.sessions,)


class Session:
    """``text``, ``end`` and ``cancel`` may be called at any time; ``run`` says every event, in order.

    ``run`` is a coroutine that owns a TaskGroup in its own frame: whoever awaits it, or cancels it, gets back only
    when the engine was told to stop and every task of the session is over.
    """

    def __init__(
        self,
        token: str,
        plan: Plan,
        resources: Resources,
        meter: Meter,
        recording: Recording | None,
        *,
        tenant: str = "",
    ) -> None:
        self.token = token
        self.plan = plan
        self.tenant = tenant
        self.meter = meter
        self.playback = Playback()
        self._resources = resources
        self._recording = recording
        self._machine = Machine()
        self._emit: Emit = _nowhere
        self._synthesis = Synthesis(
            plan.provider,
            plan.voice,
            limits=resources.limits,
            clock=resources.clock,
            speed=plan.request.speed,
            language=plan.request.language,
            options=plan.options,
            batch=plan.batch,
            on_words=self._say_words if plan.request.timestamps else None,
        )
        self._transcoder: Transcoder | None = None
        self._task: asyncio.Task[None] | None = None
        self._cancelled_at: float | None = None
        self._played: float | None = None
        self._first_text: float | None = None
        self._ttfa: float | None = None
        self._frames = 0
        self._closed = False

    # ---- what a caller may do

    @property
    def over(self) -> bool:
        return self._machine.over

    @property
    def depths(self) -> tuple[float, float]:
        """Seconds of sound that wait between the stages: PCM, and encoded."""
        return self._synthesis.depth, self._transcoder.depth if self._transcoder else 0.0

    @property
    def counted(self) -> Counted:
        """For the meter."""
        synthesis, playback = self._synthesis, self.playback
        return Counted(
            audio=playback.sent,
            made=synthesis.made,
            engine=synthesis.engine_time,
            encoder=self._transcoder.encoder_time if self._transcoder else 0.0,
            encoder_queue=self._transcoder.queue_time if self._transcoder else 0.0,
            underrun=playback.underrun,
            underruns=playback.underruns,
        )

    def text(self, text: str, *, flush: bool = False) -> None:
        """Add text. Raises ``IllegalMove`` or ``TextTooLong``; the text is then not taken."""
        self._machine.move(Move.TEXT)
        self._synthesis.text(text, flush=flush)
        if self._first_text is None:
            self._first_text = self._resources.clock.now()

    def end(self) -> None:
        """No more text will come."""
        self._machine.move(Move.END)
        self._synthesis.end()

    def cancel(self, played: float | None = None) -> None:
        """Stop now. ``played``: seconds of sound that the listener has heard, where the caller knows."""
        self._machine.move(Move.CANCEL)
        self._cancelled_at = self._resources.clock.now()
        if played is not None:
            self._played = played
        if self._task is not None:
            self._task.cancel()

    def playhead(self, played: float, underruns: int | None) -> None:
        """The listener's player says where it is."""
        self._played = played
        if underruns is not None:
            self.meter.client_underruns(underruns)

    # ---- the life

    async def run(self, emit: Emit) -> None:
        """Speak, and say so. Ends with exactly one of ``Ended``, ``Cancelled`` and ``Failed``; raises only what
        ``emit`` raises and the cancellation of the caller."""
        session_id.set(self.token)
        self._emit = emit
        self._task = asyncio.current_task()
        outcome = "vanished"
        try:
            last = await self._live()
            outcome = type(last).__name__.lower()
        finally:
            # Told before the last event is, so that whoever has received it sees the books closed.
            self._close(outcome)
        await emit(last)

    async def _live(self) -> Event:
        """The whole life; returns its last event."""
        try:
            if self._cancelled_at is None:
                async with AsyncExitStack() as held:
                    await self._hold_engine(held)
                    for capacity in capacities(self.plan, self._resources):
                        place = capacity.place(self._say_queued, tenant=self.tenant, batch=self.plan.batch)
                        await held.enter_async_context(place)
                    await self._speak()
                return self._ended()
        except asyncio.CancelledError:
            if self._cancelled_at is None or not self._uncancel():
                raise
        except Exception as error:  # noqa: BLE001 - sorted into the caller's, the engine's and our own
            if self._cancelled_at is None:
                return self._failed(_cause(error))
            # A failure hid the cancellation, which would strike again while `cancelled` is said.
            if not self._uncancel():
                raise asyncio.CancelledError from None
        return self._cancelled()

    async def _hold_engine(self, held: AsyncExitStack) -> None:
        """Before any place is taken: how many there are may not be known until the engine is loaded."""
        try:
            await held.enter_async_context(self._resources.providers.hold(self.plan.provider.id))
        except ProviderError as error:
            raise from_provider(error) from None

    def _uncancel(self) -> bool:
        """Take back the caller's cancellation of the task. False when somebody else has cancelled it too."""
        return self._task is None or self._task.uncancel() <= 0

    async def _speak(self) -> None:
        plan = self.plan
        if plan.kept is not None:
            self._synthesis.speak_with(await self._resources.library.voice(plan.kept))
        self._machine.move(Move.ADMIT)
        stream = plan.format.open(plan.voice.sample_rate, plan.sample_rate, plan.bit_rate)
        source = Recorder(self._synthesis, self._recording) if self._recording else self._synthesis
        pool, pad = self._resources.pool, plan.request.pad
        self._transcoder = transcoder(source, stream, plan.frame_samples, pool, pad_last=pad)
        await self._emit(Started(self.token, plan.provider.id, plan.voice.id, plan.format.name, plan.sample_rate))
        async with asyncio.TaskGroup() as group:
            group.create_task(self._synthesis.run())
            if plan.format.coded:
                group.create_task(self._transcoder.run())
            # In a task of its own: a frame then wakes two coroutines, and not the whole chain that awaits them.
            await group.create_task(self._send(self._transcoder))

    async def _send(self, source: Transcoder) -> None:
        """The last stage: each frame leaves when it is due, and not before the socket has room."""
        clock, wheel, playback, rate = (
            self._resources.clock,
            self._resources.wheel,
            self.playback,
            self.plan.sample_rate,
        )
        lead = self._resources.lead if self.plan.request.pace is Pace.REALTIME else None
        emit = self._emit
        while (frame := source.ready() or await source.get()) is not None:
            now = clock.now()
            if lead is not None:
                due = playback.due(lead)
                if due > now:
                    await wheel.turn(due)
                    now = clock.now()
            await emit(frame)
            late = playback.send(now, frame.samples / rate)
            if frame.sequence == 0:
                self._first_frame(clock.now())
            if late > 0.0:
                self._late(late)
            self._frames = frame.sequence + 1

    def _first_frame(self, now: float) -> None:
        if self._first_text is not None:
            self._ttfa = now - self._first_text
        self.meter.first_frame(self._ttfa, now - (self._synthesis.first_pcm or now))

    def _late(self, late: float) -> None:
        """A gap counts against the engine and the gateway only while there is text to speak."""
        if not self._synthesis.starved:
            self.playback.count(late)

    # ---- events

    async def _say_queued(self, position: int, eta: float | None) -> None:
        await self._emit(Queued(position, eta))

    async def _say_words(self, words: Sequence[TimedWord], estimated: bool) -> None:
        spoken = tuple(SpokenWord(w.text, round(w.start * 1000), round(w.end * 1000)) for w in words)
        await self._emit(Words(spoken, estimated))

    def _ended(self) -> Event:
        if self._frames == 0 or self._synthesis.made == 0.0:
            return self._failed(
                NothingToSpeak("the text has nothing that can be spoken: it is empty, or only punctuation or symbols")
            )
        self._machine.move(Move.FINISH)
        return Ended(self.playback.sent, self._ttfa, self._frames)

    def _cancelled(self) -> Event:
        now = self._resources.clock.now()
        heard = self._played if self._played is not None else self.playback.heard(now)
        spoken, remaining = self._synthesis.transcript.split(heard)
        return Cancelled(now - (self._cancelled_at or now), spoken, remaining + self._synthesis.unspoken())

    def _failed(self, error: VoxwireError) -> Event:
        if self._machine.allows(Move.FAIL):
            self._machine.move(Move.FAIL)
        return Failed(error)

    def dispose(self) -> None:
        """Close the books of a session that was never run, or whose life was cut."""
        self._close("vanished")

    def _close(self, outcome: str) -> None:
        """Whatever happened, the meter is told once and the recording has an end."""
        if self._closed:
            return
        self._closed = True
        if self._machine.allows(Move.FAIL):
            self._machine.move(Move.FAIL)
        if self._recording is not None:
            self._recording.close(complete=outcome == "ended")
        self._log(outcome)
        self.meter.close(outcome, self.counted, self.playback.longest_gap if self.playback.started else None)

    def _log(self, outcome: str) -> None:
        """One line a session: what it was and how it went, and nothing of its text."""
        level = logging.INFO if outcome in {"ended", "cancelled"} else logging.WARNING
        if not log.isEnabledFor(level):
            return
        fields = {
            "session": self.token,
            "provider": self.plan.provider.id,
            "voice": self.plan.voice.id,
            "format": self.plan.format.name,
            "audio_s": round(self.playback.sent, 3),
            "ttfa_ms": None if self._ttfa is None else round(self._ttfa * 1000, 1),
            "underrun_s": round(self.playback.underrun, 3),
        }
        log.log(level, "session %s", outcome, extra=fields)


def _cause(error: Exception) -> VoxwireError:
    """What a caller is told of an error that ended a session. A vanished listener is told nothing: it is raised."""
    while isinstance(error, ExceptionGroup):
        error = next((e for e in error.exceptions if isinstance(e, ListenerGone)), error.exceptions[0])
    if isinstance(error, ListenerGone):
        raise error
    if isinstance(error, VoxwireError):
        if error.__cause__ is not None:
            log.warning("%s: %s", error.code, error, exc_info=error.__cause__)
        return error
    log.error("a session failed", exc_info=error)
    return Internal("the gateway failed; its log has the cause under this session's token")


async def _nowhere(_: Event) -> None:
    """Where events go before ``run`` is told where to."""
