from __future__ import annotations

import os
import struct
from pathlib import Path

import pytest

from audio import formats, ogg
from audio.ogg_opus import OggOpusEncoder
from audio.opus import OpusCodec
from tests.audio.signals import chirp, feed, noise
from tests.support.ffmpeg import decode

RATES = formats.find("opus").rates


def _pages(stream: bytes) -> list[tuple[int, int, int, int]]:
    """(flags, granule, sequence, packets) of every page."""
    found, at = [], 0
    while at < len(stream):
        magic, _, flags, granule, _, sequence, _, count = struct.unpack_from("<4sBBqIIIB", stream, at)
        assert magic == b"OggS"
        lacing = stream[at + 27 : at + 27 + count]
        found.append((flags, granule, sequence, sum(lace < 255 for lace in lacing)))
        at += 27 + count + sum(lacing)
    return found


@pytest.mark.parametrize("rate", RATES)
def test_decoded_length_is_exact_around_every_packet_boundary(rate: int) -> None:
    packet = rate // 50
    for samples in (1, packet - 1, packet, packet + 1, 2 * packet - 312 * rate // 48000, rate + 17):
        made = feed(formats.find("opus").open(rate, rate), [noise(samples).tobytes()])
        assert len(decode(made, "opus", 48000)) == samples * 48000 // rate


def test_first_packet_leaves_with_the_first_20_ms() -> None:
    stream = formats.find("opus").open(24000, 24000)
    assert [page[3] for page in _pages(stream.encode(noise(480).tobytes()))] == [1, 1, 1]


def test_pages_are_numbered_marked_and_end_where_the_sound_ends() -> None:
    stream = formats.find("opus").open(48000, 48000)
    found = _pages(feed(stream, [noise(960, seed).tobytes() for seed in range(5)]))
    assert [page[2] for page in found] == list(range(len(found)))
    assert [page[0] for page in found] == [2, *[0] * (len(found) - 2), 4]
    assert [page[1] for page in found] == [0, 0, 960, 1920, 2880, 3840, 4800, 312 + 4800]


def test_a_long_piece_takes_more_than_one_page() -> None:
    made = feed(formats.find("opus").open(24000, 24000), [noise(24000 * 8).tobytes()])
    packets = [page[3] for page in _pages(made)[2:]]
    assert len(packets) > 2
    assert sum(packets) == 401
    assert len(decode(made, "opus", 48000)) == 48000 * 8


def test_a_page_refuses_more_than_it_can_hold() -> None:
    with pytest.raises(ValueError, match="a page has 255"):
        ogg.PageWriter(1).page([bytes(255)] * 128, 0)


def test_checksum_is_the_remainder_that_the_rfc_defines() -> None:
    page = ogg.PageWriter(5).page([bytes(range(200))], 960)
    remainder = 0
    for byte in page[:22] + bytes(4) + page[26:]:
        remainder ^= byte << 24
        for _ in range(8):
            remainder = (remainder << 1 ^ (0x04C11DB7 if remainder & 0x80000000 else 0)) & 0xFFFFFFFF
    assert struct.unpack_from("<I", page, 22) == (remainder,)


def test_same_serial_gives_the_same_bytes() -> None:
    made = [OggOpusEncoder(24000, 32_000, serial=7) for _ in range(2)]
    pcm = chirp(24000, 5000).tobytes()
    assert made[0].encode(pcm) + made[0].finish() == made[1].encode(pcm) + made[1].finish()


@pytest.mark.parametrize("rate", RATES)
def test_look_ahead_is_the_one_that_the_table_declares(rate: int) -> None:
    assert OpusCodec(rate, 32_000).pre_skip == formats.find("opus_packets").delay_samples


def test_digital_silence_is_encoded_as_a_constant_so_that_nothing_becomes_denormal() -> None:
    silent, constant = OpusCodec(24000, 32_000), OpusCodec(24000, 32_000)
    assert silent.encode(bytes(96_000)) == constant.encode(b"\x01\x00" * 48_000)


@pytest.mark.parametrize("name", ["opus", "webm", "opus_packets"])
def test_silence_decodes_to_silence(name: str) -> None:
    made = feed(formats.find(name).open(24000, 24000), [bytes(48_000)])
    assert abs(decode(made, name, 48000).astype(int)).max() <= 1


@pytest.mark.skipif(not Path("/proc/self/task").exists(), reason="counts threads in /proc")
def test_streams_start_no_threads_and_keep_the_caller_on_its_cores() -> None:
    """PyAV's encoders and resamplers would start a thread a core for each stream."""
    cores = os.sched_getaffinity(0)
    before = set(Path("/proc/self/task").iterdir())
    streams = [formats.find("opus").open(24000, 48000) for _ in range(20)]
    for stream in streams:
        stream.encode(noise(4800).tobytes())
    # Threads of other tests may have come to their end meanwhile.
    assert set(Path("/proc/self/task").iterdir()) <= before
    assert os.sched_getaffinity(0) == cores
