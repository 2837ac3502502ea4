"""Twenty malformed and hostile clips and more, and as many URLs: each is refused with a sentence, and nothing of it is
kept, given to an engine, or left running."""

from __future__ import annotations

import asyncio
import base64
import struct
from collections.abc import AsyncIterator, Callable
from functools import cache
from typing import Any

import httpx
import numpy as np
import pytest

from gateway.library.fetch import Fetcher
from tests.support.asking import until
from tests.support.clock_ahead import clock_ahead
from tests.support.engines import Making
from tests.support.processes import children
from tests.support.serving import Served, serving
from tests.support.sound_files import bomb, ffmpeg, made, wav
from tests.support.web_server import (
    Names,
    WebServer,
    answer,
    drip,
    endless,
    redirect,
    silent,
    the_test_server_is_public,
    web_server,
)

CLIP_BYTES = 2_000_000
HTML = b"<!DOCTYPE html><html><body><audio src='clip.mp3'></audio></body></html>"
PLAYLIST = b"#EXTM3U\n#EXT-X-TARGETDURATION:10\n#EXTINF:10,\nhttp://169.254.169.254/latest/meta-data\n#EXT-X-ENDLIST\n"
CONCAT = b"ffconcat version 1.0\nfile '/etc/passwd'\n"


def floats(samples: np.ndarray[Any, Any], rate: int) -> bytes:
    """A wav of floating-point numbers, whatever they are."""
    data = samples.astype("<f4").tobytes()
    form = struct.pack("<HHIIHH", 3, 1, rate, rate * 4, 4, 32)
    body = b"WAVEfmt " + struct.pack("<I", len(form)) + form + b"data" + struct.pack("<I", len(data)) + data
    return b"RIFF" + struct.pack("<I", len(body)) + body


def tone(seconds: float) -> bytes:
    return ffmpeg(
        "-f", "lavfi", "-i", f"sine=d={seconds}", "-ac", "1", "-c:a", "libopus", "-b:a", "8k", "-f", "ogg", "pipe:1"
    )


def video() -> bytes:
    picture = ("-f", "lavfi", "-i", "color=size=32x32:rate=5:duration=2")
    return ffmpeg(*picture, "-c:v", "mpeg4", "-f", "matroska", "pipe:1")


