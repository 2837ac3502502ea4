"""A voice and a text as the prompt of Orpheus.

The frame of the prompt is token ids, only the text in the middle is a string, and llama-server reads any string with
its special tokens. So nothing may be left in a text that spells one: all of them (``<|eot_id|>``,
``<custom_token_7>``) are written with angle brackets, and the only brackets that are let through are those of the
emotion tags.

Ids and order: ``orpheus_tts/engine_class.py`` of canopyai/Orpheus-TTS.
"""

from __future__ import annotations

import re
import unicodedata

from providers.base import Voice

SAMPLE_RATE = 24_000
EMOTIONS = ("laugh", "chuckle", "sigh", "cough", "sniffle", "groan", "yawn", "gasp")
_GENDERS = {
    "tara": "female",
    "leah": "female",
    "jess": "female",
    "leo": "male",
    "dan": "male",
    "mia": "female",
    "zac": "male",
    "zoe": "female",
}
VOICES = {
    name: Voice(name, name.capitalize(), "en", SAMPLE_RATE, gender, f"English, {gender}")
    for name, gender in _GENDERS.items()
}

CUSTOM = 128_256
"""The id of ``<custom_token_0>``."""
_BEGIN_OF_TEXT, _END_OF_TURN = 128_000, 128_009
_START_OF_HUMAN, _END_OF_HUMAN, _START_OF_AI, _START_OF_SPEECH = CUSTOM + 3, CUSTOM + 4, CUSTOM + 5, CUSTOM + 1

Prompt = list[int | str]

_ATTRIBUTE = r"""\s+[\w:.-]+\s*=\s*(?:"[^"<>]*"|'[^'<>]*'|[^\s"'<>]+)"""
# A tag, and what stands in brackets without being one: declarations, comments, control tokens. Anything else between
# brackets is text, as in "where x<y and z>w".
_MARKUP = re.compile(rf"</?[a-z][\w:.-]*(?:{_ATTRIBUTE})*\s*/?>|<[|!?][^<>]{{0,80}}>", re.IGNORECASE)
_EMOTION = re.compile(f"(<(?:{'|'.join(EMOTIONS)})>)", re.IGNORECASE)
_BRACKETS = str.maketrans({"<": " ", ">": " ", "|": " ", "[": "(", "]": ")"})
# Control characters part words; formats (joiners, marks of direction) and what is no character at all stand in them.
_PARTING, _NOTHING = {"Cc", "Zl", "Zp"}, {"Cf", "Cs", "Co", "Cn"}


def prompt(voice: str, text: str) -> Prompt | None:
    """What llama-server is to continue, or ``None`` where there is nothing to say in ``text``."""
    said = speakable(text)
    if not any(map(str.isalnum, said)):
        return None
    opening = [_START_OF_HUMAN, _BEGIN_OF_TEXT]
    closing = [_END_OF_TURN, _END_OF_HUMAN, _START_OF_AI, _START_OF_SPEECH]
    return [*opening, f"{voice}: {said}", *closing]


def speakable(text: str) -> str:
    """``text`` without what cannot be said: markup and other angle brackets but the emotion tags', square brackets
    (they become round ones), control characters. What is taken out leaves a space, so that what stood around it does
    not become a tag."""
    plain = "".join(_visible(character) for character in text)
    pieces = _EMOTION.split(plain)
    said = [piece.lower() if odd else _without_brackets(piece) for odd, piece in _alternating(pieces)]
    return " ".join("".join(said).split())


def _alternating(pieces: list[str]) -> list[tuple[bool, str]]:
    """``re.split`` with a group puts what matched at the odd places."""
    return [(bool(place % 2), piece) for place, piece in enumerate(pieces)]


def _without_brackets(piece: str) -> str:
    return _MARKUP.sub(" ", piece).translate(_BRACKETS)


def _visible(character: str) -> str:
    category = unicodedata.category(character)
    return " " if category in _PARTING else "" if category in _NOTHING else character
