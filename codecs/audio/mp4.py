"""MP4 with its index in front, so that it can be read from a pipe. Pure.

Phones write the index (``moov``) behind the sound (``mdat``), because they know it last. A reader who cannot seek
has dropped the sound by then.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from typing import NamedTuple

import numpy as np

_FIRST = frozenset({b"ftyp", b"moov", b"mdat", b"wide", b"free", b"skip", b"pnot"})
"""What a file begins with: a QuickTime movie of old with another box than ``ftyp``."""
_HEADER = 8
_LARGE_HEADER = 16
_CONTAINERS = frozenset({b"moov", b"trak", b"mdia", b"minf", b"stbl"})
"""What the tables of offsets lie in."""
_TABLES = {b"stco": ">u4", b"co64": ">u8"}
_TABLE_HEADER = 8
"""Version, flags and the number of entries."""
_MAX_BOXES = 10_000


class Box(NamedTuple):
    kind: bytes
    start: int
    content: int
    """Where its header ends."""
    end: int


def is_mp4(head: bytes | bytearray) -> bool:
    """Whether a file that begins so is an MP4 or a QuickTime movie."""
    return bytes(head[4:8]) in _FIRST


def index_first(data: bytes) -> bytes:
    """``data`` with its index moved in front of the sound. What it does not understand it leaves as it is."""
    try:
        boxes = list(_boxes(data, 0, len(data)))
        sound = next(box for box in boxes if box.kind == b"mdat")
        index = next(box for box in boxes if box.kind == b"moov")
        if index.start < sound.start:
            return data
        moved = bytearray(data[index.start : index.end])
        _shift(moved, before=index.start, by=len(moved))
    except (StopIteration, ValueError, struct.error):
        return data
    # Not copied twice: it may be large.
    view = memoryview(data)
    return b"".join((view[: sound.start], moved, view[sound.start : index.start], view[index.end :]))


def _boxes(data: bytes | bytearray, start: int, end: int, containers: frozenset[bytes] = frozenset()) -> Iterator[Box]:
    """The boxes from ``start`` to ``end``, and those inside ``containers``. Raises ``ValueError`` where they do not
    add up."""
    levels = [(start, end)]
    for _ in range(_MAX_BOXES):
        while levels and levels[-1][0] == levels[-1][1]:
            levels.pop()
        if not levels:
            return
        start, end = levels.pop()
        box = _box(data, start, end)
        yield box
        levels.append((box.end, end))
        if box.kind in containers:
            levels.append((box.content, box.end))
    raise ValueError("more boxes than a sound file has")


def _box(data: bytes | bytearray, start: int, end: int) -> Box:
    size, kind = struct.unpack_from(">I4s", data, start)
    content = start + _HEADER
    if size == 1:
        (size,) = struct.unpack_from(">Q", data, content)
        content = start + _LARGE_HEADER
    elif size == 0:
        size = end - start
    if not content <= start + size <= end:
        raise ValueError("a box that ends outside the one that holds it")
    return Box(kind, start, content, start + size)


def _shift(index: bytearray, *, before: int, by: int) -> None:
    """Add ``by`` to every offset in the tables that points in front of ``before``."""
    for box in _boxes(index, 0, len(index), _CONTAINERS):
        if box.kind not in _TABLES:
            continue
        first = box.content + _TABLE_HEADER
        (count,) = struct.unpack_from(">I", index, first - 4)
        width = np.dtype(_TABLES[box.kind]).itemsize
        if first + count * width > box.end:
            raise ValueError("a table that is longer than its box")
        offsets = np.frombuffer(index, _TABLES[box.kind], count, first)
        offsets[offsets < before] += by
