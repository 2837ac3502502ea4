from __future__ import annotations

import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from providers.isolated.frames import LONGEST_HEADER, LONGEST_PAYLOAD, Decoder, Frame, Nonsense, TooLong, encode

# Any character: a caller's text may hold half a surrogate pair.
_TEXT = st.text(st.characters(exclude_categories=()))
_FRAMES = st.builds(Frame, st.dictionaries(_TEXT, _TEXT | st.integers() | st.none() | st.lists(_TEXT)), st.binary())


@given(st.lists(_FRAMES, max_size=5), st.lists(st.integers(1, 40)))
def test_frames_come_out_as_they_went_in_however_their_bytes_are_cut(frames: list[Frame], cuts: list[int]) -> None:
    data, decoder, found = b"".join(map(encode, frames)), Decoder(), list[Frame]()
    for cut in cuts:
        found += decoder.feed(data[:cut])
        data = data[cut:]
    found += decoder.feed(data)
    assert found == frames


@pytest.mark.parametrize("lengths", [(LONGEST_HEADER + 1, 0), (2, LONGEST_PAYLOAD + 1), (2**32 - 1, 2**32 - 1)])
def test_a_frame_that_is_too_long_is_refused_before_it_has_come(lengths: tuple[int, int]) -> None:
    with pytest.raises(Nonsense, match=f"a frame of {lengths[0]} and {lengths[1]} bytes"):
        list(Decoder().feed(struct.pack("!II", *lengths)))


def test_a_frame_that_is_too_long_is_not_sent() -> None:
    with pytest.raises(TooLong):
        encode(Frame({"text": "a" * LONGEST_HEADER}))
    with pytest.raises(TooLong):
        encode(Frame({}, bytes(LONGEST_PAYLOAD + 1)))


@pytest.mark.parametrize("header", [b"", b"{", b"[]", b"1", b"\xff\xfe{}", b"[" * 5000])
def test_a_header_that_is_no_object_is_nonsense(header: bytes) -> None:
    with pytest.raises(Nonsense):
        list(Decoder().feed(struct.pack("!II", len(header), 0) + header))
