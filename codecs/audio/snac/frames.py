"""A stream's frames: checked where they come in, kept as long as a window may need them."""

from __future__ import annotations

import struct
from collections.abc import Sequence
from typing import TypeAlias

from audio.snac.errors import BadFrame
from audio.snac.layout import CODEBOOK_SIZE, FRAME_CODES

Frame: TypeAlias = tuple[int, ...]
"""Seven codes in the order in which the tokens come: [0] is of the first codebook, [1] and [4] of the second, [2],
[3], [5] and [6] of the third; each 0 to 4095."""

_PACKED = struct.Struct(f"<{FRAME_CODES}H")


class Frames:
    """Frames in the order of arrival, counted from 0, 14 bytes each."""

    def __init__(self) -> None:
        self._packed = bytearray()
        self._dropped = 0

    def __len__(self) -> int:
        """How many there were in all."""
        return self._dropped + len(self._packed) // _PACKED.size

    @property
    def held(self) -> int:
        return len(self._packed) // _PACKED.size

    def append(self, frame: Sequence[int]) -> None:
        """Raises ``BadFrame``."""
        try:
            packed = _PACKED.pack(*frame)
        except (struct.error, TypeError) as error:
            raise BadFrame(f"a frame is {FRAME_CODES} codes from 0 to {CODEBOOK_SIZE - 1}") from error
        if max(frame) >= CODEBOOK_SIZE:
            raise BadFrame(f"a code is out of its codebook: the codes of a frame are 0 to {CODEBOOK_SIZE - 1}")
        self._packed += packed

    def packed(self, start: int, stop: int) -> bytes:
        """Frames ``start`` to ``stop``, little-endian 16-bit codes. They must still be held."""
        if not self._dropped <= start <= stop <= len(self):
            raise IndexError(f"frames {start} to {stop} are not held")
        first, end = ((at - self._dropped) * _PACKED.size for at in (start, stop))
        return bytes(self._packed[first:end])

    def forget(self, before: int) -> None:
        """Let go of the frames before that one."""
        gone = min(before, len(self)) - self._dropped
        if gone > 0:
            del self._packed[: gone * _PACKED.size]
            self._dropped += gone
