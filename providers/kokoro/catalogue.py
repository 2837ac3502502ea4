"""The voices in a file of voices, and what their names say of them."""

from __future__ import annotations

import logging
import zipfile
from collections.abc import Mapping
from pathlib import Path

from providers.base import Voice

log = logging.getLogger(__name__)

RATE = 24_000
"""Hz."""

# The first letter of a name: its language as a BCP 47 tag, and as espeak-ng calls it.
_LANGUAGES: Mapping[str, tuple[str, str]] = {
    "a": ("en-US", "en-us"),
    "b": ("en-GB", "en-gb"),
    "e": ("es", "es"),
    "f": ("fr-FR", "fr-fr"),
    "h": ("hi", "hi"),
    "i": ("it", "it"),
    "j": ("ja", "ja"),
    "p": ("pt-BR", "pt-br"),
    "z": ("zh", "cmn"),
}
_GENDERS = {"f": "female", "m": "male"}
_ESPEAK = {tag.lower(): name for tag, name in _LANGUAGES.values()}


def voices(path: Path | None, default: str | None = None) -> dict[str, Voice]:
    """By id, the ``default`` first; none where the file cannot be read."""
    if path is None:
        return {}
    try:
        with zipfile.ZipFile(path) as archive:
            names = sorted(name.removesuffix(".npy") for name in archive.namelist() if name.endswith(".npy"))
    except (OSError, zipfile.BadZipFile) as error:
        log.warning("Kokoro's voices cannot be read: %s", error)
        return {}
    names.sort(key=lambda name: name != default)
    return {name: _voice(name) for name in names}


def espeak(voice: Voice, language: str | None) -> str:
    """What espeak-ng calls the language of a request; the voice's own where the request says none, or one that the
    model does not know."""
    wanted, own = (language or "").replace("_", "-").lower(), voice.language.lower()
    if wanted in _ESPEAK:
        return _ESPEAK[wanted]
    if _primary(wanted) != _primary(own):
        other = next((name for tag, name in _ESPEAK.items() if _primary(tag) == _primary(wanted)), None)
        if other is not None:
            return other
    return _ESPEAK[own]


def _primary(tag: str) -> str:
    return tag.partition("-")[0]


def _voice(name: str) -> Voice:
    """``af_heart`` is American, female, and called Heart."""
    kind, _, title = name.partition("_")
    language, _ = _LANGUAGES.get(kind[:1], _LANGUAGES["a"])
    return Voice(name, (title or name).title(), language, RATE, _GENDERS.get(kind[1:2]))
