"""Voices without an engine."""

from __future__ import annotations

import hashlib
import secrets
from typing import Any

from gateway.library.store import Room
from gateway.library.voice import LibraryVoice

ROOM = Room(voices=100, total=100_000_000)


def a_prompt(size: int = 1000, seed: int = 0) -> bytes:
    return hashlib.shake_256(str(seed).encode()).digest(size)


def a_voice(id: str = "anna", owner: str = "web", prompt: bytes | None = None, **other: Any) -> LibraryVoice:
    data = a_prompt() if prompt is None else prompt
    fields: dict[str, Any] = {
        "token": secrets.token_hex(16),
        "owner": owner,
        "id": id,
        "name": id.capitalize(),
        "provider": "making",
        "kind": "cloned",
        "language": "en-US",
        "sample_rate": 24000,
        "created": 1_700_000_000.0,
        "size": len(data),
        "digest": hashlib.sha256(data).hexdigest(),
    }
    return LibraryVoice(**fields | other)
