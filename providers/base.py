"""The seam between the gateway and an engine: what every provider promises.

A provider is an object with the five members of :class:`Provider`. It knows nothing of sessions, sockets or
formats: it is given one :class:`Segment` (a sentence, about) at a time and answers with PCM chunks in order.
Adding one is a file in this package, a line in ``registry.py``, an extra in ``pyproject.toml`` and a row in
``docs/engines.md``; the contract suite in ``tests/providers`` then runs over it by itself.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar, Protocol, runtime_checkable

SAMPLE_WIDTH = 2
"""Bytes a sample: all PCM between a provider and the gateway is signed 16-bit little-endian, mono."""

_ANY_LANGUAGE = frozenset({"mul", "und"})


def _primary(tag: str) -> str:
    return tag.replace("_", "-").partition("-")[0].lower()


@dataclass(frozen=True, slots=True)
class Voice:
    """One voice of one provider. ``sample_rate`` (Hz) is the rate of all the PCM that it speaks."""

    id: str
    name: str
    language: str
    """A BCP 47 tag, such as ``en-US``."""
    sample_rate: int
    gender: str | None = None
    description: str | None = None
    prompt: bytes | None = field(default=None, repr=False)
    """Of a voice that was made from a clip or a description: what ``Cloning`` or ``Designing`` gave back."""

    def speaks(self, language: str) -> bool:
        """Whether it speaks what the tag names. Regions are not compared: who asks for ``en`` means any English, and
        clients that always ask for ``en-US`` seldom mean it."""
        return self.multilingual or _primary(self.language) == _primary(language)

    @property
    def multilingual(self) -> bool:
        """It speaks whatever language it is asked for, as far as its engine knows it."""
        return _primary(self.language) in _ANY_LANGUAGE


@dataclass(frozen=True, slots=True)
class Clip:
    """Sound to make a voice from, decoded and bounded by the gateway: s16le mono."""

    pcm: bytes = field(repr=False)
    sample_rate: int
    transcript: str | None = None
    """What is said in it, where the caller knows."""


@dataclass(frozen=True, slots=True)
class Capabilities:
    """What the gateway may expect of a provider, beyond the contract that all share."""

    streams: bool = False
    """Chunks of a segment arrive while the rest of it is still being made."""
    speed: bool = False
    """``Segment.speed`` is honoured; otherwise it is ignored."""
    speeds: tuple[float, float] = (0.25, 4.0)
    """The slowest and the fastest that it speaks; of a speed beyond them it takes the nearest."""
    native_words: bool = False
    """Chunks carry word times from the engine itself; otherwise the gateway estimates them."""
    deterministic: bool = False
    """The same segment always gives the same PCM, so that it may be cached, resumed or made again."""
    max_characters: int = 1000
    """The longest segment that it takes."""
    segments_at_once: int = 2
    """How many segments of one utterance it is asked for at a time: 2 hides the start of the next one, 1 is for an
    engine that gives an utterance one place."""


@dataclass(frozen=True, slots=True)
class Segment:
    """A piece of text to speak in one go, with everything the engine needs to speak it."""

    text: str
    voice: Voice
    speed: float = 1.0
    language: str | None = None
    index: int = 0
    """Its place in the utterance, from 0."""
    batch: bool = False
    """Nobody listens while it is made: what somebody listens to goes first."""
    options: Mapping[str, Any] = field(default_factory=dict)
    """What ``Tunable.check`` gave back, for an engine that takes options of its own."""


@dataclass(frozen=True, slots=True)
class Word:
    """When a word is heard, in samples from the start of its segment."""

    text: str
    start: int
    end: int


@dataclass(frozen=True, slots=True)
class PcmChunk:
    """A piece of a segment's sound: whole s16le mono samples at the voice's rate, never empty."""

    pcm: bytes
    words: tuple[Word, ...] = ()


@dataclass(frozen=True, slots=True)
class Spoken:
    """All the sound of the first ``segments`` segments of a conversation has come, and all their words: these are the
    last of them."""

    segments: int
    words: tuple[Word, ...] = ()


class ProviderError(Exception):
    """The root of what a provider may raise. Anything else that escapes one is treated as ``EngineFailed``.

    ``code`` goes on the wire; the message does too, so it never carries paths, keys or the caller's text.
    """

    code: ClassVar[str] = "engine_failed"
    retryable: ClassVar[bool] = False

    def __init__(self, message: str, *, retry_after: float | None = None) -> None:
        super().__init__(message)
        self.retry_after = retry_after
        """Seconds after which another try may succeed, where that is known."""


class EngineFailed(ProviderError):
    """The engine raised, died in mid-segment or answered something that is no PCM."""


class EngineUnavailable(ProviderError):
    """The engine cannot be reached or is not loaded; another try later may succeed."""

    code = "engine_unavailable"
    retryable = True


class EngineBusy(ProviderError):
    """The engine has no room now."""

    code = "engine_busy"
    retryable = True


class MissingDependency(ProviderError):
    """An optional package is not installed. ``fix`` is the exact command that installs it."""

    code = "engine_not_installed"

    def __init__(self, provider: str, fix: str) -> None:
        super().__init__(f"engine {provider!r} is not installed; run: {fix}")
        self.fix = fix


class UnknownProvider(ProviderError):
    """No provider of that id is registered or enabled."""

    code = "unknown_provider"


class BadOption(ProviderError):
    """An option of the request is none of the engine's, or out of its range."""

    code = "bad_option"


class BadClip(ProviderError):
    """A clip is too short, too long, silent, or otherwise none that a voice can be made from."""

    code = "bad_clip"


