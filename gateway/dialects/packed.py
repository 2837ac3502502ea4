"""A file in base64 inside JSON, written while it is spoken: for formats that need not say how long they are."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import orjson
import pybase64
from starlette.responses import Response

from gateway.errors import VoxwireError
from gateway.events import Audio, Ended


class PackedJson:
    """A JSON object whose first field, ``name``, is the file; ``describe`` gives the others, at least one."""

    headers: Mapping[str, str] = {"content-type": "application/json"}

    def __init__(
        self,
        dialect: str,
        name: str,
        describe: Callable[[Ended], Mapping[str, Any]],
        refused: Callable[[VoxwireError], Response],
    ) -> None:
        self.dialect = dialect
        self.refused = refused
        self._opening = b'{%b:"' % orjson.dumps(name)
        self._describe = describe
        self._rest = b""
        """The end of the file so far: base64 takes three bytes at a time."""

    def audio(self, frame: Audio) -> bytes:
        data = self._rest + frame.data
        taken = len(data) // 3 * 3
        self._rest = data[taken:]
        return (b"" if frame.sequence else self._opening) + pybase64.b64encode(data[:taken])

    def ended(self, ended: Ended) -> bytes:
        return pybase64.b64encode(self._rest) + b'",' + orjson.dumps(self._describe(ended))[1:]

    def broken(self, _: VoxwireError) -> bytes:
        return b""
