"""A voice being made by an engine: one at a time for each engine, and when nobody speaks with it.

An engine that is never quiet makes it all the same after a while, between the speech; but it never takes a place that
a session waits for.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress

from gateway.admission.capacities import Capacities
from gateway.admission.local import LocalCapacity
from gateway.clock import Clock
from gateway.errors import BadRequest, EngineError, Overloaded, TimedOut, from_provider
from gateway.library.voice import MAX_PROMPT
from providers.base import Accounted, Cloning, Designing, Limited, Provider, ProviderError, Voice, makes
from providers.registry import Providers

log = logging.getLogger(__name__)

_WAITING = 8
"""Voices that may wait for one engine."""
_PATIENCE = 10.0
"""Seconds in which an engine may become quiet."""
_LONGEST = 120.0
"""Seconds that making one may take."""


class Makers:
    """The engines, as far as they make voices."""

    def __init__(self, providers: Providers, capacities: Capacities, clock: Clock) -> None:
        self._providers = providers
        self._capacities = capacities
        self._clock = clock
        self._lines: dict[str, LocalCapacity] = {}
        self._quieter = asyncio.Event()

    def cloning(self, provider: str | None) -> str:
        """The id of the engine of that name, or else of the first, that makes voices from clips; of one that is not
        configured to where there is no other, for it says what it lacks. Raises ``BadRequest``, ``UnknownProvider``, or
        why it cannot be used."""
        return self._able(provider, Cloning, "clips")

    def designing(self, provider: str | None) -> str:
        """The same for descriptions."""
        return self._able(provider, Designing, "descriptions")

    def session_over(self) -> None:
        """An engine may be quiet now."""
        self._quieter.set()

    async def make(self, provider: str, owner: str, work: Callable[[Provider], Awaitable[Voice]]) -> Voice:
        """What ``work`` has the engine make. Raises ``Overloaded``, ``TimedOut``, and what the engine does."""
        try:
            async with self._turn(provider, owner) as engine:
                made = await self._made(engine, work)
        except ProviderError as error:
            raise from_provider(error) from None
        if not made.prompt or len(made.prompt) > MAX_PROMPT:
            raise EngineError(f"engine {provider!r} made a voice that cannot be kept")
        return made

    # ----

    async def _made(self, engine: Provider, work: Callable[[Provider], Awaitable[Voice]]) -> Voice:
        try:
            async with asyncio.timeout(_LONGEST) as limit:
                return await work(engine)
        except ProviderError:
            raise
        except Exception as error:
            if limit.expired():
                raise TimedOut(f"engine {engine.id!r} did not make the voice within {_LONGEST:g} seconds") from None
            log.exception("engine %s failed to make a voice", engine.id)
            raise EngineError(f"engine {engine.id!r} failed") from error

    def _able(self, provider: str | None, kind: type[Cloning] | type[Designing], what: str) -> str:
        try:
            if provider is not None:
                found = self._providers.engine(provider).offer()
                if not isinstance(found, kind):
                    raise BadRequest(f"engine {found.id!r} makes no voices from {what}")
                return found.id
            engines = [self._providers.engine(name) for name in self._providers.status]
            able = [engine for engine in engines if isinstance(engine.provider, kind)]
            if not able:
                raise BadRequest(f"no engine here makes voices from {what}")
            able.sort(key=lambda engine: (not makes(engine.provider, kind), not engine.usable))
            return able[0].offer().id
        except ProviderError as error:
            raise from_provider(error) from None

    @asynccontextmanager
    async def _turn(self, provider: str, owner: str) -> AsyncIterator[Provider]:
        line = self._lines.setdefault(provider, LocalCapacity(1, _WAITING, self._clock))
        async with line.place(tenant=owner), self._providers.hold(provider) as engine:
            await self._quiet(provider)
            async with self._place(engine, owner):
                yield engine

    async def _quiet(self, provider: str) -> None:
        """Wait until nobody but this one holds the engine, or for as long as is decent."""
        engine = self._providers.engine(provider)
        with suppress(TimeoutError):
            async with asyncio.timeout(_PATIENCE):
                while engine.status.users > 1:
                    self._quieter.clear()
                    await self._quieter.wait()

    @asynccontextmanager
    async def _place(self, engine: Provider, owner: str) -> AsyncIterator[None]:
        """One of the engine's places, where they are counted. Raises ``Overloaded`` where those who are listened to
        leave none over; batch work makes room with its next text."""
        if not isinstance(engine, Limited):
            yield
            return
        account = engine.account if isinstance(engine, Accounted) else None
        places = self._capacities.engine(engine.id, engine.places, account)
        full = places.taken >= places.places and not places.waiting_batch
        if full or places.waiting > places.waiting_batch:
            raise Overloaded(
                f"engine {engine.id!r} speaks, and has no room to make voices; try again later", retry_after=_PATIENCE
            )
        async with places.place(tenant=owner):
            yield
