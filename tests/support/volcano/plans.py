"""What a test wants of one session."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True, slots=True)
class Refusal:
    """``form``: how it is said. ``event`` is a SessionFailed where there are sessions, ``frame`` an error frame where
    there are frames, ``status`` an answer of that HTTP status in place of a 200 (or of an upgrade)."""

    code: int
    message: str
    form: Literal["event", "frame", "status"] = "event"
    status: int = 200


QUOTA = Refusal(45000292, "quota exceeded for types: concurrency")
QUOTA_IN_A_FRAME = Refusal(45000000, "quota exceeded for types: concurrency", "frame")
QUOTA_BY_STATUS = Refusal(0, "too many requests", "status", 429)


@dataclass(slots=True)
class Plan:
    """One session is to go like this; what is not said goes as always."""

    refuse: Refusal | None = None
    """In place of its start."""
    empty: bool = False
    """It ends well and has made no sound."""
    hold: asyncio.Event | None = None
    """No sound until the test sets it."""
    latency: float | None = None
    """Seconds before the first sound."""
    chunks: int | None = None
    """After so many pieces of sound it ends as ``then`` says."""
    then: Literal["fail", "frame", "close", "abort", "junk", "finish"] = "fail"
    """A SessionFailed, an error frame, a close with code 1000, an end of the connection without one, bytes that are no
    frame, or success."""
    mute: bool = False
    """Takes the request to start and never answers."""
    echo: bool = False
    """Around its start comes what is no part of it: an event that nobody knows, and the end of the connection's last
    session in every form, with some of its sound."""
