"""What is kept of a voice comes back as it was, or not at all."""

from __future__ import annotations

import numpy as np
import pytest

from providers import prompts
from providers.base import UnknownVoice
from providers.prompts import Shape, Unpacked

pytestmark = pytest.mark.engines

WAVE = np.linspace(-1, 1, 12, dtype=np.float32).reshape(3, 4)
CODES = np.arange(6, dtype=np.int16).reshape(2, 3)


def test_what_was_packed_comes_back() -> None:
    found = Unpacked("x", prompts.pack({"wave": WAVE.T, "codes": CODES}, {"words": "Grüße, 世界"}))
    assert np.array_equal(found.array("wave", Shape([4, 3])), WAVE.T)
    assert np.array_equal(found.array("codes", Shape([(1, 9), 3], whole=True, lowest=0, highest=5)), CODES)
    assert found.text("words") == "Grüße, 世界"
    assert "wave" in found
    assert "other" not in found


@pytest.mark.parametrize(
    "shape",
    [
        Shape([3]),
        Shape([3, 5]),
        Shape([(4, 9), 4]),
        Shape([3, 4], whole=True),
        Shape([3, 4], lowest=0.0),
        Shape([3, 4], highest=0.5),
    ],
)
def test_an_array_of_another_shape_or_range_is_refused(shape: Shape) -> None:
    with pytest.raises(UnknownVoice, match="was not made by engine 'x' as it runs here, or is damaged"):
        Unpacked("x", prompts.pack({"wave": WAVE}, {})).array("wave", shape)


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_a_number_that_is_none_is_refused(value: float) -> None:
    wave = WAVE.copy()
    wave[1, 1] = value
    with pytest.raises(UnknownVoice):
        Unpacked("x", prompts.pack({"wave": wave}, {})).array("wave", Shape([3, 4]))


@pytest.mark.parametrize("name", ["missing", "wave"])
def test_a_text_that_is_none_is_refused(name: str) -> None:
    with pytest.raises(UnknownVoice):
        Unpacked("x", prompts.pack({"wave": WAVE}, {})).text(name)


def test_a_text_too_long_is_refused() -> None:
    with pytest.raises(UnknownVoice):
        Unpacked("x", prompts.pack({}, {"words": "x" * (prompts.LONGEST_TEXT + 1)})).text("words")


def test_any_damage_is_refused_or_changes_nothing_but_numbers() -> None:
    good = prompts.pack({"wave": WAVE}, {"words": "hello"})
    random = np.random.default_rng(1)
    for _ in range(2000):
        damaged = bytearray(good)
        for place in random.integers(0, len(good), random.integers(1, 4)):
            damaged[place] = random.integers(0, 256)
        cut = bytes(damaged[: random.integers(0, len(good) + 1)]) if random.random() < 0.3 else bytes(damaged)
        try:
            found = Unpacked("x", cut)
            wave = found.array("wave", Shape([3, 4]))
        except UnknownVoice:
            continue
        assert wave.shape == (3, 4)
        assert np.isfinite(wave.astype(np.float64)).all()


@pytest.mark.parametrize(
    "prompt",
    [b"", b"\x00" * 8, b"\xff" * 100, (10**9).to_bytes(8, "little") + b"{}", bytes(prompts.LONGEST + 1)],
)
def test_what_is_no_file_of_arrays_is_refused(prompt: bytes) -> None:
    with pytest.raises(UnknownVoice):
        Unpacked("x", prompt)


def test_a_kind_of_number_that_no_voice_has_is_refused() -> None:
    from safetensors.numpy import save

    with pytest.raises(UnknownVoice):
        Unpacked("x", save({"wave": WAVE.astype(np.float64)}))
