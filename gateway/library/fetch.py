"""A file from an address that a caller has named: from the public internet and from nowhere else.

Names are looked up here and each address they have is checked; the connection is then made to that very address, which
is checked once more where its socket is made. Whatever a name says a moment later, or a redirect, or a number written
in an unusual way, it goes through the same gate. Every request has a connection of its own, and nothing is kept between
two.
"""

from __future__ import annotations

import asyncio
import logging
import socket
import ssl
from collections.abc import AsyncIterator, Callable, Collection, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import aclosing, asynccontextmanager, suppress
from ipaddress import ip_address

from yarl import URL

from gateway.errors import BadUrl
from gateway.library.addresses import LONGEST_URL, is_ours, is_public
from gateway.library.exchange import BrokenOff, Exchange, NotHttp

log = logging.getLogger(__name__)

MAX_REDIRECTS = 3
_REDIRECTS = (301, 302, 303, 307, 308)
_LOOKUPS = 16
"""Names that are looked up at a time. A lookup may take the system half a minute, and cannot be stopped: there are more
than fetches, so that those that were given up leave room for others."""
_ADDRESSES = 4
"""Of one name that are tried."""
_PATIENCE = 4.0
"""Seconds that one of them has, so that the next has some too."""
_FORBIDDEN = "the URL does not lead to a public address"

LookUp = Callable[[str], Sequence[str]]
"""The addresses of a name; blocks. Raises ``OSError``."""


def look_up(host: str) -> Sequence[str]:
    """As this machine looks names up."""
    found = socket.getaddrinfo(host, None, type=socket.SOCK_STREAM, flags=socket.AI_ADDRCONFIG)
    return list(dict.fromkeys(str(entry[4][0]) for entry in found))


