from __future__ import annotations

import numpy as np
import pytest

from audio import pcm


def test_half_a_sample_is_refused() -> None:
    with pytest.raises(ValueError, match="3 bytes are not a whole number of 16-bit samples"):
        pcm.count(b"abc")
    with pytest.raises(ValueError, match="16-bit"):
        pcm.samples(b"abc")


def test_duration_is_samples_by_rate() -> None:
    assert pcm.duration(bytes(960), 24000) == 0.02


def test_floats_are_rounded_clipped_and_never_wrap() -> None:
    wave = np.array([0.0, 0.5, -0.5, 1.0, -1.0, 1.5, -7.0, np.nan, np.inf, -np.inf, 1.6 / 32768])
    expected = [0, 16384, -16384, 32767, -32768, 32767, -32768, 0, 32767, -32768, 2]
    assert pcm.samples(pcm.from_float(wave)).tolist() == expected


def test_first_audible_sample_is_found_on_both_sides_of_zero() -> None:
    wave = np.array([0, pcm.AUDIBLE - 1, -pcm.AUDIBLE, 30000], "<i2")
    assert pcm.first_audible(wave.tobytes()) == 2
    assert pcm.first_audible(np.array([-32768], "<i2").tobytes()) == 0


def test_silence_and_nothing_have_no_audible_sample() -> None:
    assert pcm.first_audible(bytes(2000)) is None
    assert pcm.first_audible(b"") is None
