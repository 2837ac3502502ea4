"""Every Prometheus series of the gateway. It is called by the stages and calls none of them.

Nothing here runs for an audio frame: a session counts in its own fields, and what it has counted is added to the
series when it ends and when somebody scrapes. The ``tts_*`` series are those of an earlier gateway whose dashboards
and stress panel read them.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple, Protocol

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    disable_created_metrics,
    generate_latest,
)

_FAST = (0.005, 0.01, 0.02, 0.03, 0.05, 0.075, 0.1, 0.15, 0.2, 0.3, 0.5, 0.75, 1.0, 2.0, 5.0, 10.0)
_OWN = (0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.5)
_CONTINUITY_MS = (50, 100, 200)


# A time of birth beside every series doubles their number and tells nothing here.
disable_created_metrics()  # type: ignore[no-untyped-call]


class Counted(NamedTuple):
    """What a session has counted since its start. Seconds, but for the last."""

    audio: float = 0.0
    """Of sound sent."""
    made: float = 0.0
    """Of sound that the engine made."""
    engine: float = 0.0
    """Of waiting for the engine."""
    encoder: float = 0.0
    """In the encoder."""
    encoder_queue: float = 0.0
    """Of waiting for a thread to encode on."""
    underrun: float = 0.0
    """Of gaps that a listener without a buffer heard."""
    underruns: int = 0


class Places(Protocol):
    """What the series of admission are read from."""

    places: int
    waiting_room: int
    refused: int

    @property
    def taken(self) -> int: ...
    @property
    def waiting(self) -> int: ...


class Leases(Protocol):
    """What the series of the conversation with Redis are read from."""

    up: bool
    failed: int

    @property
    def restored(self) -> int: ...


class Metrics:
    """The series, in a registry of their own, so that two gateways in one process do not mix."""

    def __init__(self) -> None:
        registry = self.registry = CollectorRegistry()

        def counter(name: str, text: str, labels: Iterable[str] = ()) -> Counter:
            return Counter(name, text, tuple(labels), registry=registry)

        def gauge(name: str, text: str, labels: Iterable[str] = ()) -> Gauge:
            return Gauge(name, text, tuple(labels), registry=registry)

        def histogram(name: str, text: str, labels: Iterable[str], buckets: tuple[float, ...]) -> Histogram:
            return Histogram(name, text, tuple(labels), registry=registry, buckets=buckets)

        engine = ("provider",)
        kind = ("provider", "format")
        self.connections = gauge("voxwire_connections", "Open WebSocket connections", ["dialect"])
        self.active = gauge("voxwire_sessions_active", "Sessions that are running", engine)
        self.sessions = counter("voxwire_sessions", "Sessions that are over", [*kind, "dialect", "outcome"])
        self.places = gauge("voxwire_places_taken", "Places of the gateway that are taken")
        self.waiting = gauge("voxwire_places_waiting", "Sessions that wait for a place")
        self.engine_places = gauge("voxwire_engine_places", "Utterances that an engine speaks at once", engine)
        self.engine_taken = gauge("voxwire_engine_places_taken", "Places of an engine that are taken", engine)
        self.engine_waiting = gauge("voxwire_engine_places_waiting", "Sessions that wait for an engine", engine)
        self.redis_up = gauge("voxwire_redis_up", "1 while Redis answers, where one is used", ["use"])
        self.renewals_failed = counter("voxwire_lease_renewals_failed", "Times that Redis did not answer in time")
        self.restored = counter("voxwire_leases_restored", "Places that were held and that Redis did not know of")
        self.ttfa = histogram(
            "voxwire_time_to_first_audio_seconds",
            "From the first text to the first frame sent",
            engine,
            _FAST,
        )
        self.own_delay = histogram(
            "voxwire_gateway_delay_seconds",
            "From the engine's first PCM to the first frame sent",
            engine,
            _OWN,
        )
        self.audio = counter("voxwire_audio_seconds", "Seconds of sound sent", kind)
        self.made = counter("voxwire_engine_audio_seconds", "Seconds of sound made by engines", engine)
        self.wasted = counter("voxwire_wasted_audio_seconds", "Seconds of sound made and never sent", engine)
        self.engine_time = counter("voxwire_engine_seconds", "Seconds spent waiting for engines", engine)
        self.encoder_time = counter("voxwire_encoder_seconds", "Seconds spent in encoders", ["format"])
        self.encoder_queue = counter(
            "voxwire_encoder_queue_seconds", "Seconds that sound waited for a thread to be encoded on", ["format"]
        )
        self.queued = gauge("voxwire_queue_audio_seconds", "Seconds of sound that wait between stages", ["queue"])
        self.unsent = gauge("voxwire_batch_unsent_bytes", "Bytes of sound that batches have made and not sent")
        self.underrun = counter(
            "voxwire_underrun_seconds", "Seconds for which listeners without a buffer heard nothing", engine
        )
        self.stalls = counter("voxwire_underruns", "Times that a listener without a buffer ran dry", engine)
        self.reported = counter("voxwire_reported_underruns", "Underruns that players have reported", engine)
        self.continuity = counter(
            "voxwire_continuity_sessions",
            "Sessions by their longest gap: le=100 counts C100",
            [*engine, "le_ms"],
        )
        self.lateness = gauge("voxwire_pacing_lateness_seconds", "How late the pacing timer's last turn came")
        self.errors = counter("voxwire_errors", "Errors said to callers", ["dialect", "code"])

        self.seed_active = gauge("tts_active_streams", "Sessions that are running", engine)
        self.seed_sessions = counter("tts_sessions", "Sessions by what became of them", ["provider", "status"])
        self.seed_usage = gauge("tts_rate_limit_max_bucket_usage", "Share of its limit that the busiest caller used")
        self.seed_window = gauge(
            "tts_rate_limit_window_remaining_seconds", "Seconds until the busiest caller's window ends"
        )
        self.seed_depth = gauge("tts_session_queue_depth", "Sessions that wait for a place")
        self.seed_maxsize = gauge("tts_session_queue_maxsize", "Sessions that may wait for a place")
        self.seed_busy = gauge("tts_session_workers_busy", "Places that are taken")
        self.seed_workers = gauge("tts_session_workers_total", "Places that there are")
        self.seed_full = counter("tts_session_queue_full", "Sessions refused because too many waited")
        self._refused = 0
        self._leases = (0, 0)

    def observe_places(self, capacity: Places) -> None:
        """Read the gauges of admission; called before a scrape is rendered."""
        for gauge, value in (
            (self.places, capacity.taken),
            (self.waiting, capacity.waiting),
            (self.seed_depth, capacity.waiting),
            (self.seed_maxsize, capacity.waiting_room),
            (self.seed_busy, capacity.taken),
            (self.seed_workers, capacity.places),
        ):
            gauge.set(value)
        self.seed_full.inc(capacity.refused - self._refused)
        self._refused = capacity.refused

    def observe_engine(self, provider: str, capacity: Places) -> None:
        """Read the gauges of an engine that has only so many places."""
        self.engine_places.labels(provider).set(capacity.places)
        self.engine_taken.labels(provider).set(capacity.taken)
        self.engine_waiting.labels(provider).set(capacity.waiting)

    def observe_leases(self, leases: Leases) -> None:
        """Read how the conversation about shared places goes."""
        failed, restored = self._leases
        self.redis_up.labels("places").set(leases.up)
        self.renewals_failed.inc(leases.failed - failed)
        self.restored.inc(leases.restored - restored)
        self._leases = (leases.failed, leases.restored)

    def observe_queues(self, pcm: float, encoded: float) -> None:
        """Seconds of sound that wait between the stages of all sessions together."""
        self.queued.labels("pcm").set(pcm)
        self.queued.labels("encoded").set(encoded)

    def render(self) -> bytes:
        """The series in Prometheus' text format. Takes a millisecond for every 150 series: not on the event loop."""
        return generate_latest(self.registry)


