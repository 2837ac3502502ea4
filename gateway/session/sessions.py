"""Where sessions are made, found and counted: requests are checked here, before anything is started for them."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from audio import formats
from gateway.admission.auth import caller
from gateway.clock import Clock
from gateway.errors import (
    BadOption,
    BadRequest,
    Overloaded,
    UnknownSession,
    UnknownVoice,
    UnsupportedFormat,
    from_provider,
)
from gateway.events import SpeechRequest
from gateway.library import LibraryVoice
from gateway.library.store import RETRY
from gateway.metrics import Meter, Metrics
from gateway.session.recording import Recordings
from gateway.session.session import Plan, Resources, Session, capacities
from providers.base import Provider, ProviderError, Tunable, Voice
from providers.registry import Providers

SLOWEST, FASTEST = 0.25, 4.0
MAX_PREPARED = 10_000
MAX_PREPARED_CHARACTERS = 20_000_000


@dataclass(frozen=True, slots=True)
class Prepared:
    """A session that was asked for and is not listened to yet."""

    token: str
    plan: Plan
    text: str
    expires: float


def _options(provider: Provider, options: Mapping[str, Any]) -> Mapping[str, Any]:
    """The engine's own options, checked by it. Raises ``BadOption``."""
    if not options:
        return {}
    if not isinstance(provider, Tunable):
        raise BadOption(f"engine {provider.id!r} takes no options")
    try:
        return provider.check(options)
    except ProviderError as error:
        raise from_provider(error) from None


class Sessions:
    """All sessions of this process."""

    def __init__(
        self,
        providers: Providers,
        resources: Resources,
        metrics: Metrics,
        recordings: Recordings,
        *,
        frame_ms: int,
        prepared_ttl: float,
    ) -> None:
        self._providers = providers
        self._resources = resources
        self._metrics = metrics
        self._recordings = recordings
        self._frame_ms = frame_ms
        self._ttl = prepared_ttl
        self._live: dict[str, Session] = {}
        self._prepared: dict[str, Prepared] = {}
        self._prepared_characters = 0
        self._empty = asyncio.Event()
        self._empty.set()
        self.draining = False
        """No new session is opened; those that run are finished."""

    @property
    def live(self) -> tuple[Session, ...]:
        return tuple(self._live.values())

    @property
    def prepared(self) -> int:
        return len(self._prepared)

    @property
    def clock(self) -> Clock:
        return self._resources.clock

    # ---- checking a request

    def plan(self, request: SpeechRequest) -> Plan:
        """Find everything that a request names and fill in what it leaves open. Raises a ``BadRequest`` or what
        the engine's start has raised."""
        if not SLOWEST <= request.speed <= FASTEST:
            raise BadRequest(f"speed must be from {SLOWEST} to {FASTEST:g}")
        provider, voice, kept = self._voice(request)
        try:
            chosen = formats.find(request.format)
        except formats.UnknownFormat:
            raise UnsupportedFormat(f"there is no such format; there are: {', '.join(formats.FORMATS)}") from None
        rate = request.sample_rate
        if rate is None:
            rate = chosen.nearest_rate(voice.sample_rate)
        elif rate not in chosen.rates:
            offered = ", ".join(str(r) for r in chosen.rates)
            raise UnsupportedFormat(f"{chosen.name} has no sample rate of {rate} Hz; it has: {offered}")
        try:
            bit_rate = chosen.bit_rate(rate, request.bit_rate)
        except formats.UnsupportedBitRate as error:
            raise UnsupportedFormat(str(error)) from None
        milliseconds = self._frame_ms if request.frame_ms is None else request.frame_ms
        frame = max(1, rate * milliseconds // 1000)
        options = _options(provider, request.options)
        return Plan(request, provider, voice, chosen, rate, frame, bit_rate, options, kept)

    def _voice(self, request: SpeechRequest) -> tuple[Provider, Voice, LibraryVoice | None]:
        """Who speaks, and with what. A caller's own voices go before the engines'."""
        library = self._resources.library
        kept = library.find(caller.get(), request.voice, request.provider)
        try:
            if kept is not None:
                return self._providers.engine(kept.provider).offer(), kept.spoken(), kept
            return *self._providers.find_voice(request.provider, request.voice, request.language), None
        except ProviderError as error:
            seen = from_provider(error)
            if isinstance(seen, UnknownVoice) and not library.read:
                # It may be there for all that is known. Not another error: a dialect that has a voice for whoever asks
                # for none that is here shall go on.
                seen.retryable, seen.retry_after = True, RETRY
            raise seen from None

    def check(self, plan: Plan) -> None:
        """Raises ``Overloaded`` when a session of this plan would find neither a place nor room to wait for one."""
        for capacity in capacities(plan, self._resources):
            capacity.check(batch=plan.batch)

    # ---- sessions that run

    def open(self, plan: Plan, dialect: str, token: str | None = None, tenant: str | None = None) -> Session:
        """A new session, live until it is given to ``close``; of the tenant whom this task was authenticated for,
        where none is named. Raises ``Overloaded`` while draining."""
        self._refuse_when_draining()
        token = token or uuid.uuid4().hex
        recording = None
        if plan.request.record:
            recording = self._recordings.open(token, plan.voice.sample_rate, plan.request)
        meter = Meter(self._metrics, dialect, plan.provider.id, plan.format.name)
        tenant = caller.get() if tenant is None else tenant
        session = Session(token, plan, self._resources, meter, recording, tenant=tenant)
        self._live[token] = session
        self._empty.clear()
        return session

    def _refuse_when_draining(self) -> None:
        if self.draining:
            raise Overloaded("the gateway is about to stop; try another one", retry_after=1.0)

    def close(self, session: Session) -> None:
        """Forget a session that is over, or that never ran."""
        session.dispose()
        self._live.pop(session.token, None)
        self._resources.library.session_over()
        if not self._live:
            self._empty.set()

    async def drained(self) -> None:
        """Wait until no session is live."""
        await self._empty.wait()

    # ---- sessions that are asked for first and listened to later

    def prepare(self, plan: Plan, text: str) -> Prepared:
        """Keep a checked request until somebody connects to it or its time is over. Raises ``Overloaded``."""
        self._refuse_when_draining()
        now = self.clock.now()
        self.expire(now)
        characters = self._prepared_characters + len(text)
        if len(self._prepared) >= MAX_PREPARED or characters > MAX_PREPARED_CHARACTERS:
            raise Overloaded("too many sessions wait for their listeners; try again later", retry_after=self._ttl)
        prepared = Prepared(str(uuid.uuid4()), plan, text, now + self._ttl)
        self._prepared[prepared.token] = prepared
        self._prepared_characters = characters
        return prepared

    def look(self, token: str) -> Prepared:
        """A prepared session, which still waits for its one listener. Raises ``UnknownSession``."""
        self.expire(self.clock.now())
        prepared = self._prepared.get(token)
        if prepared is None:
            raise UnknownSession("there is no such session, or it was listened to already, or its time is over")
        return prepared

    def take(self, token: str) -> Prepared:
        """Hand a prepared session to its one listener. Raises ``UnknownSession``."""
        prepared = self.look(token)
        del self._prepared[token]
        self._prepared_characters -= len(prepared.text)
        return prepared

    def expire(self, now: float) -> None:
        # All live equally long, so they expire in the order in which they came.
        while self._prepared:
            token, prepared = next(iter(self._prepared.items()))
            if prepared.expires > now:
                return
            del self._prepared[token]
            self._prepared_characters -= len(prepared.text)
