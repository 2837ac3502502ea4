"""What a request may set, and what is told to whoever sets something else."""

from __future__ import annotations

from typing import Any

import pytest

from providers.base import BadOption
from providers.orpheus import options

GOOD = {"temperature": 0.3, "top_p": 0.9, "top_k": 40, "repetition_penalty": 1.3, "max_tokens": 512, "seed": 7}


def test_good_options_are_as_they_were() -> None:
    assert options.check(GOOD) == GOOD
    assert options.check({}) == {}


@pytest.mark.parametrize(
    "edge",
    [
        {"temperature": 0},
        {"temperature": 2},
        {"top_k": 1},
        {"top_k": 1000},
        {"repetition_penalty": 1},
        {"max_tokens": 64},
        {"max_tokens": 2048},
        {"seed": 0},
        {"seed": 4294967294},
    ],
)
def test_the_ends_of_a_range_belong_to_it(edge: dict[str, Any]) -> None:
    assert options.check(edge) == edge


@pytest.mark.parametrize(
    ("wrong", "sentence"),
    [
        ({"temperature": 2.1}, "temperature is a number from 0 to 2"),
        ({"temperature": "0.3"}, "temperature is a number from 0 to 2"),
        ({"temperature": True}, "temperature is a number from 0 to 2"),
        ({"temperature": float("nan")}, "temperature is a number from 0 to 2"),
        ({"top_p": 0}, "top_p is a number from 0.01 to 1"),
        ({"top_k": 0}, "top_k is a whole number from 1 to 1000"),
        ({"top_k": 1001}, "top_k is a whole number from 1 to 1000"),
        ({"top_k": 40.5}, "top_k is a whole number from 1 to 1000"),
        ({"repetition_penalty": 0.9}, "repetition_penalty is a number from 1 to 2"),
        ({"max_tokens": 63}, "max_tokens is a whole number from 64 to 2048"),
        ({"max_tokens": None}, "max_tokens is a whole number from 64 to 2048"),
        ({"seed": -1}, "seed is a whole number from 0 to 4294967294"),
        ({"seed": 4294967295}, "seed is a whole number from 0 to 4294967294"),
        ({"n_predict": 5}, "engine 'orpheus' has no such option; it has: temperature, top_p, top_k"),
    ],
)
def test_a_wrong_option_is_refused_with_its_range(wrong: dict[str, Any], sentence: str) -> None:
    with pytest.raises(BadOption) as refused:
        options.check(wrong)
    assert str(refused.value).startswith(sentence)


def test_a_request_bounds_what_the_server_does() -> None:
    made = options.request([1], GOOD)
    assert (made["top_k"], made["n_predict"], made["seed"], made["repeat_penalty"]) == (40, 512, 7, 1.3)
    assert made["stop"] == ["<custom_token_2>"]
