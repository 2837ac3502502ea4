from __future__ import annotations

import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from audio import packets


@given(st.lists(st.binary(max_size=300), max_size=5))
def test_joined_packets_come_apart_where_they_met(parts: list[bytes]) -> None:
    assert [packet[packets.LENGTH_BYTES :] for packet in packets.split(packets.join(parts))] == parts


def test_a_length_is_two_bytes_big_endian() -> None:
    assert packets.join([bytes(258)])[:2] == b"\x01\x02"


@pytest.mark.parametrize("data", [b"\0", b"\0\2a", b"\0\1a\0"])
def test_half_a_packet_is_refused(data: bytes) -> None:
    with pytest.raises(ValueError, match="end inside a packet"):
        packets.split(data)


def test_a_packet_too_long_for_its_length_is_refused() -> None:
    with pytest.raises(struct.error):
        packets.join([bytes(65536)])
