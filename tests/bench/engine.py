"""The tone engine with the time written into its first samples, so that another process can tell how old they are."""

from __future__ import annotations

import struct
import time
from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import ClassVar

from providers.base import PcmChunk, Segment
from providers.tone import Tone

STAMP = struct.Struct("!8sq")
MAGIC = b"stamped\0"


class Stamped(Tone):
    """``time.monotonic_ns()``, which all processes of a machine share, at the moment of the first PCM."""

    id: ClassVar[str] = "stamped"

    async def synthesize(self, segment: Segment) -> AsyncGenerator[PcmChunk, None]:
        first = segment.index == 0
        async with aclosing(super().synthesize(segment)) as chunks:
            async for chunk in chunks:
                if first:
                    first = False
                    rest = chunk.pcm[STAMP.size :]
                    yield PcmChunk(STAMP.pack(MAGIC, time.monotonic_ns()) + rest)
                else:
                    yield chunk


def age(pcm: memoryview, now: float) -> float:
    """Seconds from the stamp at the start of ``pcm`` to ``now`` (monotonic seconds)."""
    magic, stamp = STAMP.unpack_from(pcm)
    if magic != MAGIC:
        raise ValueError("the first frame carries no stamp")
    return now - float(stamp) / 1e9
