"""The noise is a function of seed and position, and of nothing else."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from audio.snac.noise import GAMMA, STAGE_STEPS, _mix, normal, stage_keys


def some(seed: int, stage: int, first: int, count: int) -> NDArray[np.float32]:
    keys = np.array([stage_keys(seed)[stage]], dtype=np.uint64)
    return normal(keys, np.array([first]), count)[0]


def test_a_frame_has_that_many_variates_in_each_stage() -> None:
    assert STAGE_STEPS == (32, 256, 1024, 2048)


def test_splitmix64_is_the_one_that_everybody_has() -> None:
    # The first outputs for the seed 1234567, as in the algorithm's usual test vectors.
    state, outputs = 1234567, [6457827717110365317, 3203168211198807973, 9817491932198370423]
    assert [_mix(state + (i + 1) * GAMMA) for i in range(3)] == outputs


def test_the_keys_and_the_noise_of_a_seed_are_pinned() -> None:
    assert stage_keys(1) == (
        0x910A2DEC89025CC1,
        0xBEEB8DA1658EEC67,
        0xF893A2EEFB32555E,
        0x71C18690EE42C90B,
    )
    assert np.allclose(some(1, 0, 0, 4), [1.3832964, 0.2890409, -2.2278485, 0.5531795], atol=1e-6)


@given(st.integers(0, 2**64 - 1), st.integers(0, 3), st.integers(0, 10**9), st.integers(1, 50), st.integers(0, 50))
def test_a_piece_is_the_same_wherever_it_is_cut(seed: int, stage: int, first: int, count: int, skip: int) -> None:
    whole = some(seed, stage, first, skip + count)
    assert np.array_equal(whole[skip:], some(seed, stage, first + skip, count))


def test_rows_are_what_they_are_alone() -> None:
    keys = np.array([stage_keys(seed)[1] for seed in (1, 2, 3)], dtype=np.uint64)
    together = normal(keys, np.array([0, 70, 5]), 9)
    assert np.array_equal(together, [some(1, 1, 0, 9), some(2, 1, 70, 9), some(3, 1, 5, 9)])


def test_seeds_and_stages_have_noise_of_their_own() -> None:
    heads = {some(seed, stage, 0, 3).tobytes() for seed in range(-2, 20) for stage in range(4)}
    assert len(heads) == 22 * 4


def test_a_seed_counts_modulo_two_to_the_64() -> None:
    assert stage_keys(-1) == stage_keys(2**64 - 1)


def test_it_is_normal_and_white() -> None:
    made = some(3, 2, 0, 400_000).astype(np.float64)
    assert abs(made.mean()) < 0.01
    assert abs(made.std() - 1) < 0.01
    assert abs((made**4).mean() - 3) < 0.05
    assert abs(np.corrcoef(made[1:], made[:-1])[0, 1]) < 0.01
    assert np.abs(made).max() < 5.78
