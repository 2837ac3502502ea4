"""The voices in a server's list, in any of the forms that servers have for it."""

from __future__ import annotations

from typing import Any

import orjson

PATHS = ("audio/voices", "voices")
"""Where servers list their voices, below the address; OpenAI's own has no list."""
MOST_BYTES = 4 << 20
_KEYS = ("voices", "uploaded_voices", "data")
"""vLLM-Omni has those that were uploaded in a list of their own, and none but them where its model has no voices."""
_MOST_VOICES = 1000
_LONGEST = 200


def names(data: bytes) -> list[str]:
    """The ids of a list: of strings or of objects, bare or below ``voices``, ``uploaded_voices`` or ``data``."""
    try:
        found = orjson.loads(data)
    except orjson.JSONDecodeError:
        return []
    lists = [found.get(key) for key in _KEYS] if isinstance(found, dict) else [found]
    ids = (row if isinstance(row, str) else _id(row) for rows in lists if isinstance(rows, list) for row in rows)
    return list(dict.fromkeys(filter(_usable, ids)))[:_MOST_VOICES]


def _id(row: Any) -> str:
    if not isinstance(row, dict):
        return ""
    name = row.get("id") or row.get("voice_id") or row.get("name")
    return name if isinstance(name, str) else ""


def _usable(name: str) -> bool:
    return 0 < len(name) <= _LONGEST and name.isprintable()
