from __future__ import annotations

import pytest

from audio import formats
from tests.audio.signals import chirp, feed

MPEG_RATES = {3: (44100, 48000, 32000), 2: (22050, 24000, 16000), 0: (11025, 12000, 8000)}
BIT_RATES = {
    3: (0, 32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192),
    2: (0, 8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128),
    0: None,
}


def _frames(stream: bytes) -> list[tuple[int, int]]:
    """(Hz, kbit/s) of every frame; raises where the stream has anything but frames."""
    found, at = [], 0
    while at < len(stream):
        assert stream[at] == 0xFF
        assert stream[at + 1] & 0xE6 == 0xE2, "not a layer III frame"
        version, bits = stream[at + 1] >> 3 & 3, stream[at + 2]
        hertz = MPEG_RATES[version][bits >> 2 & 3]
        kbits = (BIT_RATES[version] or BIT_RATES[2])[bits >> 4]
        found.append((hertz, kbits))
        at += (144 if version == 3 else 72) * kbits * 1000 // hertz + (bits >> 1 & 1)
    return found


ROW = formats.find("mp3")
STREAMS = [(rate, bits) for rate in ROW.rates if (step := ROW.bit_rates_at(rate)) for bits in (None, *step.choices)]


@pytest.mark.parametrize(("rate", "bits"), STREAMS)
def test_stream_is_bare_frames_at_the_asked_rates(rate: int, bits: int | None) -> None:
    step = ROW.bit_rates_at(rate)
    assert step is not None
    made = feed(ROW.open(rate, rate, bits), [chirp(rate, rate // 2).tobytes()])
    assert set(_frames(made)) == {(rate, (bits or step.default) // 1000)}
    for tag in (b"Xing", b"Info", b"ID3", b"TAG"):
        assert tag not in made[:512]


def test_first_frame_comes_after_40_ms_of_sound() -> None:
    stream = formats.find("mp3").open(24000, 24000)
    assert stream.encode(chirp(24000, 960).tobytes())
