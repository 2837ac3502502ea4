from typing import Any

import pytest

from providers.base import BadOption
from providers.volcano.options import check, percent, ratio


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"volume": 2, "pitch": -12},
        {"emotion": "happy", "emotion_scale": 5},
        {"instruction": "Slowly, and with a smile."},
        {"dialect": "dongbei", "explicit_language": "zh-cn", "silence_ms": 30000, "filter_markdown": True},
        {"model": "seed-tts-2.0-standard"},
    ],
)
def test_options_in_their_ranges_are_taken(options: dict[str, Any]) -> None:
    assert check(options).model_dump(exclude_unset=True) == options


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"volume": 2.1}, "volume"),
        ({"volume": "loud"}, "volume"),
        ({"pitch": 13}, "pitch"),
        ({"emotion": ""}, "emotion"),
        ({"emotion": 'x","speaker":"y'}, "emotion"),
        ({"emotion_scale": 0}, "emotion_scale"),
        ({"instruction": "x" * 301}, "instruction"),
        ({"silence_ms": 1.5}, "silence_ms"),
        ({"filter_markdown": 1}, "filter_markdown"),
        ({"model": "gpt"}, "model"),
        ({"colour": "red"}, "no such option; it has: volume, pitch"),
    ],
)
def test_others_are_refused_by_name(options: dict[str, Any], said: str) -> None:
    with pytest.raises(BadOption, match=said) as raised:
        check(options)
    assert not any(str(value) in str(raised.value) for value in options.values() if isinstance(value, str) and value)


@pytest.mark.parametrize(("speed", "written"), [(1.0, 0), (2.0, 100), (0.5, -50), (1.25, 25), (0.25, -50), (4.0, 100)])
def test_a_ratio_is_written_in_percent_and_never_beyond_the_range(speed: float, written: int) -> None:
    assert percent(speed) == written


def test_semitones_are_written_as_a_ratio() -> None:
    assert (ratio(0), ratio(12), ratio(-12)) == (1.0, 2.0, 0.5)
