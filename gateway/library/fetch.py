"""A file from an address that a caller has named: from the public internet and from nowhere else.

Names are looked up here and each address they have is checked; the connection is then made to that very address, which
is checked once more where its socket is made. Whatever a name says a moment later, or a redirect, or a number written
in an unusual way, it goes through the same gate. Every fetch has a connector of its own: nothing is kept between two.
"""

from __future__ import annotations

import asyncio
import logging
import socket
from collections.abc import Callable, Collection, Sequence
from concurrent.futures import ThreadPoolExecutor

import aiohttp
from aiohttp.abc import AbstractResolver, ResolveResult
from yarl import URL

from gateway.errors import BadUrl
from gateway.library.addresses import LONGEST_URL, is_public

log = logging.getLogger(__name__)

MAX_REDIRECTS = 3
_REDIRECTS = (301, 302, 303, 307, 308)
_LOOKUPS = 4
"""Names that are looked up at a time. A lookup may take the system half a minute, and cannot be stopped."""
_HEADERS = {"user-agent": "voxwire", "accept": "audio/*, video/*;q=0.5, */*;q=0.1", "accept-encoding": "identity"}
_FORBIDDEN = "the URL does not lead to a public address"

LookUp = Callable[[str], Sequence[str]]
"""The addresses of a name; blocks. Raises ``OSError``."""


def look_up(host: str) -> Sequence[str]:
    """As this machine looks names up."""
    found = socket.getaddrinfo(host, None, type=socket.SOCK_STREAM, flags=socket.AI_ADDRCONFIG)
    return list(dict.fromkeys(str(entry[4][0]) for entry in found))


class Fetcher:
    """At most ``most`` bytes, in ``seconds`` from the call to the last byte; on no port but ``ports``.

    ``look_up`` and ``allowed`` are for tests, which have no internet.
    """

    def __init__(
        self,
        most: int,
        *,
        seconds: float = 15.0,
        ports: Collection[int] = (80, 443),
        look_up: LookUp = look_up,
        allowed: Callable[[str], bool] = is_public,
    ) -> None:
        self._most = most
        self._seconds = seconds
        self._ports = ports
        self._look_up = look_up
        self._allowed = allowed
        self._threads = ThreadPoolExecutor(_LOOKUPS, thread_name_prefix="look-up")

    async def close(self) -> None:
        self._threads.shutdown(wait=False, cancel_futures=True)

    async def fetch(self, address: str) -> bytes:
        """The file there. Raises ``BadUrl``."""
        url = self._checked(address)
        gate = _Gate(self._look_up, self._allowed, self._threads)
        # No connection of an earlier fetch is used, and no name that was looked up before.
        connector = aiohttp.TCPConnector(
            resolver=gate, socket_factory=gate.socket, use_dns_cache=False, force_close=True, limit=1
        )
        try:
            async with (
                asyncio.timeout(self._seconds),
                aiohttp.ClientSession(
                    connector=connector,
                    cookie_jar=aiohttp.DummyCookieJar(),
                    headers=_HEADERS,
                    auto_decompress=False,
                    timeout=aiohttp.ClientTimeout(total=None),
                ) as session,
            ):
                return await self._follow(session, url)
        except TimeoutError:
            raise BadUrl(f"the file was not there within {self._seconds:g} seconds") from None
        except aiohttp.ClientPayloadError:
            raise BadUrl("the file broke off before its end") from None
        except (aiohttp.ClientError, OSError, ValueError) as error:
            if gate.refused:
                raise BadUrl(_FORBIDDEN) from None
            log.info("a clip cannot be fetched (%s)", type(error).__name__)
            raise BadUrl("the server of this URL cannot be reached, or does not speak HTTP") from None

    async def _follow(self, session: aiohttp.ClientSession, url: URL) -> bytes:
        for _ in range(MAX_REDIRECTS + 1):
            async with session.get(url, allow_redirects=False) as response:
                if response.status not in _REDIRECTS:
                    return await self._read(response)
                target = response.headers.get("location", "")
            url = self._checked(target, url)
        raise BadUrl(f"the URL was redirected more than {MAX_REDIRECTS} times")

    async def _read(self, response: aiohttp.ClientResponse) -> bytes:
        if response.status != 200:
            raise BadUrl(f"the server of this URL answered with status {response.status}")
        if response.headers.get("content-encoding", "identity").lower() != "identity":
            raise BadUrl("the server of this URL sends the file compressed, without having been asked to")
        if (response.content_length or 0) > self._most:
            raise self._too_large()
        body = bytearray()
        async for piece in response.content.iter_any():
            body += piece
            if len(body) > self._most:
                raise self._too_large()
        return bytes(body)

    def _too_large(self) -> BadUrl:
        return BadUrl(f"the file is larger than {self._most} bytes")

    def _checked(self, address: str, base: URL | None = None) -> URL:
        """The URL, if nothing in it alone forbids that it is asked for. Raises ``BadUrl``."""
        if not address or len(address) > LONGEST_URL:
            raise BadUrl(f"a URL has from 1 to {LONGEST_URL} characters")
        try:
            url = URL(address) if base is None else base.join(URL(address))
            scheme, host, port = url.scheme, url.host, url.port
        except ValueError:
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
        except (OSError, UnicodeError):
            return
        if not all(self._allowed(str(entry[4][0])) for entry in found):
            raise BadUrl(_FORBIDDEN)


class _Gate(AbstractResolver):
    """Looks names up and makes sockets for one fetch, and lets none through to where it may not go."""

    def __init__(self, look_up: LookUp, allowed: Callable[[str], bool], threads: ThreadPoolExecutor) -> None:
        self.refused = False
        self._look_up = look_up
        self._allowed = allowed
        self._threads = threads

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_UNSPEC
    ) -> list[ResolveResult]:
        found = await asyncio.get_running_loop().run_in_executor(self._threads, self._look_up, host)
        for address in found:
            self._check(address)
        return [
            ResolveResult(
                hostname=host,
                host=address,
                port=port,
                family=socket.AF_INET6 if ":" in address else socket.AF_INET,
                proto=0,
                flags=socket.AI_NUMERICHOST,
            )
            for address in found
        ]

    async def close(self) -> None: ...

    def socket(self, info: tuple[int, int, int, str, tuple[object, ...]]) -> socket.socket:
        """For the address that is about to be connected to."""
        family, kind, protocol, _, address = info
        self._check(str(address[0]))
        return socket.socket(family, kind, protocol)

    def _check(self, address: str) -> None:
        if not self._allowed(address):
            self.refused = True
            raise OSError(_FORBIDDEN)
