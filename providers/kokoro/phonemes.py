"""Text into the phonemes that the model knows, by espeak-ng.

The library's own way keeps what espeak-ng notes where a text changes its language, ``(en)mˈiːtɪŋ(fr)``, and since the
model knows brackets and letters it says that too. The marks of other scripts, which say where a sentence ends, are lost
on the way. And espeak-ng itself drops what is beyond some 1000 phonemes without a mark between them, or 200 in a word.
"""

from __future__ import annotations

import importlib
import logging
import re
import threading
from collections.abc import Container, Iterator
from typing import Any

_MARKS = str.maketrans(
    {
        "。": ". ",
        "．": ". ",
        "।": ". ",
        "॥": ". ",
        "！": "! ",
        "？": "? ",
        "؟": "? ",
        "，": ", ",
        "、": ", ",
        "؛": "; ",
        "；": "; ",
        "：": ": ",
        "「": "“",
        "」": "”",
        "（": "(",
        "）": ")",
    }
)
_LONG_WORD = re.compile(r"(\d{16}(?=\d)|\S{60}(?=\S))")
_PARTING = frozenset(".,;:!?…")
_IDEOGRAPHS_FROM = "\u2e80"
_MOST = 800
_lock = threading.Lock()
"""espeak-ng has one state for a process."""
_silent = logging.Logger("phonemizer", logging.CRITICAL + 1)
"""It warns of every text with a foreign word."""


class Phonemes:
    """``known``: the model's vocabulary; what is not in it is left out. Raises ``ImportError``."""

    def __init__(self, known: Container[str]) -> None:
        self._known = known
        self._phonemizer: Any = importlib.import_module("phonemizer")

    def of(self, text: str, language: str) -> str:
        """``text``: one line. ``language``: as espeak-ng calls it. Blocking; from any thread."""
        pieces = list(_pieces(_LONG_WORD.sub(r"\1 ", text.translate(_MARKS))))
        with _lock:
            made: list[str] = self._phonemizer.phonemize(
                pieces,
                language,
                preserve_punctuation=True,
                with_stress=True,
                language_switch="remove-flags",
                logger=_silent,
            )
        return " ".join("".join(one for one in " ".join(made) if one.isspace() or one in self._known).split())


def _pieces(text: str) -> Iterator[str]:
    """Such that espeak-ng drops nothing of any. Only what is long and has no marks is parted."""
    start, weight = 0, 0
    for at, character in enumerate(text):
        if character in _PARTING:
            weight = 0
        elif weight >= _MOST and (character == " " or character >= _IDEOGRAPHS_FROM):
            yield text[start:at]
            start, weight = at, 0
        weight += _weight(character)
    yield text[start:]


def _weight(character: str) -> int:
    """About how many phonemes it makes at most."""
    if character == " ":
        return 0
    if character.isdigit():
        return 9
    if character >= _IDEOGRAPHS_FROM:
        return 6
    return 2 if character.isalpha() else 8
