from __future__ import annotations

import numpy as np

from audio import formats
from tests.audio.signals import noise
from tests.support.ffmpeg import decode

ALL = np.arange(-32768, 32768).astype("<i2")


def test_full_scale_is_one_and_every_sample_is_exact() -> None:
    made = np.frombuffer(formats.find("pcm_f32le").open(24000, 24000).encode(ALL.tobytes()), "<f4")
    assert made[0] == -1.0
    assert (made * 32768 == ALL).all()


def test_ffmpeg_gives_the_samples_back() -> None:
    pcm = noise(1000)
    made = formats.find("pcm_f32le").open(24000, 24000).encode(pcm.tobytes())
    assert (decode(made, "pcm_f32le", 24000) == pcm).all()
