"""The gateway's side: an engine like any other, whose work is done in a process of its own.

What it imports of the engine that it stands for is nothing; only an engine that takes options has its own module here
too, to check them where no time is to ask another process.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping, Sequence
from typing import Any, ClassVar, cast

from providers.base import (
    Capabilities,
    Clip,
    EngineUnavailable,
    PcmChunk,
    Provider,
    ProviderError,
    Segment,
    Tunable,
    Voice,
)
from providers.isolated import messages
from providers.isolated.remote import Remote

_LINGER = 10.0
"""Seconds for which a process stays that was asked about its engine, and not to start it."""
_MB = 1024 * 1024


class IsolatedEngine:
    """Made by ``isolate``, which gives it a class of its own: with the id and the capabilities of the engine that it
    stands for, and what that may be beside a ``Provider``."""

    id: ClassVar[str]
    capabilities: ClassVar[Capabilities]

    def __init__(
        self, name: str, options: Mapping[str, Any], remote: Remote, about: messages.About, tunable: Tunable | None
    ) -> None:
        self._name = name
        self._options = options
        self._voices = messages.read_voices(about.voices)
        self._state = about.state
        self._tunable = tunable
        self._tell: Callable[[ProviderError], None] | None = None
        self._started = False
        self._remote: Remote | None = remote
        remote.when_lost = self._lost
        self._ending: set[Remote] = set()
        """Those that were let go of, and are perhaps not over."""
        self._linger: asyncio.TimerHandle | None = asyncio.get_running_loop().call_later(_LINGER, self._let_go, remote)

    # ---- what the gateway may know

    @property
    def memory(self) -> int | None:
        return self._remote.process.memory if self._remote else None

    @property
    def process(self) -> int | None:
        """Its number."""
        return self._remote.process.pid if self._remote else None

    @property
    def detail(self) -> str:
        """For whoever runs the gateway."""
        memory = f" ({self.memory // _MB} MB)" if self.memory else ""
        own = self._now.detail
        return f"in a process of its own{memory}" + (f"; {own}" if own else "")

    @property
    def _now(self) -> messages.State:
        """As the engine told it last."""
        if self._remote is not None and self._started:
            self._state = self._remote.state
        return self._state

    @property
    def _trouble(self) -> ProviderError | None:
        return self._remote.trouble if self._remote is not None and self._started else None

    def when_lost(self, tell: Callable[[ProviderError], None]) -> None:
        self._tell = tell

    async def voices(self) -> Sequence[Voice]:
        if self._started and self._remote is not None and self._remote.usable:
            frame = await self._remote.ask("voices")
            self._voices = self._remote.read(messages.read_voices, frame)
        return self._voices

    # ---- start and end

    async def start(self) -> None:
        if self._started and self._remote is not None and self._remote.usable:
            return
        self._stop_lingering()
        remote = self._remote
        try:
            if remote is None or not remote.usable:
                remote = self._anew()
                about = await remote.open(self._options)
                self._voices = messages.read_voices(about.voices)
            await remote.start()
        except BaseException:
            if remote is not None:
                self._let_go(remote)
            raise
        self._started = True

    def _anew(self) -> Remote:
        """Another process."""
        if self._remote is not None:
            self._let_go(self._remote)
        self._remote = Remote(self._name)
        self._remote.when_lost = self._lost
        return self._remote

    async def close(self) -> None:
        self._stop_lingering()
        self._started = False
        remote, self._remote = self._remote, None
        if remote is not None:
            self._ending.add(remote)
        try:
            await asyncio.gather(*(ending.close() for ending in self._ending))
        finally:
            self._ending = {ending for ending in self._ending if not ending.process.ended.done()}

    def _let_go(self, remote: Remote) -> None:
        """Kill what nobody will ask any more, without waiting for its end."""
        if self._remote is remote:
            self._remote, self._started = None, False
        remote.drop()
        self._ending = {ending for ending in self._ending if not ending.process.ended.done()} | {remote}

    def _stop_lingering(self) -> None:
        if self._linger is not None:
            self._linger.cancel()
            self._linger = None

    def _lost(self, error: ProviderError) -> None:
        if self._started and self._remote is not None:
            self._let_go(self._remote)
            if self._tell is not None:
                self._tell(error)

    # ---- speaking

    async def synthesize(self, segment: Segment) -> AsyncGenerator[PcmChunk, None]:
        remote = self._running()
        with remote.call() as call:
            said = messages.segment(segment)
            frame = await remote.put(call, "speak", said, segment.voice.prompt or b"")
            while frame.header["is"] == "chunk":
                yield PcmChunk(frame.payload, remote.read(messages.read_words, frame, "words"))
                frame = await remote.put(call, "pull")

    async def settled(self) -> None:
        """Wait until the engine has stopped all that nobody wants any more."""
        if self._remote is not None:
            await self._remote.settled()

    def _running(self) -> Remote:
        if self._remote is None or not self._started:
            raise EngineUnavailable(f"engine {self.id!r} is not loaded", retry_after=1.0)
        return self._remote

    async def _made(self, do: str, what: Mapping[str, Any], payload: bytes = b"") -> Voice:
        """The voice that the engine makes."""
        remote = self._running()
        frame = await remote.ask(do, what, payload)
        return remote.read(lambda said: messages.read_voice(said, frame.payload), frame)

    def _check(self, options: Mapping[str, Any]) -> Mapping[str, Any]:
        assert self._tunable is not None
        return self._tunable.check(options)


# ---- what an engine may be beside that; each class stands for the protocol of its name


class _Tunable(IsolatedEngine):
    option_names: ClassVar[frozenset[str]]

    def check(self, options: Mapping[str, Any]) -> Mapping[str, Any]:
        return self._check(options)


class _Limited(IsolatedEngine):
    @property
    def places(self) -> int:
        return self._now.places


class _Accounted(IsolatedEngine):
    @property
    def account(self) -> str:
        return self._now.account


class _Watched(IsolatedEngine):
    @property
    def trouble(self) -> ProviderError | None:
        return self._trouble


class _Cloning(IsolatedEngine):
    @property
    def clones(self) -> bool:
        return self._now.clones

    async def clone(self, clip: Clip) -> Voice:
        return await self._made("clone", {"sample_rate": clip.sample_rate, "transcript": clip.transcript}, clip.pcm)


class _Designing(IsolatedEngine):
    @property
    def designs(self) -> bool:
        return self._now.designs

    async def design(self, description: str, language: str | None = None) -> Voice:
        return await self._made("design", {"description": description, "language": language})


_KINDS: Mapping[str, type[IsolatedEngine]] = {
    "Tunable": _Tunable,
    "Limited": _Limited,
    "Accounted": _Accounted,
    "Watched": _Watched,
    "Cloning": _Cloning,
    "Designing": _Designing,
}


async def isolate(name: str, options: Mapping[str, Any], here: Callable[[], Awaitable[Provider]]) -> Provider:
    """The engine of that registered id, or that ``"package.module:Class"``, in a process of its own; not started.
    ``here`` makes one in this process, which is used to check options, where the engine takes any. Raises what making
    it raises, or ``EngineUnavailable``."""
    if os.name != "posix":
        raise EngineUnavailable(f"engine {name!r} cannot have a process of its own on this system")
    remote = Remote(name)
    try:
        about = await remote.open(options)
        if elsewhere := sorted(about.offers & set(messages.ELSEWHERE)):
            raise EngineUnavailable(
                f"engine {about.id!r} cannot have a process of its own: it is {' and '.join(elsewhere).lower()}"
            )
        tunable = cast(Tunable, await here()) if "Tunable" in about.offers else None
        return cast(Provider, _class(about)(name, options, remote, about, tunable))
    except BaseException:
        await remote.close()
        raise


def _class(about: messages.About) -> type[IsolatedEngine]:
    bases = tuple(kind for name, kind in _KINDS.items() if name in about.offers) or (IsolatedEngine,)
    fields = {"id": about.id, "capabilities": about.capabilities, "option_names": about.option_names}
    if "Tunable" not in about.offers:
        del fields["option_names"]
    return type("Isolated", bases, fields)
