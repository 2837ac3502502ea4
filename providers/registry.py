"""Which engines there are, by id, and the ones that a gateway runs.

An engine's module is imported when it is first asked for, so that a missing package is that engine's
trouble alone.
"""

from __future__ import annotations

import asyncio
import importlib
from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from functools import partial
from itertools import islice
from typing import Any, cast

from providers.base import (
    EngineUnavailable,
    MissingDependency,
    Provider,
    UnknownProvider,
    UnknownVoice,
    Voice,
)
from providers.lane import Lane
from providers.running import Engine
from providers.status import Status

_CORE = "pip install voxwire"
_NAMES_SHOWN = 12


@dataclass(frozen=True, slots=True)
class Row:
    """``target`` is ``"module:Class"``, imported on use; ``install`` installs what an optional engine
    needs.
    """

    target: str
    install: str | None
    summary: str


PROVIDERS: dict[str, Row] = {
    "coqui": Row(
        "providers.coqui.engine:Coqui",
        "pip install 'voxwire[coqui]'",
        "Coqui's models: VITS, Tacotron, and XTTS, streamed and with cloned voices.",
    ),
    "hibari": Row("providers.hibari:Hibari", None, "Neural English voices on the CPU, weights in the wheel."),
    "kokoro": Row(
        "providers.kokoro.engine:Kokoro",
        "pip install 'voxwire[kokoro]'",
        "Kokoro: a small neural model for nine languages. Its way to phonemes is GPL-3.",
    ),
    "mock_tone": Row("providers.tone:Tone", None, "A sine tone as long as the text, for tests and benchmarks."),
    "piper": Row(
        "providers.piper.engine:Piper",
        "pip install 'voxwire[piper]'",
        "Piper voices, streamed within a sentence. GPL-3.",
    ),
    "openai_speech": Row(
        "providers.openai_speech:OpenAISpeech", None, "Any server with OpenAI's speech API, streamed on as it comes."
    ),
    "orpheus": Row(
        "providers.orpheus.engine:Orpheus",
        "pip install 'voxwire[orpheus]'",
        "Orpheus from llama-server, decoded by SNAC: expressive English voices, best on a GPU.",
    ),
    "qwen": Row(
        "providers.qwen.engine:Qwen",
        "pip install 'voxwire[qwen]'",
        "Qwen3-TTS: ten languages, voices by name, by description and from clips; for a GPU.",
    ),
    "volcano": Row(
        "providers.volcano.engine:Volcano", None, "Volcano Engine (Doubao): text streams up while sound comes down."
    ),
}


def resolve(name: str) -> Callable[..., Provider]:
    """The class behind a registered id, or behind the ``"package.module:Class"`` of an engine from elsewhere.

    Raises ``UnknownProvider``, ``MissingDependency``, or ``EngineUnavailable`` if its module cannot be
    imported.
    """
    row = PROVIDERS.get(name)
    if row is None and ":" not in name:
        raise UnknownProvider(f"there is no such engine; there are: {_some_of(PROVIDERS)}")
    module, _, attribute = (row.target if row else name).partition(":")
    if not (module and attribute):
        raise UnknownProvider(f"engine {name!r} names no class; write 'package.module:Class'")
    try:
        found = getattr(importlib.import_module(module), attribute, None)
    except ModuleNotFoundError as error:
        missing = error.name or ""
        if row is not None:
            raise MissingDependency(name, row.install or _CORE) from error
        if f"{module}.".startswith(f"{missing}."):
            raise UnknownProvider(f"engine {name!r} names a module that does not exist") from error
        raise EngineUnavailable(f"engine {name!r} needs the module {missing!r}, which is not installed") from error
    except Exception as error:
        # A broken shared library, say: installed, but not for this machine.
        raise EngineUnavailable(f"engine {name!r} cannot be imported ({type(error).__name__})") from error
    if not isinstance(found, type):
        raise UnknownProvider(f"engine {name!r} names no class of its module")
    return cast(Callable[..., Provider], found)


def load(name: str, **options: Any) -> Provider:
    """A new provider, not started; ``options`` go to its constructor. Raises as ``resolve`` does."""
    return _checked(name, resolve(name)(**options))


def _checked(name: str, provider: object) -> Provider:
    """``provider``, if it is one. Raises ``UnknownProvider``."""
    if not isinstance(provider, Provider):
        raise UnknownProvider(f"engine {name!r} names a class that is no provider")
    return provider


def _some_of(names: Collection[str]) -> str:
    """A list for a sentence, of bounded length."""
    shown = ", ".join(islice(names, _NAMES_SHOWN))
    return shown if len(names) <= _NAMES_SHOWN else f"{shown} and {len(names) - _NAMES_SHOWN} more"


