"""Languages as this API calls them, by their English names, and as engines do, by BCP 47 tags."""

from __future__ import annotations

import re
from collections.abc import Iterable

from gateway.errors import BadRequest

AUTO = "Auto"
"""Leaves it to the engine."""
NAMES = {
    "zh": "Chinese", "en": "English", "ja": "Japanese", "ko": "Korean", "de": "German", "fr": "French",
    "ru": "Russian", "pt": "Portuguese", "es": "Spanish", "it": "Italian",
}  # fmt: skip
_TAGS = {name.casefold(): tag for tag, name in NAMES.items()}
_TAG = re.compile(r"[A-Za-z]{2,3}([-_][A-Za-z0-9]{1,8}){0,4}")
_ANY = ("mul", "und")


def tag(language: str) -> str | None:
    """Of a name, or of what is a tag already; ``None`` for ``Auto``, and for nothing. Raises ``BadRequest``."""
    asked = language.strip().casefold()
    if asked in ("", AUTO.casefold()):
        return None
    if asked in _TAGS:
        return _TAGS[asked]
    if _TAG.fullmatch(asked) is None:
        raise BadRequest(f"there is no such language; there are: {', '.join((AUTO, *NAMES.values()))}, or a tag")
    return language.strip().replace("_", "-")


def name(language: str) -> str | None:
    """Of a tag: its language's, or the tag itself where that has no name here; ``None`` for several, or none known."""
    primary = language.replace("_", "-").partition("-")[0].casefold()
    return None if primary in _ANY else NAMES.get(primary, language)


def names(languages: Iterable[str]) -> list[str]:
    """``Auto``, then those of the tags in the order of ``NAMES``, then the others. Who speaks several speaks all."""
    found = {name(language) for language in languages}
    known = [own for own in NAMES.values() if own in found or None in found]
    return [AUTO, *known, *sorted(own for own in found if own is not None and own not in NAMES.values())]
