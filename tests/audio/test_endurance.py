"""Hours of sound. What has frames is fed for ten minutes here, and for the three hours by ``python -m tests.bench``."""

from __future__ import annotations

import pytest

from audio.formats import FORMATS
from tests.audio.endurance import MEASURABLE, RATE, endure

MINUTES = [(row.name, 10 if row.coded else 180) for row in FORMATS.values()]
PADDING = 2 * 1152
FLAT = 1 << 20
"""Bytes: what the allocator and the test itself may come to."""


@pytest.mark.skipif(not MEASURABLE, reason="reads memory from /proc")
@pytest.mark.parametrize(("name", "minutes"), MINUTES)
def test_a_long_stream_is_valid_to_its_end_and_its_memory_flat(name: str, minutes: int) -> None:
    row, endured = FORMATS[name], endure(name, minutes)
    assert endured.samples == minutes * 60 * RATE
    late = row.delay_samples * RATE // (row.clock or RATE)
    assert 0 <= endured.decoded - endured.samples - late < PADDING
    assert endured.growth < FLAT
