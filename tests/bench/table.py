"""The one table that a run prints."""

from __future__ import annotations

import os
import platform
from collections.abc import Iterable, Sequence
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import NamedTuple

_PACKAGES = ("uvicorn", "uvloop", "starlette", "websockets", "picows")


class Figure(NamedTuple):
    """One line. ``met`` is ``None`` for what has no aim and only stands beside another figure."""

    name: str
    value: str
    aim: str = ""
    met: bool | None = None


def at_most(name: str, value: float, limit: float, unit: str, *, digits: int = 1) -> Figure:
    """A figure that is good when it is small."""
    return Figure(name, f"{value:.{digits}f} {unit}", f"<= {limit:g} {unit}", value <= limit)


def render(figures: Iterable[Figure]) -> str:
    """Aligned columns: figure, value, aim, met."""
    rows: list[Sequence[str]] = [("figure", "value", "aim", "met")]
    rows += [(f.name, f.value, f.aim, "" if f.met is None else "yes" if f.met else "NO") for f in figures]
    widths = [max(len(row[column]) for row in rows) for column in range(4)]
    rows.insert(1, ["-" * width for width in widths])
    return "\n".join("  ".join(map(str.ljust, row, widths)).rstrip() for row in rows)


def machine() -> str:
    """What it ran on."""
    # A part of the bench may be run where what the other parts are compared with is not installed.
    versions = ", ".join(f"{name} {version(name)}" for name in _PACKAGES if _installed(name))
    load = ", ".join(f"{value:.1f}" for value in os.getloadavg())
    return (
        f"{_processor()}, {os.cpu_count()} cores, Linux {platform.release()}, load {load}\n"
        f"Python {platform.python_version()}, {versions}"
    )


def _installed(name: str) -> bool:
    try:
        version(name)
    except PackageNotFoundError:
        return False
    return True


def _processor() -> str:
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            return line.partition(":")[2].strip()
    return platform.machine()
