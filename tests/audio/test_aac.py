from __future__ import annotations

import pytest

from audio import formats
from tests.audio.signals import chirp, feed, noise
from tests.support.ffmpeg import decode

RATES = (96000, 88200, 64000, 48000, 44100, 32000, 24000, 22050, 16000, 12000, 11025, 8000, 7350)


def _frames(stream: bytes) -> list[int]:
    """The rate that every frame names; raises where the stream has anything but frames of mono AAC-LC."""
    found, at = [], 0
    while at < len(stream):
        head = int.from_bytes(stream[at : at + 7], "big")
        assert head >> 40 == 0xFFF1
        assert head >> 38 & 3 == 1, "not the low-complexity profile"
        assert head >> 30 & 7 == 1, "not one channel"
        assert head & 3 == 0, "not one block"
        found.append(RATES[head >> 34 & 0xF])
        at += head >> 13 & 0x1FFF
    assert at == len(stream)
    return found


@pytest.mark.parametrize("rate", formats.find("aac").rates)
def test_stream_is_frames_that_name_their_rate(rate: int) -> None:
    made = feed(formats.find("aac").open(rate, rate), [chirp(rate, rate).tobytes()])
    frames = _frames(made)
    assert set(frames) == {rate}
    assert len(frames) == -(-rate // 1024) + 1


@pytest.mark.parametrize("samples", [1, 1023, 1024, 1025, 2048])
def test_decoded_length_is_the_sound_behind_one_frame_of_delay(samples: int) -> None:
    made = feed(formats.find("aac").open(24000, 24000), [noise(samples).tobytes()])
    assert len(decode(made, "aac", 24000)) == 1024 * (-(-samples // 1024) + 1)


def test_first_frame_comes_with_the_second_frame_of_sound() -> None:
    stream = formats.find("aac").open(24000, 24000)
    assert not stream.encode(chirp(24000, 2047).tobytes())
    assert stream.encode(bytes(2))
