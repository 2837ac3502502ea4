"""What a request may set, and the sampling that it becomes."""

from __future__ import annotations

from typing import Any

import pytest

from providers.base import BadOption
from providers.qwen import options

GOOD = {
    "instruct": "very happy",
    "temperature": 0,
    "top_p": 0.9,
    "top_k": 1000,
    "repetition_penalty": 1,
    "max_tokens": 12,
    "subtalker_temperature": 2.0,
    "subtalker_top_p": 0.01,
    "subtalker_top_k": 1,
}


def test_good_options_are_as_they_were() -> None:
    assert options.check(GOOD) == GOOD
    assert options.check({}) == {}


@pytest.mark.parametrize(
    ("wrong", "sentence"),
    [
        ({"temperature": 2.1}, "temperature is a number from 0 to 2"),
        ({"temperature": True}, "temperature is a number from 0 to 2"),
        ({"top_p": 0}, "top_p is a number from 0.01 to 1"),
        ({"top_k": 40.5}, "top_k is a whole number from 1 to 1000"),
        ({"max_tokens": 2049}, "max_tokens is a whole number from 12 to 2048"),
        ({"subtalker_top_k": "many"}, "subtalker_top_k is a whole number from 1 to 1000"),
        ({"instruct": 7}, "instruct is a text of at most 1000 characters"),
        ({"instruct": "x" * 1001}, "instruct is a text of at most 1000 characters"),
        ({"do_sample": False}, "engine 'qwen' has no such option; it has: instruct, temperature, top_p"),
    ],
)
def test_a_wrong_option_is_refused_with_its_range(wrong: dict[str, Any], sentence: str) -> None:
    with pytest.raises(BadOption) as refused:
        options.check(wrong)
    assert str(refused.value).startswith(sentence)


def test_what_is_chosen_goes_before_what_the_model_says_and_that_before_the_defaults() -> None:
    made = options.sampling({"top_k": 20, "top_p": 0.8}, {"top_k": 7, "max_tokens": 100}, "x" * 100)
    assert (made["top_k"], made["top_p"], made["temperature"], made["max_new_tokens"]) == (7, 0.8, 0.9, 100)
    assert "max_tokens" not in made


def test_a_temperature_of_zero_takes_what_is_most_likely() -> None:
    made = options.sampling({}, {"temperature": 0, "subtalker_temperature": 0.0}, "Hello.")
    assert (made["do_sample"], made["temperature"]) == (False, 1.0)
    assert (made["subtalker_dosample"], made["subtalker_temperature"]) == (False, 1.0)


@pytest.mark.parametrize("temperature", [5e-324, 1e-45, 1e-9, 0.009])
def test_a_temperature_so_low_that_a_division_by_it_overflows_is_none(temperature: float) -> None:
    made = options.sampling({}, {"temperature": temperature, "subtalker_temperature": temperature}, "Hello.")
    assert (made["do_sample"], made["temperature"]) == (False, 1.0)
    assert (made["subtalker_dosample"], made["subtalker_temperature"]) == (False, 1.0)
    assert options.sampling({}, {"temperature": 0.01}, "Hello.")["do_sample"]


def test_a_number_may_be_written_without_its_fraction() -> None:
    checked = options.check({"temperature": 2, "repetition_penalty": 2, "top_k": 7, "max_tokens": 12})
    assert [type(value) for value in checked.values()] == [float, float, int, int]


def test_a_short_text_ends_soon_whatever_the_model_does() -> None:
    assert options.sampling({}, {}, "No.")["max_new_tokens"] == 99
    assert options.sampling({}, {}, "x" * 300)["max_new_tokens"] == 2048
