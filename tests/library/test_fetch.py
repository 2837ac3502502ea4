"""Files are fetched from the public internet, within bounds, and from nowhere else."""

from __future__ import annotations

import asyncio
import gzip
import ssl
import threading
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import pytest

from gateway.errors import BadUrl
from gateway.library import fetch as module
from gateway.library.addresses import LONGEST_URL
from gateway.library.fetch import MAX_REDIRECTS, Fetcher
from tests.support.clock_ahead import clock_ahead
from tests.support.web_server import (
    CERTIFICATE,
    HOST,
    Names,
    WebServer,
    answer,
    drip,
    endless,
    endless_head,
    over_and_over,
    raw,
    redirect,
    silent,
    the_test_server_is_public,
    web_server,
)

MOST = 100_000
BODY = bytes(range(256)) * 100


@pytest.fixture
async def web() -> AsyncIterator[WebServer]:
    async with web_server() as made:
        made.paths["/clip.wav"] = answer(BODY)
        yield made


@asynccontextmanager
async def fetching(web: WebServer, **options: Any) -> AsyncIterator[Fetcher]:
    options = {"look_up": Names(), "allowed": the_test_server_is_public, "ports": (80, 443, web.port)} | options
    fetcher = Fetcher(MOST, **options)
    try:
        yield fetcher
    finally:
        await fetcher.close()
        await web.quiet()


async def refused(fetcher: Fetcher, url: str) -> str:
    with pytest.raises(BadUrl) as error:
        await fetcher.fetch(url)
    assert error.value.__cause__ is None
    return error.value.message


async def test_a_file_is_fetched_as_it_is(web: WebServer) -> None:
    async with fetching(web) as fetcher:
        assert await fetcher.fetch(web.url("/clip.wav")) == BODY
    assert f"host: {HOST}:{web.port}" in web.heads[0].lower()
    assert not any(word in web.heads[0].lower() for word in ("cookie", "authorization", "referer"))


async def test_redirects_are_followed_a_few_times(web: WebServer) -> None:
    web.paths["/0"] = redirect("1", "301 Moved Permanently")
    web.paths["/1"] = redirect("/2", "307 Temporary Redirect")
    web.paths["/2"] = redirect(web.url("/clip.wav"), "308 Permanent Redirect")
    async with fetching(web) as fetcher:
        assert await fetcher.fetch(web.url("/0")) == BODY
        web.paths["/before"] = redirect("/0")
        assert f"more than {MAX_REDIRECTS}" in await refused(fetcher, web.url("/before"))


@pytest.mark.parametrize(
    "target",
    ["http://127.0.0.2/", "http://10.0.0.1/", "http://inside.test/", "http://[::1]/", "http://169.254.169.254/latest"],
)
async def test_a_redirect_to_a_private_address_is_not_followed(web: WebServer, target: str) -> None:
    web.paths["/away"] = redirect(target)
    async with fetching(web, look_up=Names(inside=[["10.1.2.3"]])) as fetcher:
        assert "public address" in await refused(fetcher, web.url("/away"))


@pytest.mark.parametrize(
    "target", ["file:///etc/passwd", "ftp://web.test/a", "gopher://web.test/", "http://a:b@web.test/", ""]
)
async def test_a_redirect_is_held_to_what_a_url_is(web: WebServer, target: str) -> None:
    web.paths["/away"] = redirect(target)
    async with fetching(web) as fetcher:
        await refused(fetcher, web.url("/away"))
    assert web.asked == ["/away"]


@pytest.mark.parametrize(
    "meaning",
    [["127.0.0.2"], ["127.0.0.1", "10.0.0.1"], ["::1"], ["::ffff:127.0.0.1"], ["64:ff9b::a00:1"], ["not an address"]],
    ids=str,
)
async def test_a_name_that_has_a_private_address_is_not_asked(web: WebServer, meaning: list[str]) -> None:
    async with fetching(web, look_up=Names(inside=[meaning])) as fetcher:
        assert "public address" in await refused(fetcher, web.url("/clip.wav", "inside.test"))
    assert web.asked == []