class Meter:
    """What one session counts. ``flush`` adds the growth since the last flush to the series."""

    __slots__ = ("_dialect", "_flushed", "_format", "_m", "_provider", "_reported")

    def __init__(self, metrics: Metrics, dialect: str, provider: str, format_: str) -> None:
        self._m = metrics
        self._dialect = dialect
        self._provider = provider
        self._format = format_
        self._flushed = Counted()
        self._reported = 0
        metrics.active.labels(provider).inc()
        metrics.seed_active.labels(provider).inc()

    def first_frame(self, ttfa: float | None, own_delay: float) -> None:
        if ttfa is not None:
            self._m.ttfa.labels(self._provider).observe(ttfa)
        self._m.own_delay.labels(self._provider).observe(own_delay)

    def client_underruns(self, total: int) -> None:
        """A player reports the total of its underruns."""
        if total > self._reported:
            self._m.reported.labels(self._provider).inc(total - self._reported)
            self._reported = total

    def flush(self, counted: Counted) -> None:
        """Add what was counted since the last time."""
        m, provider = self._m, self._provider
        grown = Counted._make(now - before for now, before in zip(counted, self._flushed, strict=True))
        self._flushed = counted
        m.audio.labels(provider, self._format).inc(grown.audio)
        m.made.labels(provider).inc(grown.made)
        m.engine_time.labels(provider).inc(grown.engine)
        m.encoder_time.labels(self._format).inc(grown.encoder)
        m.encoder_queue.labels(self._format).inc(grown.encoder_queue)
        m.underrun.labels(provider).inc(grown.underrun)
        m.stalls.labels(provider).inc(grown.underruns)

    def close(self, outcome: str, counted: Counted, longest_gap: float | None) -> None:
        """The session is over; called exactly once. ``longest_gap`` (seconds) is ``None`` where nothing was sent."""
        self.flush(counted)
        m, provider = self._m, self._provider
        m.active.labels(provider).dec()
        m.seed_active.labels(provider).dec()
        m.sessions.labels(provider, self._format, self._dialect, outcome).inc()
        m.seed_sessions.labels(provider, "completed" if outcome == "ended" else "failed").inc()
        m.wasted.labels(provider).inc(max(0.0, counted.made - counted.audio))
        if longest_gap is None:
            return
        for bound in _CONTINUITY_MS:
            if longest_gap * 1000 <= bound:
                m.continuity.labels(provider, str(bound)).inc()
        m.continuity.labels(provider, "+Inf").inc()
