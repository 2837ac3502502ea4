"""Voices that were taken apart, on disk: a folder for each voice file, named by a hash of what is in it."""

from __future__ import annotations

import hashlib
import json
import logging
import os
import shutil
import tempfile
from collections.abc import Iterable
from pathlib import Path

from providers.piper.parts import Parts, Reach, Reaches

log = logging.getLogger(__name__)

_FORMAT = 2
"""Changes with what ``split`` makes, so that an older version's parts are not taken for this one's."""
_GRAPHS = ("frontend", "flow", "generator")
_ABOUT = "about.json"


def parts_of(voice: Path, shelf: Path) -> Parts:
    """The parts of a voice file: from the shelf, or made and put there. On a disk that cannot be written, they are made
    each time. Raises ``NotPiper`` or ``OSError``.
    """
    with voice.open("rb") as file:
        key = hashlib.file_digest(file, "sha256").hexdigest()
    place = shelf / f"{key[:32]}-{_FORMAT}"
    found = _find(place)
    if found is not None:
        return found
    # Only here, since it takes time and memory: what is on the shelf needs no ONNX to be read.
    from providers.piper.split import split

    parts = split(voice)
    try:
        _put(parts, place)
    except OSError as error:
        # Another process may have been quicker; else there is no room, or no permission.
        if _find(place) is None:
            log.warning("the parts of a Piper voice cannot be kept in %s: %s", shelf, error.strerror)
    return _find(place) or parts


def discard(parts: Parts) -> None:
    """Take from the shelf what turned out to be damaged."""
    if isinstance(parts.frontend, str):
        shutil.rmtree(Path(parts.frontend).parent, ignore_errors=True)


def _find(place: Path) -> Parts | None:
    try:
        about = json.loads((place / _ABOUT).read_bytes())
        hop, flow, generator = int(about["hop"]), _reaches(about["flow"]), _reaches(about["generator"])
    except (OSError, ValueError, KeyError, TypeError):
        return None
    graphs = {name: str(place / f"{name}.onnx") for name in _GRAPHS}
    return Parts(**graphs, hop=hop, flow_reaches=flow, generator_reaches=generator)


def _reaches(written: Iterable[Iterable[int]]) -> Reaches:
    return tuple(Reach(*map(int, reach)) for reach in written)


def _put(parts: Parts, place: Path) -> None:
    """All at once: whoever looks finds a whole folder or none, also after a power cut in the middle."""
    place.parent.mkdir(parents=True, exist_ok=True)
    made = Path(tempfile.mkdtemp(prefix=".", dir=place.parent))
    try:
        for name in _GRAPHS:
            _write(made / f"{name}.onnx", getattr(parts, name))
        about = {"hop": parts.hop, "flow": parts.flow_reaches, "generator": parts.generator_reaches}
        _write(made / _ABOUT, json.dumps(about).encode())
        shutil.rmtree(place, ignore_errors=True)
        made.rename(place)
    finally:
        shutil.rmtree(made, ignore_errors=True)


def _write(path: Path, content: bytes) -> None:
    with path.open("wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
