"""Reading the form of a request (``multipart/form-data``): a few fields and one file, bounded in bytes and in time."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing, asynccontextmanager
from dataclasses import dataclass

from python_multipart.multipart import parse_options_header
from starlette.datastructures import UploadFile
from starlette.formparsers import MultiPartException, MultiPartParser
from starlette.requests import ClientDisconnect, Request

from gateway.dialects.body import Unread
from gateway.errors import BadMessage

_FIELDS = 32
_FIELD_BYTES = 65_536
_PIECE = 65_536
_CHARSETS = (b"utf-8", b"utf8", b"us-ascii")


def is_form(request: Request) -> bool:
    return request.headers.get("content-type", "").partition(";")[0].strip().lower() == "multipart/form-data"


@dataclass(frozen=True, slots=True)
class Form:
    """What came: ``fields`` by their names, and the file, where there was one. The last of a name is the one."""

    fields: dict[str, str]
    file: UploadFile | None
    name: str = ""
    """Of the file's field."""

    async def pieces(self) -> AsyncGenerator[bytes, None]:
        """The file's bytes."""
        if self.file is not None:
            while piece := await self.file.read(_PIECE):
                yield piece


@asynccontextmanager
async def read_form(request: Request, *, limit: int, seconds: float) -> AsyncIterator[Form]:
    """The form that the request carries; its file is gone with the block. Raises ``BadMessage``.

    ``limit`` is in bytes, and counts everything; what is more than a megabyte waits in a file without a name.
    """
    _check_charset(request)
    length = request.headers.get("content-length", "")
    if length.isdecimal() and int(length) > limit:
        raise BadMessage(f"the body has more than {limit} bytes")
    try:
        # Closed with the block, also when the parser stops in the middle.
        async with asyncio.timeout(seconds), aclosing(_bounded(request, limit)) as body:
            parser = MultiPartParser(request.headers, body, max_files=1, max_fields=_FIELDS, max_part_size=_FIELD_BYTES)
            data = await parser.parse()
    except MultiPartException as error:
        # Its message is the library's, about the form and never of it.
        raise BadMessage(f"the form cannot be read: {error.message}") from None
    except TimeoutError:
        raise Unread(f"the body did not come within {seconds:g} seconds") from None
    except ClientDisconnect:
        raise BadMessage("the connection was closed before the whole body had come") from None
    try:
        yield _form(data.multi_items())
    finally:
        await data.close()


def _check_charset(request: Request) -> None:
    """The parser would take any codec that Python has, and some are slow beyond reason, or give no Unicode."""
    _, options = parse_options_header(request.headers.get("content-type", ""))
    if options.get(b"charset", b"utf-8").lower() not in _CHARSETS:
        raise BadMessage("the form must be in UTF-8")


def _form(items: list[tuple[str, UploadFile | str]]) -> Form:
    fields: dict[str, str] = {}
    file, name = None, ""
    for key, value in items:
        if isinstance(value, str):
            fields[key] = value
        else:
            file, name = value, key
    return Form(fields, file, name)


async def _bounded(request: Request, limit: int) -> AsyncGenerator[bytes, None]:
    size = 0
    async for piece in request.stream():
        size += len(piece)
        if size > limit:
            raise Unread(f"the body has more than {limit} bytes")
        yield piece
