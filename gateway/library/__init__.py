"""Voices that callers made from a clip or a description: kept under a name, spoken with by their owner alone.

``library`` has the one class that others use, ``clip`` what a voice may be made from, ``store`` where voices are kept.
"""

from gateway.library.clip import Base64, Source, Url
from gateway.library.library import Library
from gateway.library.voice import LibraryVoice, Wish

__all__ = ["Base64", "Library", "LibraryVoice", "Source", "Url", "Wish"]