class UnknownVoice(ProviderError):
    """The provider has no voice of that id."""

    code = "unknown_voice"


@runtime_checkable
class Provider(Protocol):
    """What an engine is to the gateway."""

    id: ClassVar[str]
    capabilities: ClassVar[Capabilities]

    async def start(self) -> None:
        """Load, connect and warm up, so that the first segment costs what the hundredth does.

        Called once before any ``synthesize``. Raises ``MissingDependency`` or ``EngineUnavailable``.
        """

    async def close(self) -> None:
        """Give everything back: threads, sockets, memory. Callable at any time, and twice."""

    async def voices(self) -> Sequence[Voice]:
        """Every voice that ``synthesize`` takes; the first is the provider's default. Works before ``start``."""

    def synthesize(self, segment: Segment) -> AsyncGenerator[PcmChunk, None]:
        """Speak ``segment``: chunks in order, pulled one by one, so that whoever pulls holds the engine back.

        Closing the generator or cancelling the pull stops the engine at the latest after the chunk it is making.
        Raises a ``ProviderError``.
        """
        ...


# ---- what an engine may be beside that


@runtime_checkable
class Bidirectional(Protocol):
    """An engine that takes text while it speaks, and makes one utterance of it: the melody of a sentence then fits the
    one before it, which it does not where every segment is asked for on its own."""

    def converse(self, segments: AsyncIterator[Segment]) -> AsyncGenerator[PcmChunk | Spoken, None]:
        """Speak ``segments`` as they come, in one stream; words are timed from its first sample.

        The engine may take segments ahead of their sound. ``anext(segments)`` may be cancelled and called again, but
        not twice at once. The texts joined are the utterance's text, white space and all. A segment without text is a
        flush: what was given is to be spoken now, for what follows may be long in coming. ``Spoken`` counts the
        segments that have text; the engine says it as soon as it knows, and never leaves it unsaid while it waits for
        text, for until then it owes sound and whoever listens is waiting for it. While it owes none it asks for text:
        one that does neither is taken for stalled. Ends once the segments have ended and all of them are spoken.

        Closing and cancelling are as with ``synthesize``; the iterator is then left as it is.
        """
        ...


@runtime_checkable
class Limited(Protocol):
    """An engine that speaks a known number of utterances at once. The gateway asks it for no more: the others wait in
    the gateway, where their position is known and a cancel costs nothing."""

    @property
    def places(self) -> int:
        """How many, at least 1. May change while the engine runs."""


@runtime_checkable
class Accounted(Protocol):
    """A ``Limited`` engine whose places are an account's with a service, and so are shared by every engine, process
    and machine that uses the account. Those of any other engine are the process's own."""

    @property
    def account(self) -> str:
        """Names the account, equally wherever it is used. Never a secret: it is a name in the shared store."""


@runtime_checkable
class Credentialed(Protocol):
    """An engine in front of a service that tells its callers apart by credentials."""

    def with_credentials(self, credentials: Mapping[str, str]) -> Provider:
        """The same engine, which asks the service in another's name. It needs no start and no close of its own, has the
        places of that other's account, and is told of with the same id. No error, log or metric shows what it was
        given. Raises ``BadOption``."""
        ...


@runtime_checkable
class Tunable(Protocol):
    """An engine with options of its own, such as the temperature of its sampling."""

    option_names: ClassVar[frozenset[str]]

    def check(self, options: Mapping[str, Any]) -> Mapping[str, Any]:
        """The options as ``Segment.options`` is to carry them. Raises ``BadOption``, in a sentence for the caller."""
        ...


@runtime_checkable
class Watched(Protocol):
    """An engine that knows of itself when it cannot serve, such as one behind a server that is down."""

    @property
    def trouble(self) -> ProviderError | None:
        """Why a segment would fail if it were asked for now; ``None`` where nothing is known to be wrong."""


@runtime_checkable
class Isolated(Protocol):
    """An engine in a process of its own, which may end by itself. It is then started again as one that was closed."""

    @property
    def memory(self) -> int | None:
        """Bytes that its process holds now; ``None`` where it has none, or the system does not say."""

    def when_lost(self, tell: Callable[[ProviderError], None]) -> None:
        """Call ``tell``, on the loop, whenever it has started and its process ends without a ``close``."""


@runtime_checkable
class Cloning(Protocol):
    """An engine that speaks with a voice made from a clip. A ``Voice`` with such a ``prompt`` is none of ``voices``,
    and ``synthesize`` takes it all the same."""

    @property
    def clones(self) -> bool:
        """Whether it does so as it is configured; known before ``start``. Where it does not, ``clone`` says in a
        ``BadOption`` what is missing."""

    async def clone(self, clip: Clip) -> Voice:
        """A voice like that of the clip, whose ``id`` and ``name`` the caller replaces. Its ``prompt`` is at most a few
        megabytes, holds no code (not a pickle), and is checked when it comes back: it was kept where others may have
        written. Raises ``BadClip``, or as ``synthesize`` does."""
        ...


@runtime_checkable
class Designing(Protocol):
    """An engine that speaks with a voice made from a description, such as "a calm old man"."""

    @property
    def designs(self) -> bool:
        """As ``Cloning.clones``."""

    async def design(self, description: str, language: str | None = None) -> Voice:
        """As ``Cloning.clone``. Raises ``BadOption`` for a description that it cannot take."""
        ...


def makes(provider: object, kind: type[Cloning] | type[Designing]) -> bool:
    """Whether ``provider`` makes voices in this way, as it is configured."""
    if kind is Cloning:
        return isinstance(provider, Cloning) and provider.clones
    return isinstance(provider, Designing) and provider.designs
