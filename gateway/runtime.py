"""Everything that one gateway process shares, made from its settings, with a start and an end."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Sequence
from typing import Protocol

from starlette.requests import HTTPConnection

from gateway.admission.auth import Keys
from gateway.admission.capacities import Capacities
from gateway.admission.local import LocalCapacity
from gateway.admission.rate_limit import RateLimit
from gateway.clock import Clock
from gateway.config import Settings
from gateway.library import Library
from gateway.library.clip import Clips
from gateway.library.making import Makers
from gateway.library.store import MemoryStore, Room, Store
from gateway.metrics import Metrics
from gateway.pipeline.pacing import Wheel
from gateway.pipeline.synthesis import Limits
from gateway.pipeline.transcoding import TranscodingPool
from gateway.session.recording import Recordings
from gateway.session.session import Resources
from gateway.session.sessions import Sessions
from gateway.session.unsent import Unsent
from providers.base import Provider
from providers.registry import Providers

log = logging.getLogger(__name__)


class Leaving(Protocol):
    """A connection that can be told that the server is about to stop."""

    async def goaway(self, seconds: float) -> None: ...


class Gateway:
    """The running parts. Dialects get it whole; stages get only what they need of it."""

    def __init__(
        self,
        settings: Settings,
        *,
        engines: Sequence[str | Provider] | None = None,
        clock: Clock | None = None,
    ) -> None:
        self.settings = settings
        self.clock = clock or Clock()
        self.metrics = Metrics()
        self.providers = Providers(
            engines or settings.enabled_providers,
            start_timeout=settings.engine_start_timeout,
            preload=None if settings.preload == ("all",) else settings.preload,
            idle=settings.engine_idle_s,
            isolated=settings.isolated_engines,
        )
        self.keys = Keys(settings.api_keys)
        self.rate_limit = RateLimit(settings.rate_limit_requests, settings.rate_limit_window, self.clock)
        weights = dict(settings.tenant_weights)
        self.capacities = Capacities(
            settings.max_sessions,
            settings.max_waiting,
            self.clock,
            weights=weights,
            redis_url=settings.redis_url,
            lease=settings.lease_s,
        )
        self.recordings = Recordings(
            settings.recording_bytes, settings.recording_ttl, self.clock, settings.recording_memory_bytes
        )
        self.unsent = Unsent(settings.batch_memory_bytes)
        self.conversions = LocalCapacity(settings.max_conversions, settings.max_conversions, self.clock, weights)
        self.pool = TranscodingPool(settings.transcoding_threads)
        self.wheel = Wheel(self.clock)
        self.uploads = LocalCapacity(settings.voice_uploads, 4 * settings.voice_uploads, self.clock, weights)
        """Of clips to make voices from: each may take some ten megabytes while it comes and is looked at."""
        self.library = self._library(settings)
        resources = Resources(
            clock=self.clock,
            wheel=self.wheel,
            pool=self.pool,
            providers=self.providers,
            capacities=self.capacities,
            library=self.library,
            lead=settings.lead_ms / 1000,
            limits=Limits(
                ahead=settings.ahead_s,
                engine_timeout=settings.engine_timeout,
                text_timeout=settings.text_timeout,
                text=settings.max_text_characters,
                first_segment=settings.first_segment_characters,
                segment=settings.max_segment_characters,
            ),
        )
        self.sessions = Sessions(
            self.providers,
            resources,
            self.metrics,
            self.recordings,
            frame_ms=settings.frame_ms,
            prepared_ttl=settings.session_ttl,
        )
        self.connections: set[Leaving] = set()
        """The open WebSockets."""
        self.ready = False
        """Engines are started and warm, and the gateway is not about to stop."""

    def _library(self, settings: Settings) -> Library:
        return Library(
            _store(settings),
            self.providers,
            makers=Makers(self.providers, self.capacities, self.clock),
            clips=Clips(most=settings.voice_clip_bytes, longest=settings.voice_clip_s, ports=settings.voice_url_ports),
            rate=RateLimit(settings.voice_rate_limit, settings.rate_limit_window, self.clock),
            room=Room(settings.voices_per_key, settings.voices_bytes),
            clock=self.clock,
        )

    async def start(self) -> None:
        """Start the engines and warm them up. An engine that cannot start is reported, and the others serve."""
        await self.capacities.start()
        await self.library.start()
        await self.providers.start()
        self.ready = True

    async def drain(self) -> None:
        """Take nothing new, tell every client, and wait until what runs is spoken or the time is over."""
        self.ready = False
        self.sessions.draining = True
        limit = self.settings.drain_s
        if self.sessions.live:
            log.info("waiting for sessions to end", extra={"sessions": len(self.sessions.live), "limit_s": limit})
        try:
            async with asyncio.timeout(limit):
                told = (connection.goaway(limit) for connection in tuple(self.connections))
                # One that cannot be told any more is no reason not to stop.
                await asyncio.gather(*told, return_exceptions=True)
                await self.sessions.drained()
        except TimeoutError:
            log.warning("sessions are cut", extra={"sessions": len(self.sessions.live)})

    async def close(self) -> None:
        """Give back engines, threads and what is kept of sessions."""
        self.ready = False
        await self.providers.close()
        await self.capacities.close()
        await self.library.close()
        await self.recordings.close()
        await asyncio.to_thread(self.pool.close)

    def count_request(self, connection: HTTPConnection) -> None:
        """Count it for its caller, known by the address. Raises ``RateLimited``."""
        self.rate_limit.count(connection.client.host if connection.client else "")

    async def scrape(self) -> bytes:
        """The metrics, with every gauge read now. Rendered on a thread: it takes milliseconds."""
        self.metrics.observe_places(self.capacities.sessions)
        for engine, capacity in self.capacities.engines():
            self.metrics.observe_engine(engine, capacity)
        if self.capacities.leases is not None:
            self.metrics.observe_leases(self.capacities.leases)
        pcm = encoded = 0.0
        for session in self.sessions.live:
            session.meter.flush(session.counted)
            pcm += session.depths[0]
            encoded += session.depths[1]
        self.metrics.observe_queues(pcm, encoded)
        self.metrics.unsent.set(self.unsent.bytes)
        self.metrics.lateness.set(self.wheel.lateness)
        usage, remaining = self.rate_limit.busiest()
        self.metrics.seed_usage.set(usage)
        self.metrics.seed_window.set(remaining)
        return await asyncio.to_thread(self.metrics.render)


def _store(settings: Settings) -> Store:
    """The folder, where one is set; else Redis, where that is; else this process' memory."""
    if settings.voices_dir is not None:
        from gateway.library.disk import DiskStore

        return DiskStore(settings.voices_dir)
    if settings.redis_url is not None:
        from gateway.library.redis_store import RedisStore

        return RedisStore(settings.redis_url)
    return MemoryStore()
