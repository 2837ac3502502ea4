from __future__ import annotations

from typing import NamedTuple

import pytest

from audio import formats
from audio.webm import WebmEncoder
from tests.audio.signals import feed, noise
from tests.support.ffmpeg import decode

RATES = formats.find("webm").rates
SEGMENT, CLUSTER, GROUP = 0x18538067, 0x1F43B675, 0xA0
MASTERS = {0x1A45DFA3, SEGMENT, 0x1654AE6B, 0xAE, CLUSTER, GROUP}


class Element(NamedTuple):
    identifier: int
    payload: bytes


def _elements(stream: bytes, depth: int = 0) -> list[Element]:
    """Every element, masters before what is in them; raises where one reaches out of its place."""
    found, at = [], 0
    while at < len(stream):
        width = 9 - stream[at].bit_length()
        identifier = int.from_bytes(stream[at : at + width], "big")
        at += width
        length = 9 - stream[at].bit_length()
        size = int.from_bytes(stream[at : at + length], "big") & (1 << 7 * length) - 1
        at += length
        if size == (1 << 7 * length) - 1:
            assert identifier == SEGMENT, "only the segment's length is unknown"
            size = len(stream) - at
        payload = stream[at : at + size]
        assert len(payload) == size
        found.append(Element(identifier, payload))
        if identifier in MASTERS:
            found += _elements(payload, depth + 1)
        at += size
    return found


def _all(stream: bytes, identifier: int) -> list[bytes]:
    return [element.payload for element in _elements(stream) if element.identifier == identifier]


@pytest.mark.parametrize("rate", RATES)
def test_decoded_length_is_exact_around_every_packet_boundary(rate: int) -> None:
    packet = rate // 50
    for samples in (packet - 312 * rate // 48000 + 1, packet, packet + 1, 2 * packet - 312 * rate // 48000, rate + 17):
        made = feed(formats.find("webm").open(rate, rate), [noise(samples).tobytes()])
        assert len(decode(made, "webm", 48000)) == samples * 48000 // rate


def test_each_piece_of_sound_is_a_cluster_that_ends_with_it() -> None:
    encoder = WebmEncoder(24000, 32_000)
    answers = [encoder.encode(noise(2400, seed).tobytes()) for seed in range(4)]
    clusters = [_all(answer, CLUSTER) for answer in answers]
    assert [len(found) for found in clusters] == [1, 1, 1, 1]
    assert [_all(answer, 0xE7)[0] for answer in answers] == [b"\0", b"\x64", b"\xc8", b"\x01\x2c"]
    times = [int.from_bytes(block[1:3], "big") for block in _all(answers[2], 0xA3)]
    assert times == [0, 20, 40, 60, 80]


def test_header_declares_the_delay_and_no_length() -> None:
    head = WebmEncoder(24000, 32_000).encode(noise(480).tobytes())
    assert _all(head, 0x56AA) == [(6_500_000).to_bytes(3, "big")]
    assert not _all(head, 0x4489), "a duration"
    assert _all(head, 0x63A2)[0].startswith(b"OpusHead")


def test_a_long_piece_takes_more_than_one_cluster() -> None:
    made = feed(formats.find("webm").open(24000, 24000), [noise(24000 * 12).tobytes()])
    starts = [int.from_bytes(start, "big") for start in _all(made, 0xE7)]
    assert starts == [0, 5000, 10000, 12000]
    assert len(decode(made, "webm", 48000)) == 48000 * 12


def test_only_the_last_block_is_cut() -> None:
    stream = WebmEncoder(48000, 32_000)
    before = [stream.encode(noise(960).tobytes()) for _ in range(3)]
    assert not any(_all(part, GROUP) for part in before)
    # 960 samples of a packet, of which 312 are still sound.
    assert int.from_bytes(_all(stream.finish(), 0x75A2)[0], "big") == 648 * 10**9 // 48000
