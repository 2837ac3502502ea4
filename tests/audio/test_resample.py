from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from audio.encoder import StreamFinished
from audio.formats import ALL_RATES
from audio.resample import Resampler
from tests.audio.signals import AMPLITUDE, chirp, noise, pieces, rms, tone

RATES = st.sampled_from(ALL_RATES)
PAIRS = [
    (source, target)
    for source in (22050, 24000, 44100, 48000)
    for target in (8000, 16000, 24000, 44100, 48000)
    if source != target
]


def _whole(source: int, target: int, wave: np.ndarray) -> np.ndarray:
    resampler = Resampler(source, target)
    return np.frombuffer(resampler.process(wave.tobytes()) + resampler.finish(), "<i2")


def _spectrum(source: int, target: int, frequency: float) -> tuple[float, float, float]:
    """What becomes of a tone, away from its ends, in dB of the tone: what is left of it, all that is not it, and
    all there is."""
    made = _whole(source, target, tone(frequency, source, 0.3)).astype(np.float64)
    middle = slice(len(made) // 5, -len(made) // 5)
    phase = 2 * np.pi * frequency / target * np.arange(len(made))
    waves = np.stack([np.sin(phase), np.cos(phase)], axis=1)[middle]
    wave = made[middle]
    fit = np.linalg.lstsq(waves, wave, rcond=None)[0]
    full = AMPLITUDE / np.sqrt(2)
    return (
        _decibels(float(np.hypot(*fit)) / AMPLITUDE),
        _decibels(rms(wave - waves @ fit) / full),
        _decibels(rms(wave) / full),
    )


def _decibels(ratio: float) -> float:
    return float(20 * np.log10(max(ratio, 1e-9)))


@given(RATES, RATES, st.integers(0, 3000), st.lists(st.integers(0, 700), max_size=12))
@settings(max_examples=40, deadline=None)
def test_length_is_exact_and_cuts_make_no_difference(source: int, target: int, n: int, cuts: list[int]) -> None:
    wave = noise(n)
    resampler = Resampler(source, target)
    made = b"".join(map(resampler.process, pieces(wave.tobytes(), cuts))) + resampler.finish()
    assert len(made) == 2 * round(n * target / source)
    assert made == _whole(source, target, wave).tobytes()


@pytest.mark.parametrize(("source", "target"), [(24000, 8000), (22050, 48000), (44100, 16000)])
def test_single_samples_give_what_the_whole_gives(source: int, target: int) -> None:
    wave = noise(900)
    resampler = Resampler(source, target)
    made = b"".join(map(resampler.process, pieces(wave.tobytes(), [1] * 900))) + resampler.finish()
    assert made == _whole(source, target, wave).tobytes()


def test_length_is_exact_for_the_shortest_sounds_at_every_pair_of_rates() -> None:
    for source in ALL_RATES:
        for target in ALL_RATES:
            for n in (1, 2, 7):
                assert len(_whole(source, target, noise(n))) == round(n * target / source)


@pytest.mark.parametrize(("source", "target"), PAIRS)
def test_pass_band_is_flat_to_a_tenth_of_a_decibel_and_free_of_images(source: int, target: int) -> None:
    """Up to nine tenths of half the lower rate. 16-bit samples have their own noise 86 dB below the tone."""
    edge = 0.9 * min(source, target) / 2
    for part in (0.02, 0.1, 0.3, 0.5, 0.7, 0.9, 1.0):
        kept, rest, _ = _spectrum(source, target, part * edge)
        assert abs(kept) < 0.1
        assert rest < -85


@pytest.mark.parametrize(("source", "target"), [(source, target) for source, target in PAIRS if source > target])
def test_what_the_lower_rate_cannot_hold_is_85_db_down(source: int, target: int) -> None:
    tones = [part * target / 2 for part in (1.01, 1.03, 1.08, 1.5, 2.0, 2.7) if part * target < 0.99 * source]
    for frequency in tones:
        assert _spectrum(source, target, frequency)[2] < -85


@pytest.mark.parametrize(("source", "target"), [(24000, 8000), (24000, 44100), (22050, 48000), (48000, 24000)])
def test_result_is_the_same_sound_at_the_same_time(source: int, target: int) -> None:
    made = _whole(source, target, chirp(source, source))
    wanted = chirp(target, target)
    # Over 80 dB; the filter's ends, where there is no sound on one side, apart.
    inside = slice(target // 50, -target // 50)
    assert rms(made[inside].astype(float) - wanted[inside]) < AMPLITUDE / 10_000


def test_equal_rates_hand_the_bytes_through_without_a_copy() -> None:
    pcm = noise(480).tobytes()
    resampler = Resampler(24000, 24000)
    assert resampler.process(pcm) is pcm
    assert resampler.finish() == b""


@pytest.mark.parametrize(("target", "milliseconds"), [(8000, 6.5), (16000, 3.5), (44100, 2.1), (48000, 2.1)])
def test_only_a_few_milliseconds_are_held_back(target: int, milliseconds: float) -> None:
    resampler, made = Resampler(24000, target), 0
    for index in range(1, 50):
        made += len(resampler.process(noise(480).tobytes())) // 2
        assert index * 20 - made * 1000 / target <= milliseconds


def test_loud_sound_is_clipped_and_never_wraps() -> None:
    square = np.where(np.arange(4800) // 40 % 2, 32767, -32768).astype("<i2")
    made = _whole(24000, 48000, square).astype(int)
    assert np.abs(np.diff(made)).max() < 40_000


@pytest.mark.parametrize("target", [24000, 8000])
def test_after_finish_nothing_is_taken(target: int) -> None:
    resampler = Resampler(24000, target)
    resampler.finish()
    with pytest.raises(StreamFinished, match="process was called after finish"):
        resampler.process(bytes(2))
    with pytest.raises(StreamFinished, match="finish was called after finish"):
        resampler.finish()
