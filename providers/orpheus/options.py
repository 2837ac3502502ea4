"""What a request may set of the model's sampling, and the request to llama-server that it becomes."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from providers import options
from providers.options import Range
from providers.orpheus.prompt import Prompt

TEMPERATURE = Range(0.0, 2.0)
TOP_P = Range(0.01, 1.0)
# Without a bound llama-server sorts the whole vocabulary for each token, on the CPU: 84 tokens a second, all slots
# together, where 40 of them allow 527.
TOP_K = Range(1, 1000, whole=True)
REPETITION_PENALTY = Range(1.0, 2.0)
MAX_TOKENS = Range(64, 2048, whole=True)
SEED = Range(0, 2**32 - 2, whole=True)
"""The greatest number of 32 bits means "any" to llama-server."""

OPTIONS: Mapping[str, Range] = {
    "temperature": TEMPERATURE,
    "top_p": TOP_P,
    "top_k": TOP_K,
    "repetition_penalty": REPETITION_PENALTY,
    "max_tokens": MAX_TOKENS,
    "seed": SEED,
}


def check(given: Mapping[str, Any]) -> dict[str, Any]:
    """The options, each in its range. Raises ``BadOption``."""
    return options.check("orpheus", OPTIONS, given)


def request(prompt: Prompt, options: Mapping[str, Any]) -> dict[str, Any]:
    """The body of ``POST /completion``; ``options`` has every one of ``OPTIONS``."""
    return {
        "prompt": prompt,
        "n_predict": options["max_tokens"],
        "temperature": options["temperature"],
        "top_p": options["top_p"],
        "top_k": options["top_k"],
        "min_p": 0.0,
        "repeat_penalty": options["repetition_penalty"],
        "seed": options["seed"],
        "stop": ["<custom_token_2>"],
        # No two prompts have more in common than their first four tokens.
        "cache_prompt": False,
    }


def trial(prompt: Prompt) -> dict[str, Any]:
    """A short request that shows whether a model says audio tokens: two frames and one token, in case it slips."""
    return {"prompt": prompt, "n_predict": 15, "temperature": 0.0, "top_k": 1, "cache_prompt": False}
