"""What the other process writes to its standard output and error, as lines of the gateway's log.

Its own log comes as lines with a mark and JSON; the rest is what libraries print, and the last words of a process that
crashes.
"""

from __future__ import annotations

import asyncio
import json
import logging
import os
from collections import deque
from contextlib import suppress
from typing import Any

log = logging.getLogger(__name__)

MARK = b"\x1e"
"""What a line of its log begins with: the record separator, which nobody prints."""
_PIECE = 2048
"""Bytes at a time: a line may be two of them, and each is some work of the loop's."""
_LONGEST_LINE = 65_536
_LONGEST_MESSAGE = 10_000
"""Characters, none of which takes more than six bytes of a line."""
_LAST_LINES = 20
_LAST_PIECES = 32
"""As much as a pipe holds."""


class Output:
    """A pipe, read on the loop."""

    def __init__(self, name: str) -> None:
        self.name = name
        self._ours, self.theirs = os.pipe()
        """``theirs`` is for the process, and closed here with ``started``."""
        os.set_blocking(self._ours, False)
        self._line = b""
        self._last: deque[str] = deque(maxlen=_LAST_LINES)
        self._loop: asyncio.AbstractEventLoop | None = None
        self._closed = False

    @property
    def last_words(self) -> str:
        """The last lines that it printed, for a log."""
        return "\n".join(self._last)

    def started(self) -> None:
        os.close(self.theirs)

    def listen(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._loop.add_reader(self._ours, self._read)

    def close(self) -> None:
        """Take what is still there, and let go of the pipe, whoever else holds the other end."""
        for _ in range(_LAST_PIECES):
            if self._closed or not self._read():
                break
        self._end()

    def _read(self) -> bool:
        """Whether there may be more."""
        try:
            data = os.read(self._ours, _PIECE)
        except BlockingIOError:
            return False
        if not data:
            self._end()
            return False
        *lines, rest = (self._line + data).split(b"\n")
        self._line = rest[:_LONGEST_LINE]
        for line in lines:
            self._say(line[:_LONGEST_LINE])
        return True

    def _end(self) -> None:
        if self._closed:
            return
        self._closed = True
        if self._loop is not None:
            self._loop.remove_reader(self._ours)
        os.close(self._ours)
        if self._line:
            self._say(self._line)

    def _say(self, line: bytes) -> None:
        if line.startswith(MARK):
            with suppress(ValueError, RecursionError):
                self._log(json.loads(line[1:]))
                return
        text = "".join(c for c in line.decode("utf-8", "replace") if c.isprintable() or c == "\t").rstrip()
        if text:
            self._last.append(text)
            log.info("engine %s printed: %s", self.name, text)

    def _log(self, said: Any) -> None:
        match said:
            case {"level": int(level), "message": str(message)}:
                log.log(level, "engine %s: %s", self.name, message)
            case _:
                raise ValueError


class ToParent(logging.Handler):
    """The other side: the log of the process, as such lines. Blocks while the gateway takes none."""

    def emit(self, record: logging.LogRecord) -> None:
        try:
            said = {"level": record.levelno, "message": self.format(record)[:_LONGEST_MESSAGE]}
            # Past the buffers of Python, so that nothing is lost in a crash.
            os.write(2, MARK + json.dumps(said).encode() + b"\n")
        except Exception:  # noqa: BLE001 - a log that cannot be written is no reason to fail
            self.handleError(record)
