"""A voice that was taken apart, and what is known of its parts."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple


class Reach(NamedTuple):
    """How many frames before and behind it a frame depends on."""

    before: int
    behind: int


@dataclass(frozen=True, slots=True)
class Parts:
    """The three graphs, as ONNX files' bytes or the names of such files, and what is known of them.

    ``frontend``: Piper's own inputs, and ``duration_noise`` of shape (1, 2, ids) where the voice uses it; means and
    spreads of shape (1, channels, ids), lengths of (1, 1, ids), and with several speakers an embedding. ``flow``:
    frames of shape (1, channels, frames), and the embedding where it needs it; ``generator`` likewise.
    """

    frontend: bytes | str
    flow: bytes | str
    generator: bytes | str
    hop: int
    flow_reach: Reach
    generator_reach: Reach
