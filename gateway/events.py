"""The only vocabulary between dialects and sessions.

A dialect turns a caller's frames into commands and turns events into the caller's frames; it never sees an engine.
A session takes commands and says events; it never sees a frame. Times are seconds, positions are samples at the
session's output rate.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, NamedTuple

from gateway.errors import VoxwireError


class Pace(StrEnum):
    """How fast audio leaves: at the speed of listening (with a lead), or as fast as it is taken."""

    REALTIME = "realtime"
    BURST = "burst"


class Priority(StrEnum):
    """Whether somebody listens while it is made. What nobody waits for makes way."""

    INTERACTIVE = "interactive"
    BATCH = "batch"


@dataclass(frozen=True, slots=True)
class SpeechRequest:
    """Everything that is fixed when a context starts. ``None`` means the deployment's default."""

    voice: str | None = None
    provider: str | None = None
    model: str | None = None
    language: str | None = None
    speed: float = 1.0
    format: str = "pcm16"
    sample_rate: int | None = None
    """Hz of the output; ``None`` takes the voice's own rate, or the nearest that the format has."""
    pace: Pace = Pace.REALTIME
    frame_ms: int | None = None
    """Length of an audio frame of the raw formats; ``None`` takes the setting."""
    timestamps: bool = False
    record: bool = False
    """Keep what is spoken, so that it can be fetched as a file afterwards."""
    priority: Priority = Priority.INTERACTIVE
    bit_rate: int | None = None
    """Bits a second of a compressed format; ``None`` takes the format's own."""
    options: Mapping[str, Any] = field(default_factory=dict)
    """What the engine alone understands, by its own names."""
    pad: bool = False
    """Fill up the last frame of a raw format with silence, so that all have the same length."""


# ---- commands: what a caller asks of a context


@dataclass(frozen=True, slots=True)
class Start:
    context: str
    request: SpeechRequest
    token: str | None = None
    """The name of the session, where one was given to it before."""


@dataclass(frozen=True, slots=True)
class Text:
    context: str
    text: str
    flush: bool = False
    """Speak what has arrived now, without waiting for the end of a sentence."""


@dataclass(frozen=True, slots=True)
class End:
    """No more text will come."""

    context: str


@dataclass(frozen=True, slots=True)
class Cancel:
    context: str
    played_ms: float | None = None
    """How much the listener has heard, where the caller knows."""


@dataclass(frozen=True, slots=True)
class Playhead:
    """A report of the listener's player: what it has played and how often it ran dry."""

    context: str
    played_ms: float
    underruns: int | None = None


@dataclass(frozen=True, slots=True)
class Ping:
    pass


Command = Start | Text | End | Cancel | Playhead | Ping


# ---- events: what a session says


@dataclass(frozen=True, slots=True)
class Queued:
    position: int
    eta: float | None


@dataclass(frozen=True, slots=True)
class Started:
    token: str
    """Names this session in logs and, where it is recorded, in the address of its file."""
    provider: str
    voice: str
    format: str
    sample_rate: int


class Audio(NamedTuple):
    """One frame of encoded audio, ready for the wire. A tuple because it is made for every 20 ms of sound."""

    data: bytes | memoryview
    sequence: int
    position: int
    """Samples of the stream before this frame."""
    samples: int
    """Samples that this frame adds; 0 where it only completes what earlier frames held."""


class SpokenWord(NamedTuple):
    text: str
    start_ms: int
    end_ms: int


@dataclass(frozen=True, slots=True)
class Words:
    words: tuple[SpokenWord, ...]
    estimated: bool


@dataclass(frozen=True, slots=True)
class Ended:
    audio: float
    """Seconds of sound that were sent."""
    ttfa: float | None
    """Seconds from the first text to the first audio."""
    frames: int


@dataclass(frozen=True, slots=True)
class Cancelled:
    stop: float
    """Seconds from the cancel to the moment after which no audio leaves and the engine is told to stop."""
    text_spoken: str
    text_remaining: str


@dataclass(frozen=True, slots=True)
class Failed:
    error: VoxwireError


Event = Queued | Started | Audio | Words | Ended | Cancelled | Failed