class Fetcher:
    """At most ``most`` bytes, in ``seconds`` from the call to the last byte; on no port but ``ports``.

    ``look_up``, ``allowed`` and ``tls`` are for tests, which have no internet.
    """

    def __init__(
        self,
        most: int,
        *,
        seconds: float = 15.0,
        ports: Collection[int] = (80, 443),
        look_up: LookUp = look_up,
        allowed: Callable[[str], bool] = lambda address: is_public(address) and not is_ours(address),
        tls: Callable[[], ssl.SSLContext] = ssl.create_default_context,
    ) -> None:
        self._most = most
        self._seconds = seconds
        self._ports = ports
        self._look_up = look_up
        self._allowed = allowed
        self._threads = ThreadPoolExecutor(_LOOKUPS, thread_name_prefix="look-up")
        self._make_tls = tls
        self._tls: ssl.SSLContext | None = None

    async def close(self) -> None:
        self._threads.shutdown(wait=False, cancel_futures=True)

    async def fetch(self, address: str) -> bytes:
        """The file there. Raises ``BadUrl``."""
        url = self._checked(address)
        try:
            async with asyncio.timeout(self._seconds):
                return await self._follow(url)
        except TimeoutError:
            raise BadUrl(f"the file was not there within {self._seconds:g} seconds") from None
        except BrokenOff:
            raise BadUrl("the file broke off before its end") from None
        except (NotHttp, OSError, ValueError) as error:
            log.info("a clip cannot be fetched (%s)", type(error).__name__)
            raise BadUrl("the server of this URL cannot be reached, or does not speak HTTP") from None

    async def _follow(self, url: URL) -> bytes:
        for _ in range(MAX_REDIRECTS + 1):
            async with self._connected(url) as exchange:
                status, headers = await exchange.head(url)
                if status not in _REDIRECTS:
                    return await self._read(exchange, status, headers)
            url = self._checked(headers.get("location", [""])[0], url)
        raise BadUrl(f"the URL was redirected more than {MAX_REDIRECTS} times")

    async def _read(self, exchange: Exchange, status: int, headers: Mapping[str, list[str]]) -> bytes:
        if status != 200:
            raise BadUrl(f"the server of this URL answered with status {status}")
        if any(value.strip().lower() != "identity" for value in headers.get("content-encoding", [])):
            raise BadUrl("the server of this URL sends the file compressed, without having been asked to")
        # One that is no number was refused by now.
        if int(headers.get("content-length", ["0"])[0]) > self._most:
            raise self._too_large()
        body = bytearray()
        async with aclosing(exchange.pieces()) as pieces:
            async for piece in pieces:
                body += piece
                if len(body) > self._most:
                    raise self._too_large()
        return bytes(body)

    # ---- connecting

    @asynccontextmanager
    async def _connected(self, url: URL) -> AsyncIterator[Exchange]:
        """With the server of the URL; over with the block, whatever the server still sends."""
        host, port = url.raw_host or "", url.port or 0
        addresses = [host] if _is_address(host) else await self._looked_up(host)
        for address in addresses:
            self._check(address)
        secure = await self._secure() if url.scheme == "https" else None
        reader, writer = await asyncio.open_connection(
            sock=await self._socket(addresses, port),
            ssl=secure,
            server_hostname=None if secure is None else host.rstrip("."),
        )
        try:
            yield Exchange(reader, writer)
        finally:
            writer.transport.abort()

    async def _looked_up(self, host: str) -> Sequence[str]:
        return await asyncio.get_running_loop().run_in_executor(self._threads, self._look_up, host)

    async def _socket(self, addresses: Sequence[str], port: int) -> socket.socket:
        """A socket that is connected to the first of the addresses that takes it. Raises ``OSError``."""
        for address in addresses[:_ADDRESSES]:
            with suppress(OSError):
                async with asyncio.timeout(_PATIENCE):
                    return await self._connect(address, port)
        raise OSError("nobody is there")

    async def _connect(self, address: str, port: int) -> socket.socket:
        # Once more, where nothing comes between this and the connection.
        self._check(address)
        made = socket.socket(socket.AF_INET6 if ":" in address else socket.AF_INET, socket.SOCK_STREAM)
        try:
            made.setblocking(False)
            await asyncio.get_running_loop().sock_connect(made, (address, port))
        except BaseException:
            made.close()
            raise
        return made

    async def _secure(self) -> ssl.SSLContext:
        if self._tls is None:
            # On a thread: it reads the authorities' certificates.
            self._tls = await asyncio.to_thread(self._make_tls)
        return self._tls

    def _check(self, address: str) -> None:
        if not self._allowed(address):
            raise BadUrl(_FORBIDDEN)

    # ---- what a URL may be

    def _too_large(self) -> BadUrl:
        return BadUrl(f"the file is larger than {self._most} bytes")

    def _checked(self, address: str, base: URL | None = None) -> URL:
        """The URL, if nothing in it alone forbids that it is asked for. Raises ``BadUrl``."""
        if not address or len(address) > LONGEST_URL:
            raise BadUrl(f"a URL has from 1 to {LONGEST_URL} characters")
        try:
            url = URL(address) if base is None else base.join(URL(address))
            scheme, host, port = url.scheme, url.host, url.port
        except (ValueError, IndexError):
            # The second is a fault of the parser's: http://x[]@
            raise BadUrl("this is no URL") from None
        if scheme not in {"http", "https"} or not host:
            raise BadUrl("the URL must begin with http:// or https://, and name a host")
        if "@" in url.raw_authority:
            raise BadUrl("the URL may not have a user's name or a password in it")
        if port not in self._ports:
            raise BadUrl(f"the URL may only have these ports: {', '.join(map(str, self._ports)) or 'none'}")
        self._check_number(host)
        return url

    def _check_number(self, host: str) -> None:
        """Of a host that is a number, in whatever form the system takes (``127.1``, ``0x7f000001``, ``2130706433``)."""
        try:
            found = socket.getaddrinfo(host, None, type=socket.SOCK_STREAM, flags=socket.AI_NUMERICHOST)
        except (OSError, ValueError):
            return
        for entry in found:
            self._check(str(entry[4][0]))


def _is_address(host: str) -> bool:
    try:
        ip_address(host)
    except ValueError:
        return False
    return True
