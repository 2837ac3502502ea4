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
        if isinstance(value, int | float) and self._takes(value):
            # JSON writes 2.0 as 2, and transformers refuses a temperature that is no float.
            return value if self.whole else float(value)
        kind = "a whole number" if self.whole else "a number"
        raise BadOption(f"{name} is {kind} from {self.lowest:.10g} to {self.highest:.10g}")

    def _takes(self, value: int | float) -> bool:
        # A bool is an int to Python, and nobody's temperature.
        right = isinstance(value, int) or not self.whole
        return right and not isinstance(value, bool) and self.lowest <= value <= self.highest


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
