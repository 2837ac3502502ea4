"""Which voice a request means, for the APIs of servers that had one engine: that engine is asked before the others, and
the names of its voices are good for something where it is not there."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import replace

from gateway.admission.auth import caller
from gateway.events import SpeechRequest
from gateway.runtime import Gateway


def choose(gateway: Gateway, request: SpeechRequest, engine: str, stand_ins: Collection[str]) -> SpeechRequest:
    """``request`` with its voice, and who speaks it, found: first with ``engine``, then with the others in their order;
    as it is written, then whatever its case.

    A voice of the caller's own goes before them all. No name, and one of ``stand_ins`` that nobody has, mean the
    default voice: of ``engine``, where that can speak, else of the gateway. Any other name that nobody has is left as
    it is, for ``Sessions.plan`` to refuse.
    """
    if gateway.library.find(caller.get(), request.voice, request.provider) is not None:
        return request
    found = None if request.voice is None else _found(gateway, request.voice, engine)
    if found is not None:
        return replace(request, provider=found[0], voice=found[1])
    if request.voice is None or request.voice.casefold() in {name.casefold() for name in stand_ins}:
        return replace(request, voice=None, provider=engine if usable(gateway, engine) else None)
    return request


def usable(gateway: Gateway, engine: str) -> bool:
    """Whether the gateway has an engine of that id, and it can speak."""
    return engine in gateway.providers.status and gateway.providers.engine(engine).usable


def _found(gateway: Gateway, name: str, engine: str) -> tuple[str, str] | None:
    """An engine and the id of its voice. ``engine`` is the last where it cannot speak: it is asked then to say why."""
    own = gateway.providers.engine(engine).voices if engine in gateway.providers.status else ()
    first = [(engine, voice.id) for voice in own]
    others = [(provider.id, voice.id) for provider, voice in gateway.providers.voices]
    for among in (first, others) if usable(gateway, engine) else (others, first):
        for same in (str, str.casefold):
            for provider, voice in among:
                if same(voice) == same(name):
                    return provider, voice
    return None
