"""What a request may set of the way in which XTTS draws its codes; the other models draw none."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from providers import options
from providers.options import Range

TEMPERATURE = Range(0.05, 2.0)
TOP_P = Range(0.01, 1.0)
TOP_K = Range(1, 1000, whole=True)
REPETITION_PENALTY = Range(1.0, 20.0)

OPTIONS: Mapping[str, Range] = {
    "temperature": TEMPERATURE,
    "top_p": TOP_P,
    "top_k": TOP_K,
    "repetition_penalty": REPETITION_PENALTY,
}


def check(given: Mapping[str, Any]) -> dict[str, Any]:
    """The options, each in its range. Raises ``BadOption``."""
    return options.check("coqui", OPTIONS, given)
