"""The silence around a sentence, however its sound is cut. Needs no Piper."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from providers.sound import Edges, Floats, to_pcm

RATE = 1000
FADE = 2


def sound(*pieces: tuple[int, float]) -> Floats:
    """Milliseconds at a level."""
    return np.concatenate([np.full(length, level, np.float32) for length, level in pieces])


def pushed(given: Floats, cuts: list[int], *, whole: bool = True) -> tuple[Floats, int]:
    edges = Edges(RATE, whole=whole)
    bounds = [0, *sorted(min(cut, given.size) for cut in cuts), given.size]
    parts = [
        edges.push(given[start:stop], last=number == len(bounds) - 2)
        for number, (start, stop) in enumerate(pairwise(bounds))
    ]
    return np.concatenate(parts), edges.skipped


def test_long_silences_at_the_ends_are_cut_and_those_inside_are_kept() -> None:
    out, skipped = pushed(sound((300, 0.001), (100, 0.5), (900, 0.002), (100, 0.5), (900, 0.003)), [])
    assert (out.size, skipped) == (80 + 100 + 900 + 100 + 400, 220)
    assert (out[0], out[-1]) == (0.0, 0.0)


def test_short_silences_are_kept() -> None:
    out, skipped = pushed(sound((50, 0.0), (100, 0.5), (200, 0.0)), [])
    assert (out.size, skipped) == (350, 0)


def test_the_pause_behind_a_clause_is_shorter() -> None:
    out, _ = pushed(sound((100, 0.5), (500, 0.0)), [], whole=False)
    assert out.size == 260


def test_sound_to_the_last_sample_is_faded_out() -> None:
    out, _ = pushed(sound((100, 0.5)), [])
    assert out.size == 100
    assert list(out[:FADE]) == [0.0, 0.25]
    assert list(out[-FADE:]) == [0.25, 0.0]


def test_what_is_silent_throughout_is_kept() -> None:
    out, skipped = pushed(sound((100, 0.005)), [30, 60])
    assert (out.size, skipped) == (100, 0)


@pytest.mark.parametrize("size", [0, 1, 2, 3])
def test_very_short_sound(size: int) -> None:
    assert pushed(sound((size, 0.5)), [])[0].size == size


@given(
    st.lists(st.tuples(st.integers(0, 600), st.sampled_from([0.0, 0.5])), min_size=1, max_size=6),
    st.lists(st.integers(0, 2000), max_size=8),
    st.booleans(),
)
def test_how_it_was_cut_makes_no_difference(pieces: list[tuple[int, float]], cuts: list[int], whole: bool) -> None:
    given_sound = sound(*pieces)
    once, skipped = pushed(given_sound.copy(), [], whole=whole)
    parted, also_skipped = pushed(given_sound.copy(), cuts, whole=whole)
    assert skipped == also_skipped
    np.testing.assert_array_equal(once, parted)


def test_pcm_is_clipped_and_not_wrapped() -> None:
    pcm = np.frombuffer(to_pcm(np.array([0.5, 2.0, -2.0], np.float32), 1.5), "<i2")
    assert list(pcm) == [24575, 32767, -32767]
