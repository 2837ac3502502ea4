"""A voice that was taken apart, and what is known of its parts."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple


class Reach(NamedTuple):
    """How many steps before and behind it a frame's sound depends on, where there are ``rate`` steps a frame."""

    before: int
    behind: int
    rate: int = 1


Reaches = tuple[Reach, ...]
"""First of what a part takes, then of each waist in it, at which it is told what to go on with."""


@dataclass(frozen=True, slots=True)
class Parts:
    """The three graphs, as ONNX files' bytes or the names of such files, and what is known of them.

    ``frontend``: Piper's own inputs, and ``duration_noise`` of shape (1, 2, ids) where the voice uses it; means and
    spreads of shape (1, channels, ids), lengths of (1, 1, ids), and with several speakers an embedding. ``flow``:
    frames of shape (1, channels, frames), the embedding where it needs it, and of each waist from which step to which
    it goes on; ``generator`` likewise.
    """

    frontend: bytes | str
    flow: bytes | str
    generator: bytes | str
    hop: int
    flow_reaches: Reaches
    generator_reaches: Reaches
