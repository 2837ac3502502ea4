"""The values that a speech gives out, and the header of a binary frame. ``docs/protocol.md`` is the reference."""

from __future__ import annotations

import struct
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple, TypedDict

SUBPROTOCOL = "voxwire.v1"
VERSION = 1
AUDIO = 1
HEADER = struct.Struct("!BBBxHHII")
"""version, type, flags, context number, generation, sequence, position."""
MAX_TEXT = 16_384
"""Characters of one ``text`` message: its JSON stays well below the 256 KiB that a gateway takes."""


class Options(TypedDict, total=False):
    """What may be asked of a speech. Everything has a default: the gateway's."""

    voice: str
    provider: str
    model: str
    format: str
    """``pcm16`` (default: s16le, mono), ``pcm_f32le``, ``wav``, ``mulaw``, ``alaw``, ``mp3``, ``aac`` (ADTS), ``flac``,
    ``opus`` (in Ogg), ``webm`` (Opus) or ``opus_packets`` (bare: one a frame)."""
    sample_rate: int
    """Hz of the output; by default the voice's own, or the nearest that the format has."""
    language: str
    """A BCP 47 tag."""
    speed: float
    """0.25 to 4."""
    pace: Literal["realtime", "burst"]
    """``realtime`` (default) sends at the speed of listening, with a short lead; ``burst`` as fast as it goes."""
    frame_ms: int
    """10 to 200: milliseconds of a frame of the formats that are not compressed."""
    pad: bool
    """Fill up the last of these frames with silence."""
    bit_rate: int
    """Bits a second of a compressed format."""
    priority: Literal["interactive", "batch"]
    """``batch`` is for what nobody waits for: an engine serves others first."""
    options: dict[str, Any]
    """What the engine alone understands, such as ``temperature``."""
    timestamps: bool
    """Send word times too: see ``words``."""


class Frame(NamedTuple):
    """A piece of a speech's audio, as it came."""

    data: bytes
    sequence: int
    """From 0, without gaps."""
    position: int
    """Samples of the speech before this frame, at its sample rate."""


class Word(NamedTuple):
    """When a word is heard, in milliseconds from the start of the speech."""

    text: str
    start_ms: int
    end_ms: int
    estimated: bool = False
    """The gateway computed the time, since the engine did not know it."""


@dataclass(frozen=True, slots=True)
class Queued:
    """The gateway is full. ``position`` 1 is next; ``eta_ms`` may be unknown."""

    position: int
    eta_ms: int | None


@dataclass(frozen=True, slots=True)
class Started:
    """Who speaks, and what comes."""

    token: str
    """Names this speech in the gateway's log."""
    provider: str
    voice: str
    format: str
    sample_rate: int
    """Hz."""


@dataclass(frozen=True, slots=True)
class Ended:
    """All was spoken."""

    audio_ms: float
    ttfa_ms: float | None
    """From the first text to the first audio, as the gateway measured it."""
    frames: int


@dataclass(frozen=True, slots=True)
class CancelResult:
    """Where a cancelled speech stopped. The two texts together are the text that was sent."""

    text_spoken: str
    text_remaining: str
    stop_ms: float
    """How long the gateway took to stop."""


@dataclass(frozen=True, slots=True)
class Voice:
    """A voice that a gateway offers. ``sample_rate`` in Hz, ``language`` a BCP 47 tag."""

    id: str
    name: str
    provider: str
    language: str | None
    sample_rate: int | None
    gender: str | None
    description: str | None

    @classmethod
    def from_fields(cls, fields: Mapping[str, Any]) -> Voice:
        return cls(
            id=str(fields["id"]),
            name=str(fields.get("name") or fields["id"]),
            provider=str(fields.get("provider") or ""),
            language=fields.get("language"),
            sample_rate=fields.get("sample_rate_hz") or fields.get("sample_rate"),
            gender=fields.get("gender"),
            description=fields.get("description"),
        )