async def test_a_name_that_changes_its_meaning_is_connected_to_where_it_was_checked(web: WebServer) -> None:
    names = Names(turning=[["127.0.0.1"], ["127.0.0.2"]])
    async with fetching(web, look_up=names) as fetcher:
        assert await fetcher.fetch(web.url("/clip.wav", "turning.test")) == BODY
        assert names.looked_up == ["turning.test"]
        # The next fetch looks the name up again, and keeps no connection either.
        assert "public address" in await refused(fetcher, web.url("/clip.wav", "turning.test"))


async def test_a_name_that_changes_its_meaning_between_two_redirects_is_checked_again(web: WebServer) -> None:
    names = Names(turning=[["127.0.0.1"], ["10.0.0.1"]])
    web.paths["/again"] = redirect(web.url("/clip.wav", "turning.test"))
    async with fetching(web, look_up=names) as fetcher:
        assert "public address" in await refused(fetcher, web.url("/again", "turning.test"))
    assert web.asked == ["/again"]


async def test_an_address_is_checked_where_the_socket_is_made_too(web: WebServer) -> None:
    asked: list[str] = []

    def twice(address: str) -> bool:
        """The first question is the look-up's; the second comes before the connection."""
        asked.append(address)
        return len(asked) == 1

    async with fetching(web, allowed=twice) as fetcher:
        assert "public address" in await refused(fetcher, web.url("/clip.wav"))
    assert asked == ["127.0.0.1", "127.0.0.1"]
    assert web.asked == []


@pytest.mark.parametrize(
    "url",
    [
        "http://127.0.0.1/a",
        "http://127.1/a",
        "http://2130706433/a",
        "http://0x7f000001/a",
        "http://0x7f.1/a",
        "http://0177.0.0.1/a",
        "http://017700000001/a",
        "http://\u2460\u2461\u2466.0.0.1/a",
        "http://\uff11\uff12\uff17.0.0.1/a",
        "http://[::1]/a",
        "http://[::ffff:127.0.0.1]/a",
        "http://[64:ff9b::7f00:1]/a",
        "http://[2002:7f00:1::]/a",
        "http://[fe80::1%25eth0]/a",
        "http://169.254.169.254/latest/meta-data",
        "http://localhost/a",
        "http://localhost./a",
        "http://\u24db\u24de\u24d2\u24d0\u24db\u24d7\u24de\u24e2\u24e3/a",
    ],
)
async def test_no_way_of_writing_an_address_of_this_machine_leads_to_it(url: str) -> None:
    fetcher = Fetcher(MOST, ports=(80,))
    await refused(fetcher, url)
    await fetcher.close()


@pytest.mark.parametrize(
    ("url", "why"),
    [
        ("", "characters"),
        ("x" * (LONGEST_URL + 1), "characters"),
        ("no url", "http://"),
        ("//web.test/a", "http://"),
        ("http:///a", "http://"),
        ("http://", "http://"),
        ("http://[::1/a", "no URL"),
        ("http://x[]@", "no URL"),
        ("data:audio/wav;base64,UklGRg==", "http://"),
        ("file:///etc/passwd", "http://"),
        ("ftp://web.test/a", "http://"),
        ("http://user:password@web.test/a", "password"),
        ("http://user@web.test/a", "password"),
        ("http://:password@web.test/a", "password"),
        ("http://web.test:22/a", "ports: 80, 443"),
        ("https://web.test:8443/a", "ports: 80, 443"),
        ("http://web.test:0/a", "ports: 80, 443"),
        ("http://web.test:99999/a", "no URL"),
    ],
)
async def test_what_a_url_may_be_is_said_where_it_is_something_else(url: str, why: str) -> None:
    fetcher = Fetcher(MOST, look_up=Names(), allowed=the_test_server_is_public)
    assert why in await refused(fetcher, url)
    await fetcher.close()


async def test_without_a_port_nothing_is_fetched() -> None:
    fetcher = Fetcher(MOST, ports=())
    assert "ports: none" in await refused(fetcher, "http://web.test/a")
    await fetcher.close()


