"""How an engine is, for whoever asks."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class State(StrEnum):
    IDLE = "idle"
    """Not loaded; the first who asks for it loads it, also where it has failed and may be tried again."""
    STARTING = "starting"
    READY = "ready"
    FAILED = "failed"
    """It did not start, or says that it cannot serve now."""


@dataclass(frozen=True, slots=True)
class Status:
    """How an engine is; ``code`` and ``message`` say why where it failed."""

    state: State
    code: str | None = None
    message: str | None = None
    retry_after: float | None = None
    """Seconds until it is tried again, where it failed to start."""
    users: int = 0
    """Utterances that hold it."""
    load_s: float | None = None
    """Seconds that its last start took."""
    memory: int | None = None
    """Bytes by which the process grew in its last start. Two that start at once are counted in both. Of an engine in a
    process of its own: all that this holds now."""
    isolated: bool = False
    """It runs in a process of its own."""
