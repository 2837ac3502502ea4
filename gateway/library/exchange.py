"""One request for a file over one connection, by h11, and every byte of the answer counted.

What comes beside the file is bounded too. A stranger's server could otherwise send interim answers, chunks of one byte
or what HTTP allows beside them for as long as a fetch may take, and keep the loop at work with them: 50 KiB of interim
answers are two thousand.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Mapping

import h11
from yarl import URL

_PIECE = 8192
"""Bytes that are read at a time, and between which others have their turn."""
_HEAD = 32_768
"""Bytes of the longest head."""
_AROUND = 65_536
"""Bytes that may come beside the file, heads and the marks of chunks, and one more for every four of the file."""
_WANTED = {
    "User-Agent": "voxwire",
    "Accept": "audio/*, video/*;q=0.5, */*;q=0.1",
    "Accept-Encoding": "identity",
    "Connection": "close",
}


class NotHttp(Exception):
    """What comes is no answer, or more of it than there is in the file."""


class BrokenOff(Exception):
    """The connection has ended before the file."""


class Exchange:
    """``head``, and then ``pieces``, each once. Both raise ``NotHttp`` and ``OSError``."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer
        self._http = h11.Connection(h11.CLIENT, max_incomplete_event_size=_HEAD)
        self._came = 0
        self._of_the_file = 0
        self._ended = False

    async def head(self, url: URL) -> tuple[int, Mapping[str, list[str]]]:
        """Ask for it. The status of the answer, and its headers by their names in lower case."""
        try:
            headers = [("Host", url.host_port_subcomponent or ""), *_WANTED.items()]
            asked = self._http.send(h11.Request(method="GET", target=url.raw_path_qs or "/", headers=headers))
        except h11.LocalProtocolError:
            raise NotHttp from None
        self._writer.write(asked or b"")
        self._http.send(h11.EndOfMessage())
        while not isinstance(event := await self._event(), h11.Response):
            pass
        found: dict[str, list[str]] = {}
        for name, value in event.headers:
            found.setdefault(name.decode("latin-1"), []).append(value.decode("utf-8", "replace"))
        return event.status_code, found

    async def pieces(self) -> AsyncGenerator[bytes, None]:
        """The file. Raises ``BrokenOff`` too."""
        try:
            while not isinstance(event := await self._event(), h11.EndOfMessage):
                if isinstance(event, h11.Data):
                    self._of_the_file += len(event.data)
                    yield bytes(event.data)
        except (NotHttp, OSError):
            if self._ended:
                raise BrokenOff from None
            raise

    async def _event(self) -> object:
        while True:
            try:
                event = self._http.next_event()
            except h11.RemoteProtocolError:
                raise NotHttp from None
            if event is not h11.NEED_DATA:
                return event
            if self._came - self._of_the_file > _AROUND + self._of_the_file // 4:
                raise NotHttp
            self._http.receive_data(await self._read())

    async def _read(self) -> bytes:
        # What has come already would be read without a turn of the loop between.
        await asyncio.sleep(0)
        try:
            data = await self._reader.read(_PIECE)
        except OSError:
            self._ended = True
            raise
        self._ended = not data
        self._came += len(data)
        return data