CHUNKED = b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n"
MISBEHAVING = {
    "slow drip": (drip, "within 0.5 seconds"),
    "says nothing": (silent, "within 0.5 seconds"),
    "endless": (endless, f"larger than {MOST} bytes"),
    "too long by its own word": (answer(b"x", length=MOST + 1), f"larger than {MOST} bytes"),
    "too long": (answer(bytes(MOST + 1)), f"larger than {MOST} bytes"),
    "less than it says": (answer(b"x" * 10, length=20), "broke off"),
    "compressed": (answer(gzip.compress(bytes(1000)), content_encoding="gzip"), "compressed"),
    "a part": (answer(b"x", status="206 Partial Content"), "status 206"),
    "not there": (answer(status="404 Not Found"), "status 404"),
    "redirect to nowhere": (redirect(""), "characters"),
    "no HTTP": (raw(b"SSH-2.0-OpenSSH_9.2\r\n"), "cannot be reached"),
    "hangs up": (raw(b""), "cannot be reached"),
    "endless head": (endless_head, "cannot be reached"),
    "long line": (raw(b"HTTP/1.1 200 OK\r\nx: " + b"x" * 100_000 + b"\r\n\r\n"), "cannot be reached"),
    "interim answers for ever": (over_and_over(b"", b"HTTP/1.1 100 Continue\r\n\r\n"), "does not speak HTTP"),
    "chunks of a byte": (over_and_over(CHUNKED, b"1\r\nx\r\n"), "does not speak HTTP"),
    "a chunk's mark for ever": (over_and_over(CHUNKED + b"1;", b"x" * 1000), "does not speak HTTP"),
    "trailers for ever": (over_and_over(CHUNKED + b"0\r\n", b"x: y\r\n"), "does not speak HTTP"),
    "redirect to what no parser takes": (redirect("http://x[]@"), "no URL"),
    "two compressions": (
        raw(b"HTTP/1.1 200 OK\r\ncontent-encoding: identity\r\ncontent-encoding: gzip\r\ncontent-length: 1\r\n\r\nx"),
        "compressed",
    ),
    "bad chunks": (raw(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\nzz\r\n"), "cannot be reached"),
}


@pytest.mark.parametrize("kind", MISBEHAVING)
async def test_a_server_that_misbehaves_is_given_up(web: WebServer, kind: str) -> None:
    web.paths["/clip.wav"], why = MISBEHAVING[kind]
    # The others are given up for what they send, however long a busy machine takes to read it.
    seconds = 0.5 if why.startswith("within") else 60.0
    async with fetching(web, seconds=seconds) as fetcher:
        assert why in await refused(fetcher, web.url("/clip.wav"))


async def test_a_file_of_exactly_the_limit_is_taken(web: WebServer) -> None:
    web.paths["/clip.wav"] = answer(bytes(MOST))
    async with fetching(web) as fetcher:
        assert len(await fetcher.fetch(web.url("/clip.wav"))) == MOST


async def test_a_look_up_that_hangs_keeps_nobody_waiting_beyond_the_time_limit(web: WebServer) -> None:
    hang = threading.Event()

    def hanging(host: str) -> list[str]:
        hang.wait(20.0)
        return ["127.0.0.1"]

    async with fetching(web, look_up=hanging, seconds=0.2) as fetcher:
        assert "within 0.2 seconds" in await refused(fetcher, web.url("/clip.wav"))
        hang.set()


async def test_look_ups_that_were_given_up_leave_room_for_others(web: WebServer) -> None:
    hang = threading.Event()

    def look_up(host: str) -> list[str]:
        if host == "hanging.test":
            hang.wait(60.0)
        return ["127.0.0.1"]

    async with fetching(web, look_up=look_up) as fetcher:
        fetcher._seconds = 0.05
        for _ in range(12):
            await refused(fetcher, web.url("/clip.wav", "hanging.test"))
        fetcher._seconds = 60.0
        assert await fetcher.fetch(web.url("/clip.wav")) == BODY
        hang.set()


async def test_a_fetch_that_is_cancelled_leaves_no_connection(web: WebServer) -> None:
    begun = asyncio.Event()

    def marked(behave: Callable[..., Any]) -> Callable[..., Any]:
        async def run(*streams: Any) -> None:
            begun.set()
            await behave(*streams)

        return run

    web.paths["/clip.wav"] = marked(drip)
    async with fetching(web) as fetcher:
        task = asyncio.create_task(fetcher.fetch(web.url("/clip.wav")))
        await begun.wait()
        task.cancel()
        await asyncio.wait([task])
        await web.quiet()


async def test_a_public_address_of_this_machine_is_not_asked(web: WebServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "is_public", lambda address: True)
    fetcher = Fetcher(MOST, ports=(web.port,), look_up=Names())
    for url in (web.url("/clip.wav"), web.url("/clip.wav", "127.0.0.1")):
        assert "public address" in await refused(fetcher, url)
    assert web.asked == []
    await fetcher.close()


async def test_names_are_looked_up_as_this_machine_does() -> None:
    fetcher = Fetcher(MOST)
    assert "public address" in await refused(fetcher, "http://localhost/")
    await fetcher.close()


# ---- over TLS


@pytest.fixture
async def safe() -> AsyncIterator[WebServer]:
    async with web_server(tls=True) as made:
        made.paths["/clip.wav"] = answer(BODY)
        yield made


def trusting() -> ssl.SSLContext:
    return ssl.create_default_context(cafile=str(CERTIFICATE))


async def test_a_file_is_fetched_over_tls(safe: WebServer) -> None:
    async with fetching(safe, tls=trusting) as fetcher:
        assert await fetcher.fetch(safe.url("/clip.wav")) == BODY


async def test_a_server_for_which_nobody_vouches_is_not_asked(safe: WebServer) -> None:
    async with fetching(safe) as fetcher:
        await refused(fetcher, safe.url("/clip.wav"))
    assert safe.asked == []


async def test_a_server_that_has_the_certificate_of_another_is_not_asked(safe: WebServer) -> None:
    async with fetching(safe, look_up=Names(other=[["127.0.0.1"]]), tls=trusting) as fetcher:
        await refused(fetcher, safe.url("/clip.wav", "other.test"))
    assert safe.asked == []


async def test_a_handshake_that_hangs_is_given_up_with_its_connection(monkeypatch: pytest.MonkeyPatch) -> None:
    put_ahead = clock_ahead(monkeypatch)
    came, gone = asyncio.Event(), asyncio.Event()

    async def deaf(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        came.set()
        while await reader.read(1000):
            pass
        gone.set()
        writer.close()

    server = await asyncio.start_server(deaf, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    fetcher = Fetcher(MOST, seconds=30.0, look_up=Names(), allowed=the_test_server_is_public, ports=(port,))
    fetching = asyncio.create_task(refused(fetcher, f"https://web.test:{port}/"))
    await came.wait()
    put_ahead(30.0)
    assert "within 30 seconds" in await fetching
    await gone.wait()
    await fetcher.close()
    server.close()


# ---- what goes out


@pytest.mark.parametrize(
    "path", ["/a\r\nX-More: 1", "/a b", "/\u2028", "/a%0d%0aX-More:1", "/a?b=\r\nX-More: 1", "/\x00"]
)
async def test_nothing_in_a_url_adds_a_header(web: WebServer, path: str) -> None:
    async with fetching(web) as fetcher:
        await refused(fetcher, web.url(path))
    (head,) = web.heads
    assert [line.partition(":")[0].lower() for line in head.split("\r\n")[1:-2]] == [
        "host",
        "user-agent",
        "accept",
        "accept-encoding",
        "connection",
    ]


async def test_the_environment_names_no_proxy(web: WebServer, monkeypatch: pytest.MonkeyPatch) -> None:
    async with web_server() as proxy:
        for name in ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"):
            monkeypatch.setenv(name, proxy.url("", "127.0.0.1"))
        async with fetching(web) as fetcher:
            assert await fetcher.fetch(web.url("/clip.wav")) == BODY
        assert proxy.heads == []


async def test_where_the_first_address_takes_no_connection_the_next_is_asked(web: WebServer) -> None:
    names = Names(several=[["::ffff:127.0.0.9", "127.0.0.9", "127.0.0.1"]])

    def ours(address: str) -> bool:
        return True

    async with fetching(web, look_up=names, allowed=ours) as fetcher:
        assert await fetcher.fetch(web.url("/clip.wav", "several.test")) == BODY
