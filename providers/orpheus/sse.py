"""Server-sent events as llama-server writes them: bytes in, fields out, however the bytes are cut."""

from __future__ import annotations

LONGEST = 262_144
"""Bytes of a line. The last event of a completion repeats the prompt and all parameters: some 4 KiB."""
_FIELDS = {b"data", b"error"}
_IGNORED = {b"event", b"id", b"retry", b""}


class NoEvents(Exception):
    """These bytes are no server-sent events."""


class Events:
    """``feed`` gives the fields ``data`` and ``error`` (llama-server's own, in older versions) of all whole lines."""

    def __init__(self) -> None:
        self._rest = b""

    def feed(self, data: bytes) -> list[tuple[bytes, bytes]]:
        """``(field, value)`` of each line. Raises ``NoEvents``."""
        lines = (self._rest + data).split(b"\n")
        self._rest = lines.pop()
        if len(self._rest) > LONGEST:
            raise NoEvents(f"a line of more than {LONGEST} bytes")
        return [field for line in lines if (field := _field(line)) is not None]


def _field(line: bytes) -> tuple[bytes, bytes] | None:
    # A comment is a field without a name.
    line = line.rstrip(b"\r")
    if not line:
        return None
    name, _, value = line.partition(b":")
    if name in _FIELDS:
        return name, value.removeprefix(b" ")
    if name in _IGNORED:
        return None
    raise NoEvents("a line that is no field")
