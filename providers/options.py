"""What a request may set of an engine, and the sentence for whoever sets something else."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol

from providers.base import BadOption


class Option(Protocol):
    def check(self, name: str, value: object) -> Any:
        """The value, as it is to be used. Raises ``BadOption``."""


@dataclass(frozen=True, slots=True)
class Range:
    lowest: float
    highest: float
    whole: bool = False

    def check(self, name: str, value: object) -> int | float:
        right = isinstance(value, int if self.whole else (int, float)) and not isinstance(value, bool)
        if not right or not self.lowest <= value <= self.highest:  # type: ignore[operator]
            kind = "a whole number" if self.whole else "a number"
            raise BadOption(f"{name} is {kind} from {self.lowest:.10g} to {self.highest:.10g}")
        return value  # type: ignore[return-value]


@dataclass(frozen=True, slots=True)
class Text:
    longest: int

    def check(self, name: str, value: object) -> str:
        if not isinstance(value, str) or len(value) > self.longest:
            raise BadOption(f"{name} is a text of at most {self.longest} characters")
        return value


def check(engine: str, known: Mapping[str, Option], given: Mapping[str, Any]) -> dict[str, Any]:
    """``given``, each in its range. Raises ``BadOption``."""
    if given.keys() - known.keys():
        raise BadOption(f"engine {engine!r} has no such option; it has: {', '.join(known)}")
    return {name: known[name].check(name, value) for name, value in given.items()}
