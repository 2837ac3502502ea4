"""The decoder's front door under files that are almost right.

30 examples in a test run; ``VOXWIRE_FUZZ=5000 pytest tests/fuzz`` for a night.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator

from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from audio.decode import DecodeError, DecodeLimits, decode
from audio.mp4 import index_first
from audio.upload import Upload
from tests.support.processes import children
from tests.support.sound_files import KINDS, RATE, SECONDS, made

EXAMPLES = int(os.environ.get("VOXWIRE_FUZZ", "30"))
LIMITS = DecodeLimits(input_bytes=400_000, seconds=10.0, wall_seconds=20.0, cpu_seconds=5, memory_bytes=256 << 20)
fuzzed = settings(
    max_examples=EXAMPLES,
    deadline=None,
    database=None,
    derandomize="VOXWIRE_FUZZ" not in os.environ,
    suppress_health_check=list(HealthCheck),
    # To make a failing example small takes hundreds of runs.
    phases=(Phase.explicit, Phase.generate),
)
places = st.floats(0, 1, exclude_max=True)
# Most of what a parser decides on stands in the first bytes.
heads = st.floats(0, 0.02, exclude_max=True)


@st.composite
def damaged(draw: st.DrawFn, kinds: tuple[str, ...] = KINDS) -> bytes:
    """A small file of some kind with bytes changed, a part cut out, or the rest of another kind behind its start."""
    data = bytearray(made(draw(st.sampled_from(kinds))))
    for place, value in draw(st.lists(st.tuples(heads | places, st.integers(0, 255)), max_size=20)):
        data[int(place * len(data))] = value
    for place, value in draw(st.lists(st.tuples(heads | places, st.sampled_from([0, 0x7F, 0x80, 0xFF])), max_size=3)):
        start = int(place * len(data))
        data[start : start + 4] = bytes([value]) * 4
    if draw(st.booleans()):
        start, end = sorted(int(place * len(data)) for place in (draw(places), draw(places)))
        del data[start:end]
    if draw(st.booleans()):
        other = made(draw(st.sampled_from(KINDS)))
        cut = int(draw(places) * len(data))
        data[cut:] = other[int(draw(places) * len(other)) :]
    return bytes(data)


@fuzzed
@given(damaged(), st.booleans())
def test_whatever_comes_the_answer_is_sound_within_its_limits_or_one_error(data: bytes, strict: bool) -> None:
    try:
        decoded = asyncio.run(decode(data, sample_rate=RATE, limits=LIMITS, strict=strict))
        assert 0 < decoded.duration <= LIMITS.seconds
    except DecodeError:
        pass
    assert children() == []


@fuzzed
@given(st.sampled_from(KINDS), places)
def test_a_file_that_ends_anywhere_has_no_more_sound_than_the_whole(kind: str, place: float) -> None:
    data = made(kind)
    try:
        decoded = asyncio.run(decode(data[: int(place * len(data))], sample_rate=RATE, limits=LIMITS, strict=False))
    except DecodeError:
        return
    # A muxer's last words may be a cut, which is not there then.
    assert 0 < decoded.duration <= SECONDS + 0.1


@fuzzed
@given(damaged(), st.lists(st.integers(0, 5000), max_size=20))
def test_however_a_file_comes_in_it_goes_on_in_one_order(data: bytes, lengths: list[int]) -> None:
    async def source() -> AsyncIterator[bytes]:
        at = 0
        for length in lengths:
            yield data[at : at + length]
            at += length
        yield data[at:]

    async def arrived(upload: Upload) -> bytes:
        return b"".join([piece async for piece in upload.pieces()])

    cut, whole = Upload(source(), len(data)), Upload(data, len(data))
    assert asyncio.run(arrived(cut)) == asyncio.run(arrived(whole))
    assert cut.cut_off == whole.cut_off


@fuzzed
@given(damaged(("m4a",)))
def test_an_mp4_is_put_in_order_without_a_byte_lost(data: bytes) -> None:
    moved = index_first(data)
    assert len(moved) == len(data)
    assert index_first(moved) == moved