CLIPS = {
    "empty": lambda: b"",
    "one byte": lambda: b"x",
    "too large": lambda: bytes(CLIP_BYTES + 1),
    "a bomb in flac": bomb,
    "a playlist": lambda: PLAYLIST,
    "a list of files": lambda: CONCAT,
    "html": lambda: HTML,
    "a program": lambda: b"\x7fELF\x02\x01\x01" + bytes(5000),
    "an archive": lambda: b"PK\x03\x04" + bytes(5000),
    "a picture": lambda: b"\x89PNG\r\n\x1a\n" + bytes(5000),
    "noise": lambda: np.random.default_rng(1).bytes(100_000),
    "only a video": video,
    "a tenth of a second": lambda: tone(0.1),
    "ten minutes": lambda: tone(600),
    "silence": lambda: wav(bytes(96_000)),
    "a constant": lambda: wav(b"\x00\x40" * 48_000),
    "a click in silence": lambda: wav(bytes(48_000) + b"\xff\x7f" * 100 + bytes(48_000)),
    "no numbers": lambda: floats(np.full(48_000, np.nan), 24_000),
    "no numbers to resample": lambda: floats(np.full(96_000, np.nan), 44_100),
    "endless numbers": lambda: floats(np.full(96_000, np.inf), 44_100),
    "cut off": lambda: wav(bytes(96_000), claims=200_000),
    "a header alone": lambda: wav(b""),
    "broken in the middle": lambda: made("flac")[:20_000] + bytes(500) + made("flac")[20_500:],
}
NOT_BASE64 = {
    "base64 garbage": "this is not base64!",
    "base64 cut off": base64.b64encode(b"RIFF0").decode()[:-3],
    "base64 of another alphabet": "__--" * 20,
    "base64 with text": "data:audio/wav;base64,UklGRg==",
    "base64 with a NUL": "UklG\x00Rg==",
    "base64 too large": "A" * (CLIP_BYTES * 3 // 2 + 4),
}
URLS = {
    "data:": "data:audio/wav;base64,UklGRg==",
    "file:": "file:///etc/passwd",
    "ftp:": "ftp://web.test/clip.wav",
    "gopher:": "gopher://127.0.0.1:6379/_INFO",
    "no URL": "clip.wav",
    "loopback": "http://127.0.0.2/clip.wav",
    "loopback in IPv6": "http://[::1]/clip.wav",
    "loopback mapped": "http://[::ffff:127.0.0.2]/clip.wav",
    "loopback translated": "http://[64:ff9b::7f00:2]/clip.wav",
    "metadata": "http://169.254.169.254/latest/meta-data/",
    "private": "http://192.168.1.1/",
    "decimal": "http://2130706434/clip.wav",
    "octal": "http://0177.0.0.2/clip.wav",
    "hexadecimal": "http://0x7f000002/clip.wav",
    "short": "http://127.2/clip.wav",
    "a name of this machine": "http://inside.test/clip.wav",
    "a name with one private address": "http://both.test/clip.wav",
    "a name that means nothing": "http://nowhere.test/clip.wav",
    "credentials": "http://user:secret@web.test/clip.wav",
    "port 22": "http://web.test:22/",
    "redirect to private": "/inside",
    "redirect to a file": "/file",
    "redirect in a circle": "/circle",
    "slow drip": "/drip",
    "silent": "/silent",
    "endless": "/endless",
    "wrong length": "/short",
    "too large": "/large",
    "html": "/html",
    "playlist": "/playlist",
    "not there": "/nothing",
}
WITHOUT_END = ("slow drip", "silent")
"""Given up for nothing but the time that they take, as much as there is."""
TIME = 30.0


@cache
def clip(kind: str) -> bytes:
    return CLIPS[kind]()


class Door:
    def __init__(self, served: Served, engine: Making, http: httpx.AsyncClient) -> None:
        self.served = served
        self.engine = engine
        self.http = http

    async def refused(self, answer: httpx.Response, *codes: str) -> str:
        """See that it was, and that nothing came of it; what was said."""
        assert answer.status_code == 400, answer.text
        error = answer.json()["error"]
        assert error["code"] in codes
        assert error["retryable"] is False
        assert (await self.http.get("/v1/voices/library")).json() == {"voices": []}
        assert self.engine.clips == []
        assert children() == []
        uploads = self.served.gateway.uploads
        assert (uploads.taken, uploads.waiting) == (0, 0)
        return str(error["message"])


@pytest.fixture
async def put_ahead(monkeypatch: pytest.MonkeyPatch) -> Callable[[float], None]:
    """Puts the clock ahead, for as long as there is a door."""
    return clock_ahead(monkeypatch)


@pytest.fixture
async def door(put_ahead: Callable[[float], None]) -> AsyncIterator[Door]:
    engine = Making()
    async with (
        serving(engines=[engine], voice_clip_bytes=CLIP_BYTES, voice_rate_limit=0) as served,
        httpx.AsyncClient(base_url=served.http, timeout=60.0) as http,
    ):
        yield Door(served, engine, http)


@pytest.fixture
async def web(door: Door) -> AsyncIterator[WebServer]:
    async with web_server() as made:
        names = Names(inside=[["127.0.0.2"]], both=[["127.0.0.1", "10.0.0.1"]])
        fetcher = Fetcher(
            CLIP_BYTES,
            seconds=TIME,
            ports=(80, 443, made.port),
            look_up=names,
            allowed=the_test_server_is_public,
        )
        door.served.gateway.library.clips.fetcher = fetcher
        made.paths |= {
            "/inside": redirect("http://127.0.0.2/"),
            "/file": redirect("file:///etc/passwd"),
            "/circle": redirect("/circle"),
            "/drip": drip,
            "/silent": silent,
            "/endless": endless,
            "/short": answer(wav(bytes(1000)), length=5000),
            "/large": answer(b"RIFF", length=CLIP_BYTES + 1),
            "/html": answer(HTML),
            "/playlist": answer(PLAYLIST),
        }
        yield made


@pytest.mark.parametrize("kind", CLIPS)
async def test_a_clip_that_is_none_is_refused_in_a_form(door: Door, kind: str) -> None:
    answer = await door.http.post("/v1/voices", data={"name": "Anna"}, files={"clip": ("clip.wav", clip(kind))})
    await door.refused(answer, "bad_clip")


@pytest.mark.parametrize("kind", ["empty", "a playlist", "html", "too large", *NOT_BASE64])
async def test_a_clip_that_is_none_is_refused_as_base64(door: Door, kind: str) -> None:
    text = NOT_BASE64[kind] if kind in NOT_BASE64 else base64.b64encode(clip(kind)).decode()
    answer = await door.http.post("/v1/voices", json={"name": "Anna", "clip": {"base64": text}})
    said = await door.refused(answer, "bad_clip")
    assert not text or text[:20] not in said


@pytest.mark.parametrize("kind", URLS)
async def test_a_url_that_may_not_be_fetched_or_has_no_clip_is_refused(
    door: Door, web: WebServer, put_ahead: Callable[[float], None], kind: str
) -> None:
    url = URLS[kind]
    sent = web.url(url) if url.startswith("/") else url
    asking = asyncio.create_task(door.http.post("/v1/voices", json={"name": "Anna", "clip": {"url": sent}}))
    if kind in WITHOUT_END:
        await until(lambda: bool(web.asked))
        put_ahead(TIME)
    answer = await asking
    said = await door.refused(answer, "bad_url", "bad_clip")
    assert "web.test" not in said
    assert "127.0.0" not in said
    # Nothing but what the URL itself names was asked for.
    assert web.asked == ([url] * 4 if kind == "redirect in a circle" else [url] if url.startswith("/") else [])
    await web.quiet()
