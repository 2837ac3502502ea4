"""Voices that were taken apart, on disk: a folder for each voice file, named by a hash of what is in it."""

from __future__ import annotations

import hashlib
import json
import logging
import os
import shutil
import tempfile
import time
from collections.abc import Iterable
from pathlib import Path

from providers.piper.parts import Parts, Reach, Reaches

log = logging.getLogger(__name__)

_FORMAT = 2
"""Changes with what ``split`` makes, so that an older version's parts are not taken for this one's."""
_GRAPHS = ("frontend", "flow", "generator")
_ABOUT = "about.json"
_DIGEST = "digest"
"""Of all the others. A disk that lies, or a copy that broke off, would be heard and not seen."""
_ABANDONED = 3600.0
"""Seconds after which a folder that is still being written belongs to nobody: its process was killed."""


def parts_of(voice: Path, shelf: Path | None) -> Parts:
    """The parts of a voice file: from the shelf, or made and put there. Without one, or on a disk that cannot be
    written, they are made each time. Raises ``NotPiper`` or ``OSError``.
    """
    with voice.open("rb") as file:
        key = hashlib.file_digest(file, "sha256").hexdigest()[:32]
    place = shelf / f"{key}-{_FORMAT}" if shelf else None
    found = _find(place) if place else None
    if found is not None:
        return found
    # Only here, since it takes time and memory: what is on the shelf needs no ONNX to be read.
    from providers.piper.split import split

    parts = split(voice)
    if place is None:
        return parts
    try:
        _put(parts, place)
        _tidy(place.parent, [f"{key}-{older}" for older in range(1, _FORMAT)])
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
    """The parts, if all of them are there as they were written."""
    try:
        if (place / _DIGEST).read_text() != _digest(place):
            return None
        about = json.loads((place / _ABOUT).read_bytes())
        hop, flow, generator = int(about["hop"]), _reaches(about["flow"]), _reaches(about["generator"])
    except (OSError, ValueError, KeyError, TypeError):
        return None
    graphs = {name: str(place / f"{name}.onnx") for name in _GRAPHS}
    return Parts(**graphs, hop=hop, flow_reaches=flow, generator_reaches=generator)


def _reaches(written: Iterable[Iterable[int]]) -> Reaches:
    return tuple(Reach(*map(int, reach)) for reach in written)


def _digest(place: Path) -> str:
    digests = hashlib.sha256()
    for name in (_ABOUT, *(f"{graph}.onnx" for graph in _GRAPHS)):
        with (place / name).open("rb") as file:
            digests.update(hashlib.file_digest(file, "sha256").digest())
    return digests.hexdigest()


def _put(parts: Parts, place: Path) -> None:
    """All at once: whoever looks finds a whole folder or none, also after a power cut in the middle."""
    place.parent.mkdir(parents=True, exist_ok=True)
    made = Path(tempfile.mkdtemp(prefix=".", dir=place.parent))
    try:
        for name in _GRAPHS:
            _write(made / f"{name}.onnx", getattr(parts, name))
        about = {"hop": parts.hop, "flow": parts.flow_reaches, "generator": parts.generator_reaches}
        _write(made / _ABOUT, json.dumps(about).encode())
        _write(made / _DIGEST, _digest(made).encode())
        # What another process has put there meanwhile may be in use: it is as good.
        if _find(place) is None:
            shutil.rmtree(place, ignore_errors=True)
            made.rename(place)
    finally:
        shutil.rmtree(made, ignore_errors=True)


def _tidy(shelf: Path, older: Iterable[str]) -> None:
    """Take away what an older version made of the voice, and what was being written when a process was killed."""
    begun = (path for path in shelf.glob(".*") if path.stat().st_mtime < time.time() - _ABANDONED)
    for path in (*begun, *(shelf / name for name in older)):
        shutil.rmtree(path, ignore_errors=True)


def _write(path: Path, content: bytes) -> None:
    with path.open("wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
