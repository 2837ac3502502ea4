"""What a request may set, and the sampling that it becomes."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from providers import options
from providers.options import Option, Range, Text

TEMPERATURE = Range(0.0, 2.0)
TOP_P = Range(0.01, 1.0)
TOP_K = Range(1, 1000, whole=True)
REPETITION_PENALTY = Range(1.0, 2.0)
MAX_TOKENS = Range(12, 2048, whole=True)
"""Frames of 80 ms."""

SAMPLING: Mapping[str, Range] = {
    "temperature": TEMPERATURE,
    "top_p": TOP_P,
    "top_k": TOP_K,
    "repetition_penalty": REPETITION_PENALTY,
    "max_tokens": MAX_TOKENS,
    "subtalker_temperature": TEMPERATURE,
    "subtalker_top_p": TOP_P,
    "subtalker_top_k": TOP_K,
}
LONGEST_INSTRUCTION = 1000
OPTIONS: Mapping[str, Option] = {"instruct": Text(LONGEST_INSTRUCTION), **SAMPLING}

# qwen-tts's own, for what a model's generation_config.json leaves out.
_DEFAULTS: Mapping[str, Any] = {
    "do_sample": True,
    "top_k": 50,
    "top_p": 1.0,
    "temperature": 0.9,
    "repetition_penalty": 1.05,
    "subtalker_dosample": True,
    "subtalker_top_k": 50,
    "subtalker_top_p": 1.0,
    "subtalker_temperature": 0.9,
    "max_new_tokens": 2048,
}
_FEWEST, _PER_CHARACTER = 75, 8
"""Frames that a text may take: six seconds, and 0.64 for each character, four times as long as a slow voice needs. A
model that has lost its thread hums until it is stopped."""
_COLDEST = 0.01
"""Below this temperature nothing is left to chance; far below, a division by it overflows, and on a GPU that takes CUDA
from the whole process."""


def check(given: Mapping[str, Any]) -> dict[str, Any]:
    """The options, each in its range. Raises ``BadOption``."""
    return options.check("qwen", OPTIONS, given)


def sampling(model: Mapping[str, Any], chosen: Mapping[str, Any], text: str) -> dict[str, Any]:
    """Arguments for ``generate``: what is ``chosen`` for ``text``, else what the ``model``'s files say."""
    made = {name: model.get(name, default) for name, default in _DEFAULTS.items()}
    made |= {name: value for name, value in chosen.items() if name in _DEFAULTS}
    longest = min(made["max_new_tokens"], chosen.get("max_tokens", made["max_new_tokens"]))
    made["max_new_tokens"] = min(longest, _FEWEST + _PER_CHARACTER * len(text))
    # Transformers refuses a temperature of zero.
    for switch, name in (("do_sample", "temperature"), ("subtalker_dosample", "subtalker_temperature")):
        if made[name] < _COLDEST:
            made |= {switch: False, name: 1.0}
    return made
