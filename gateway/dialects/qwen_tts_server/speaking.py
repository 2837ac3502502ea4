"""What a request means: which voice of which engine, and how it is to speak."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from gateway.admission.auth import caller
from gateway.dialects.choice import choose, usable
from gateway.dialects.qwen_tts_server import languages
from gateway.dialects.qwen_tts_server.answers import LanguagesAnswer, SpeakerAnswer, SpeakersAnswer
from gateway.errors import VoxwireError, from_provider
from gateway.events import Pace, Priority, SpeechRequest
from gateway.runtime import Gateway
from gateway.session.session import Plan
from providers.base import Cloning, Designing, Provider, ProviderError, Tunable, Voice, makes

DIALECT = "qwen_tts_server"
ENGINE = "qwen"
"""Asked before the others, where there is one of this id."""
SPEAKERS = ("Vivian", "Serena", "Uncle_Fu", "Dylan", "Eric", "Ryan", "Aiden", "Ono_Anna", "Sohee")
"""Qwen3-TTS's own: the default voice, where nobody has one of that name."""
FRAME_MS = 100
_INSTRUCT = ("instruct", "instructions")
"""What an engine calls its option for the way in which it speaks."""


class NotServed(VoxwireError):
    """No engine of this gateway does what was asked."""

    code = "not_implemented"
    http_status = 501


@dataclass(frozen=True, slots=True)
class Wanted:
    """One speech."""

    text: str
    language: str = languages.AUTO
    speaker: str | None = None
    instruct: str | None = None
    """How to speak; of a voice that is designed, what it is like."""
    speed: float = 1.0
    batch: bool = False
    sample_rate: int | None = None
    """Hz; ``None`` takes the voice's own."""

    def request(self) -> SpeechRequest:
        """Raises ``BadRequest``."""
        return SpeechRequest(
            voice=self.speaker or None,
            language=languages.tag(self.language),
            speed=self.speed,
            sample_rate=self.sample_rate,
            pace=Pace.BURST,
            priority=Priority.BATCH if self.batch else Priority.INTERACTIVE,
            frame_ms=FRAME_MS,
        )


# ---- with a speaker


def spoken_by(gateway: Gateway, wanted: Wanted) -> Plan:
    """Everything that a request for a speaker names, found. Raises what ``Sessions.plan`` does."""
    request = choose(gateway, wanted.request(), ENGINE, SPEAKERS)
    planned = gateway.sessions.plan(request)
    options = _options(planned.provider, wanted.instruct)
    return gateway.sessions.plan(replace(request, options=options)) if options else planned


def _options(provider: Provider, instruct: str | None) -> Mapping[str, Any]:
    """What the engine understands of it."""
    known = provider.option_names if isinstance(provider, Tunable) else frozenset[str]()
    return {name: instruct for name in _INSTRUCT if instruct and name in known}


def speakers(gateway: Gateway) -> SpeakersAnswer:
    """The caller's own behind the others."""
    library = gateway.library
    own = [(kept.provider, kept.spoken()) for kept in library.known(caller.get()) if library.usable(kept)]
    return SpeakersAnswer(speakers=[_speaker(provider, voice) for provider, voice in (*_voices(gateway), *own)])


def _voices(gateway: Gateway) -> list[tuple[str, Voice]]:
    """Those of Qwen3-TTS where it can speak, else everybody's."""
    alone = usable(gateway, ENGINE)
    return [(owner.id, voice) for owner, voice in gateway.providers.voices if owner.id == ENGINE or not alone]


def _speaker(provider: str, voice: Voice) -> SpeakerAnswer:
    # As Qwen3-TTS writes its own, whose ids are in lower case.
    title = voice.name.replace(" ", "_")
    return SpeakerAnswer(
        name=title if title.casefold() == voice.id.casefold() else voice.id,
        description=voice.description or voice.name,
        native_language=languages.name(voice.language) or "Multilingual",
        provider=provider,
        sample_rate=voice.sample_rate,
    )


def spoken_languages(gateway: Gateway) -> LanguagesAnswer:
    """Those of the speakers."""
    return LanguagesAnswer(languages=languages.names(voice.language for _, voice in _voices(gateway)))


# ---- with a voice that is made for it


def maker(gateway: Gateway, kind: type[Cloning] | type[Designing]) -> str:
    """The id of the engine that makes voices in this way; of one that is not configured to where there is no other, for
    it says what it lacks. Raises ``NotServed``, or why it cannot be used."""
    engines = [gateway.providers.engine(name) for name in gateway.providers.status]
    # One that could not even be made may be of the kind.
    broken = [engine for engine in engines if engine.id == ENGINE and engine.provider is None]
    able = [engine for engine in engines if isinstance(engine.provider, kind)]
    able.sort(key=lambda engine: (not engine.usable, engine.id != ENGINE))
    configured = [engine for engine in able if makes(engine.provider, kind)]
    candidates = [*configured, *broken, *able]
    if candidates:
        try:
            return candidates[0].offer().id
        except ProviderError as error:
            raise from_provider(error) from None
    what = "clips" if kind is Cloning else "descriptions"
    raise NotServed(f"no engine of this gateway makes voices from {what}")


def with_voice(gateway: Gateway, wanted: Wanted, provider: str, voice: Voice | None = None) -> Plan:
    """The plan to speak with a voice that ``provider`` has made; before it is made, with its default voice. Raises what
    ``Sessions.plan`` does."""
    planned = gateway.sessions.plan(replace(wanted.request(), voice=None, provider=provider))
    if voice is None:
        return planned
    rate = wanted.sample_rate or planned.format.nearest_rate(voice.sample_rate)
    return replace(planned, voice=voice, sample_rate=rate, frame_samples=rate * FRAME_MS // 1000)
