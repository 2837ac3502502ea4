"""``GET /health/models``: how every engine is."""

from __future__ import annotations

from gateway.dialects.qwen_tts_server.answers import EngineAnswer, ErrorAnswer, ModelsAnswer, QueueAnswer
from gateway.dialects.qwen_tts_server.speaking import ENGINE
from gateway.runtime import Gateway
from providers.base import Cloning, Designing, Limited, Provider, makes


def models(gateway: Gateway) -> ModelsAnswer:
    """The four of the earlier server say whether an engine is loaded that does what that model did."""
    engines = {name: _engine(gateway, name) for name in gateway.providers.status}
    loaded = {name: engine for name, engine in engines.items() if engine.state == "ready"}
    return ModelsAnswer(
        custom_voice_loaded=ENGINE in loaded if ENGINE in engines else bool(loaded),
        voice_design_loaded=any(engine.designs_voices for engine in loaded.values()),
        base_loaded=any(engine.clones_voices for engine in loaded.values()),
        tokenizer_loaded=bool(loaded),
        engines=engines,
    )


def _engine(gateway: Gateway, name: str) -> EngineAnswer:
    engine = gateway.providers.engine(name)
    status = engine.status
    error = None
    if status.code is not None:
        error = ErrorAnswer(code=status.code, message=status.message or "", retry_in=_rounded(status.retry_after))
    return EngineAnswer(
        state=status.state.value,
        voices=len(engine.voices),
        designs_voices=makes(engine.provider, Designing),
        clones_voices=makes(engine.provider, Cloning),
        load_time=_rounded(status.load_s),
        memory=status.memory,
        isolated=status.isolated,
        users=status.users,
        queue=_queue(gateway, name, engine.provider),
        error=error,
    )


def _queue(gateway: Gateway, name: str, provider: Provider | None) -> QueueAnswer | None:
    capacity = dict(gateway.capacities.engines()).get(name)
    if capacity is not None:
        return QueueAnswer(places=capacity.places, taken=capacity.taken, waiting=capacity.waiting)
    # Nobody has asked for a place yet.
    return QueueAnswer(places=provider.places, taken=0, waiting=0) if isinstance(provider, Limited) else None


def _rounded(seconds: float | None) -> float | None:
    return None if seconds is None else round(seconds, 3)
