from __future__ import annotations

import pytest

from audio import formats
from audio.flac import FlacEncoder
from tests.audio.signals import chirp, feed, noise
from tests.support.ffmpeg import decode


@pytest.mark.parametrize("rate", formats.find("flac").rates)
@pytest.mark.parametrize("samples", [1, 15, 16, 576, 577, 10_000])
def test_every_sample_comes_back_as_it_was(rate: int, samples: int) -> None:
    pcm = noise(samples)
    made = feed(formats.find("flac").open(rate, rate), [pcm.tobytes()])
    assert decode(made, "flac", rate).tolist() == pcm.tolist()


def test_header_leads_with_the_first_sample_and_leaves_length_and_checksum_open() -> None:
    stream = FlacEncoder(24000)
    head = stream.encode(bytes(2))
    assert head[:8] == b"fLaC\x80\x00\x00\x22"
    info = head[8:]
    assert len(info) == 34
    fields = int.from_bytes(info[10:18], "big")
    assert fields >> 44 == 24000
    assert fields & 0xFFFFFFFFF == 0, "the number of samples"
    assert info[18:] == bytes(16), "the checksum"


@pytest.mark.parametrize("rate", formats.find("flac").rates)
def test_a_block_leaves_as_soon_as_it_is_full(rate: int) -> None:
    row = formats.find("flac")
    assert row.frame is not None
    block = row.frame(rate)
    encoder = FlacEncoder(rate)
    encoder.encode(bytes(2))
    assert not encoder.encode(chirp(rate, block - 2).tobytes())
    assert encoder.encode(bytes(2))
