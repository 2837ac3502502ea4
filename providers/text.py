"""Text that a model may be given: what no voice can say is taken out."""

from __future__ import annotations

import unicodedata

_SYMBOLS_FROM = 0x2190
"""Arrows and everything beyond, emoji among them, are never spoken."""
_EMOJI_PARTS = frozenset("\u200d\ufe0e\ufe0f\u20e3") | frozenset(map(chr, range(0x1F3FB, 0x1F400)))
# Control characters part words; marks of direction, halves of characters and what is none stand in them.
_PARTING, _NOTHING = {"Cc", "Zl", "Zp"}, {"Cf", "Cs", "Co", "Cn"}


def plain(text: str) -> str:
    """In one line, without control characters, emoji and what is no character."""
    return " ".join("".join(map(_visible, text)).split())


def sayable(text: str) -> bool:
    """Whether there is a letter or a digit in it: marks alone make models hum."""
    return any(map(str.isalnum, text))


def _visible(character: str) -> str:
    kind = unicodedata.category(character)
    if kind in _PARTING:
        return " "
    if kind in _NOTHING or character in _EMOJI_PARTS or (kind == "So" and ord(character) >= _SYMBOLS_FROM):
        return ""
    return character
