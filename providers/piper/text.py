"""What espeak-ng reads badly, written out. Word by word, so that a word of the text stays one."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Sequence
from itertools import zip_longest

# espeak-ng reads these titles right without their full stop, and ends a sentence at it.
_TITLES = frozenset(("Dr.", "Mr.", "Mrs.", "Ms.", "Prof.", "St.", "Mt."))
_MONEY = re.compile(r"(?P<before>\W*)(?P<sign>[$£€])(?P<whole>\d[\d,]*)(?:\.(?P<part>\d\d))?(?P<behind>[^\w$£€]*)")
_CURRENCIES = {"$": "dollar", "£": "pound", "€": "euro"}
_POWERS = frozenset(("hundred", "thousand", "million", "billion", "trillion"))
# Arrows and everything beyond, with what joins and colours emoji: never spoken.
_SYMBOLS_FROM = 0x2190
_EMOJI_PARTS = frozenset("\u200d\ufe0e\ufe0f\u20e3") | frozenset(map(chr, range(0x1F3FB, 0x1F400)))


def words(text: str) -> list[str]:
    """The text at its white space, without what no voice can say: control characters, halves of characters, emoji."""
    return "".join(map(_speakable, text)).split()


def _speakable(character: str) -> str:
    kind = unicodedata.category(character)
    if kind == "Cc":
        return " "
    if kind == "Cs" or character in _EMOJI_PARTS or (kind == "So" and ord(character) >= _SYMBOLS_FROM):
        return ""
    # espeak-ng passes over digits that are no decimals, such as a circled four.
    return str(unicodedata.digit(character)) if kind == "No" and character.isdigit() else character


def written_out(text: Sequence[str], *, english: bool) -> list[str]:
    """Each word as espeak-ng is to read it."""
    # Two brackets would begin phonemes: those are the operator's affair, and not that of a text.
    plain = [word.replace("[[", "[").replace("]]", "]") for word in text]
    if not english:
        return plain
    return [_english(word, behind) for word, behind in zip_longest(plain, plain[1:], fillvalue="")]


def _english(word: str, following: str) -> str:
    if word in _TITLES and following[:1].isalpha():
        return word[:-1]
    money = _MONEY.fullmatch(word)
    if money is None or following.strip(".,!?;:)\"'").lower() in _POWERS:
        return word
    name = _CURRENCIES[money["sign"]] + ("" if money["whole"] == "1" else "s")
    part = f" {money['part']}" if money["part"] and money["part"] != "00" else ""
    return f"{money['before']}{money['whole']} {name}{part}{money['behind']}"