class Providers:
    """The engines of one gateway. The first is the default.

    ``engines`` are registered ids, ``"package.module:Class"`` strings or providers; ``options`` are
    constructor arguments by the same names. An engine that cannot start keeps its error for whoever asks
    for it; the others run. ``start_timeout`` (seconds) bounds each one's start. ``preload`` names the engines that are
    loaded by ``start``, ``None`` means all of them; the others are loaded by the first who holds them. One that nobody
    has held for ``idle`` seconds is unloaded; 0 means never. ``isolated`` names those that get a process of their own.
    """

    def __init__(
        self,
        engines: Sequence[str | Provider],
        options: Mapping[str, Mapping[str, Any]] | None = None,
        *,
        start_timeout: float | None = None,
        preload: Collection[str] | None = None,
        idle: float = 0.0,
        isolated: Collection[str] = (),
    ) -> None:
        if not engines:
            raise ValueError("a gateway needs at least one engine")
        self._options = options or {}
        self._start_timeout = start_timeout
        self._preload = preload
        self._idle = idle
        self._isolated = isolated
        self._engines = [self._engine(engine) for engine in engines]

    async def start(self) -> None:
        """Start the engines that are to be preloaded, all at once; when called again, those that failed. Their errors
        are kept, not raised. One that hangs keeps none of the others.
        """
        async with asyncio.TaskGroup() as group:
            for engine in self._engines:
                start = engine.start() if engine.preload else engine.prepare()
                group.create_task(start, name=f"start engine {engine.name}")

    async def close(self) -> None:
        """Close every engine. Callable at any time, and twice."""
        await asyncio.gather(*(engine.close() for engine in self._engines))

    def get(self, provider: str) -> Provider:
        """The provider of that id. Raises ``UnknownProvider``, or why it cannot be used."""
        return self._find(provider).use()

    def hold(self, provider: str) -> AbstractAsyncContextManager[Provider]:
        """The provider of that id, loaded, for as long as it is needed. Raises ``UnknownProvider``, or why not."""
        return self._find(provider).hold()

    def engine(self, provider: str) -> Engine:
        """The engine of that id, to load and unload it. Raises ``UnknownProvider``."""
        return self._find(provider)

    @property
    def default(self) -> Provider:
        """The first provider. Raises why it cannot be used."""
        return self._engines[0].use()

    @property
    def voices(self) -> list[tuple[Provider, Voice]]:
        """Every voice of every engine that can be used, the default's first."""
        usable = [(engine, engine.provider) for engine in self._engines if engine.usable]
        return [(provider, voice) for engine, provider in usable if provider for voice in engine.voices]

    @property
    def status(self) -> dict[str, Status]:
        """How each engine is, by id."""
        return {engine.id: engine.status for engine in self._engines}

    def find_voice(
        self, provider: str | None = None, voice: str | None = None, language: str | None = None
    ) -> tuple[Provider, Voice]:
        """The voice, and who speaks it.

        Without ``provider`` all are searched in order. Without ``voice`` the first is taken that speaks ``language``, a
        BCP 47 tag; and the first of all where that is not said, or nobody does. Raises ``UnknownProvider``,
        ``UnknownVoice``, or why the engine cannot be used.
        """
        among = self._engines if provider is None else [self._find(provider)]
        if voice is None:
            return self._default(among, language)
        if len(among) == 1:
            among[0].offer()
        # Of two engines with the voice, one that can be used goes before one that failed.
        for engine in sorted(among, key=lambda engine: not engine.usable):
            found = engine.voice(voice)
            if found is not None:
                return engine.offer(), found
        raise self._unknown(among)

    def _default(self, among: Sequence[Engine], language: str | None) -> tuple[Provider, Voice]:
        if language is not None:
            for engine in (engine for engine in among if engine.usable):
                speaking = [voice for voice in engine.voices if voice.speaks(language)]
                if speaking:
                    # The first, but for one of the very region that was asked for.
                    return engine.offer(), min(speaking, key=lambda voice: voice.language.lower() != language.lower())
        first = among[0]
        provider = first.offer()
        if not first.voices:
            raise self._unknown([first])
        return provider, first.voices[0]

    def _unknown(self, among: Sequence[Engine]) -> UnknownVoice:
        names = dict.fromkeys(known.id for engine in among if engine.usable for known in engine.voices)
        return UnknownVoice(f"there is no such voice; there are: {_some_of(names) or 'none now'}")

    def _find(self, provider: str) -> Engine:
        for engine in self._engines:
            if provider in (engine.id, engine.name):
                return engine
        raise UnknownProvider(f"there is no such engine here; there are: {_some_of(self.status)}")

    def _engine(self, engine: str | Provider) -> Engine:
        name = engine if isinstance(engine, str) else engine.id
        preload = self._preload is None or name in self._preload
        return Engine(name, self._maker(engine), preload=preload, start_timeout=self._start_timeout, idle=self._idle)

    def _maker(self, engine: str | Provider) -> Callable[[], Awaitable[Provider]]:
        if not isinstance(engine, str):
            return partial(_given, engine)
        options = self._options.get(engine, {})
        here = _Import(engine, options)
        return partial(_isolated, engine, options, here) if engine in self._isolated else here


class _Import:
    """Makes a provider of a name. Importing its module may take seconds, or hang; then whoever waits is not held up by
    its thread, and another try waits for that, and needs none of its own."""

    def __init__(self, name: str, options: Mapping[str, Any]) -> None:
        self._name = name
        self._options = options
        self._lane = Lane(1, f"import-{name}", max_wait=None)

    async def __call__(self) -> Provider:
        self._lane.open()
        try:
            kind = await self._lane.run(resolve, self._name)
        finally:
            if not self._lane.busy:
                await self._lane.close()
        return _checked(self._name, kind(**self._options))


async def _given(provider: Provider) -> Provider:
    return provider


async def _isolated(name: str, options: Mapping[str, Any], here: Callable[[], Awaitable[Provider]]) -> Provider:
    from providers.isolated.engine import isolate

    return await isolate(name, options, here)
