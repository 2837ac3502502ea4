"""What the command writes: answers to standard output, everything else to standard error, plain text."""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Callable, Sequence
from types import TracebackType
from typing import Self

PATIENCE = 1.0
"""Seconds after which a user wants to know what is going on."""
_TICK = 0.25
_LINE_EVERY = 10.0


def answer(line: str = "") -> None:
    """A line to standard output, at once."""
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


def note(line: str) -> None:
    """A line to standard error."""
    sys.stderr.write(f"{line}\n")
    sys.stderr.flush()


def fail(message: str) -> int:
    """Say what is wrong; the exit code of a failure."""
    note(f"voxwire: {message}")
    return 1


def table(rows: Sequence[Sequence[str]]) -> list[str]:
    """Lines with aligned columns; the last one is as long as it is."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return ["  ".join(c.ljust(w) for c, w in zip(row, widths, strict=True)).rstrip() for row in rows]


class Progress:
    """Shows what ``describe`` says while its block runs longer than a second.

    On a terminal it is one line that is written over and over; elsewhere a line now and then.
    """

    def __init__(self, describe: Callable[[], str]) -> None:
        self._describe = describe
        self._over = threading.Event()
        self._terminal = sys.stderr.isatty()
        self._thread = threading.Thread(target=self._show, name="voxwire progress", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._over.set()
        self._thread.join()

    def _show(self) -> None:
        if self._over.wait(PATIENCE):
            return
        next_line = time.monotonic()
        while True:
            if self._terminal:
                sys.stderr.write(f"\r\x1b[K{self._describe()}")
                sys.stderr.flush()
            elif time.monotonic() >= next_line:
                next_line += _LINE_EVERY
                note(self._describe())
            if self._over.wait(_TICK):
                break
        if self._terminal:
            sys.stderr.write("\r\x1b[K")
            sys.stderr.flush()
