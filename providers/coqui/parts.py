"""A text in parts of bounded length."""

from __future__ import annotations

import re
from collections.abc import Iterator

_CUTS = [re.compile(pattern) for pattern in (r"(?<=[.!?…。！？])", r"(?<=[,;:，；、])", r"\s+")]
"""Where a text is cut: rather behind a sentence than behind a clause, and rather there than between words."""


def parts(text: str, limit: int) -> Iterator[str]:
    """``text`` in parts of at most ``limit`` characters, each of a third of that at least but for the last."""
    while len(text) > limit:
        places = ([match.end() for match in cut.finditer(text, limit // 3, limit)] for cut in _CUTS)
        cut = next((found[-1] for found in places if found), limit)
        yield text[:cut].strip()
        text = text[cut:].strip()
    if text:
        yield text
