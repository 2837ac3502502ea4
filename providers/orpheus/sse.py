"""Server-sent events as llama-server writes them: bytes in, what they hold out, however the bytes are cut."""

from __future__ import annotations

from collections.abc import Iterator

LONGEST = 262_144
"""Bytes of an event. The last one of a completion repeats the prompt and all parameters: some 4 KiB."""
_FIELDS = {b"data", b"error"}
_IGNORED = {b"event", b"id", b"retry", b""}


class NoEvents(Exception):
    """These bytes are no server-sent events."""


class Events:
    """``feed`` gives the fields ``data`` and ``error`` (llama-server's own, in older versions) of all whole events."""

    def __init__(self) -> None:
        self._rest = b""
        self._field = b""
        self._lines: list[bytes] = []
        self._size = 0
        """Bytes of ``_lines``."""

    def feed(self, data: bytes) -> Iterator[tuple[bytes, bytes]]:
        """``(field, value)`` of each event that ends in ``data``. Raises ``NoEvents`` behind the
        events that came before what is none."""
        lines = (self._rest + data).split(b"\n")
        self._rest = lines.pop()
        for line in lines:
            event = self._line(line.removesuffix(b"\r"))
            if event is not None:
                yield event
        if len(self._rest) + self._size > LONGEST:
            raise NoEvents(f"an event of more than {LONGEST} bytes")

    def _line(self, line: bytes) -> tuple[bytes, bytes] | None:
        """The event that ``line`` ends, if it does: an empty one does."""
        if not line:
            lines, self._lines, self._size = self._lines, [], 0
            # Nothing is what some proxies send to keep a connection open.
            return (self._field, b"\n".join(lines)) if any(lines) else None
        # A comment is a field without a name.
        name, _, value = line.partition(b":")
        if name in _FIELDS:
            self._field = name
            self._lines.append(value.removeprefix(b" "))
            self._size += len(line)
        elif name not in _IGNORED:
            raise NoEvents("a line that is no field")
        return None
