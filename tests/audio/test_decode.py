"""Sound from strangers: what is good is decoded, what is not is refused with one clear error, and nothing is left."""

from __future__ import annotations

import asyncio
import socket
import struct
import tracemalloc
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import uvloop

from audio import sandbox
from audio.decode import (
    Busy,
    Damaged,
    Decoded,
    DecodeError,
    DecodeLimits,
    Decoder,
    DecoderMissing,
    NotAudio,
    TimedOut,
    TooLarge,
    TooLong,
    decode,
)
from tests.audio.signals import chirp
from tests.support.processes import children, descriptors
from tests.support.sound_files import KINDS, RATE, SECONDS, bomb, ffmpeg, made, wav

Run = Callable[..., Decoded]
MIB = 1024 * 1024
PRIMED = {"aac": 1024}
"""Samples that a format adds in front, because it cannot say how many there are."""
FRAME = {"aac": 1024, "mp3": 2 * 1152, "amr": 481}
"""Samples with which a format fills up its ends: fewer than these."""


LOOPS = {"asyncio": asyncio.new_event_loop, "uvloop": uvloop.new_event_loop}
both_loops = pytest.mark.parametrize("run", LOOPS, indirect=True)


@pytest.fixture
def run(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Run]:
    """``decode`` on a loop of its own, that leaves no process, descriptor or temporary file behind. A first one has
    made what uvloop keeps for good."""
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    loop = LOOPS[getattr(request, "param", "uvloop")]

    def decoded(data: Any, *, sample_rate: int = RATE, strict: bool = True, **limits: Any) -> Decoded:
        with asyncio.Runner(loop_factory=loop) as runner:
            return runner.run(decode(data, sample_rate=sample_rate, strict=strict, limits=DecodeLimits(**limits)))

    decoded(made("wav"))
    before = descriptors()
    yield decoded
    assert children() == []
    # What others have left behind may be let go meanwhile, so there may be less than before.
    assert descriptors().items() <= before.items()
    assert list(tmp_path.iterdir()) == []


async def pieces(data: bytes, size: int = 1000) -> AsyncIterator[bytes]:
    for start in range(0, len(data), size):
        yield data[start : start + size]


# ---- what is good


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_of_file_is_decoded_to_its_length(run: Run, kind: str) -> None:
    decoded = run(made(kind))
    samples = len(decoded.pcm) // 2 - PRIMED.get(kind, 0)
    assert 0 <= samples - SECONDS * RATE < FRAME.get(kind, 1)
    assert decoded.duration == len(decoded.pcm) / 2 / RATE
    assert np.abs(np.frombuffer(decoded.pcm, "<i2")).max() > 500


@both_loops
@pytest.mark.parametrize("kind", ["wav", "m4a", "opus"])
def test_a_file_that_comes_in_pieces_is_the_same(run: Run, kind: str) -> None:
    assert run(pieces(made(kind))) == run(made(kind))


def test_a_movie_of_old_with_its_index_at_the_end_is_put_in_order(run: Run) -> None:
    data = made("m4a")
    index = data.rindex(b"moov") - 4
    # Farther behind the sound than ffmpeg remembers.
    data = data[:index] + struct.pack(">I4s", 1 << 20, b"free") + bytes((1 << 20) - 8) + data[index:]
    assert data[4:8] == b"ftyp"
    assert run(data[:4] + b"free" + data[8:]) == run(data)


def test_plain_samples_come_back_as_they_were(run: Run) -> None:
    pcm = chirp(RATE, RATE).tobytes()
    assert run(wav(pcm)).pcm == pcm


@pytest.mark.parametrize("claims", [0xFFFFFFFF, 0x7FFFFFFF, 0])
def test_a_wav_that_was_streamed_ends_where_its_data_ends(run: Run, claims: int) -> None:
    pcm = chirp(RATE, RATE).tobytes()
    assert run(wav(pcm, claims=claims)).pcm == pcm


@pytest.mark.parametrize("rate", [8000, 16000, 44100])
def test_it_comes_at_the_rate_that_was_asked_for(run: Run, rate: int) -> None:
    decoded = run(made("flac"), sample_rate=rate)
    assert (decoded.sample_rate, len(decoded.pcm) // 2) == (rate, round(SECONDS * rate))


def test_many_channels_become_one(run: Run) -> None:
    left = ("-f", "lavfi", "-i", "aevalsrc=0.5*sin(2000*t)|0:s=24000:d=1")
    wave = np.frombuffer(run(ffmpeg(*left, "-f", "wav", "pipe:1")).pcm, "<i2")
    assert (len(wave), np.abs(wave).max()) == (RATE, pytest.approx(8192, abs=10))


def test_a_picture_in_the_file_does_not_matter(run: Run, tmp_path: Path) -> None:
    picture = ("-f", "lavfi", "-i", "color=red:s=64x64:d=0.04:r=25")
    cover = ("-map", "0", "-map", "1", "-c:a", "copy", "-c:v", "mjpeg", "-disposition:v:0", "attached_pic")
    for kind, muxer in (("mp3", "mp3"), ("flac", "flac")):
        # A FLAC's picture is written at its end, in front.
        path = tmp_path / "cover"
        ffmpeg("-i", "pipe:0", *picture, *cover, "-f", muxer, str(path), data=made(kind))
        assert run(path.read_bytes()).duration == pytest.approx(SECONDS, abs=0.05)
        path.unlink()


def test_a_rate_that_is_none_is_the_callers_fault(run: Run) -> None:
    with pytest.raises(ValueError, match="no sample rate"):
        run(made("wav"), sample_rate=0)


# ---- what is not


def refused(run: Run, kind: type[DecodeError], data: Any, **options: Any) -> None:
    with pytest.raises(kind) as caught:
        run(data, **options)
    # Nothing of the machine, and no message of ffmpeg's.
    assert "/" not in str(caught.value)
    assert "@ 0x" not in str(caught.value)


RANDOM = np.random.default_rng(1).bytes(100_000)


@both_loops
@pytest.mark.parametrize(
    "data",
    [b"", b"\0", b"RIFF", bytes(200_000), RANDOM, b"PK\x03\x04" + RANDOM, b"\x7fELF" + RANDOM, b"<html></html>"],
    ids=["nothing", "byte", "magic", "zeros", "random", "zip", "program", "html"],
)
def test_what_is_no_sound_is_refused(run: Run, data: bytes) -> None:
    refused(run, NotAudio, data)


def test_a_picture_is_no_sound(run: Run) -> None:
    picture = ("-f", "lavfi", "-i", "color=red:s=64x64", "-frames:v", "1")
    for muxer in ("mjpeg", "apng", "matroska"):
        refused(run, NotAudio, ffmpeg(*picture, "-f", muxer, "pipe:1"))


@pytest.mark.parametrize("kind", ["wav", "rf64", "w64", "aiff", "au", "flac", "m4a", "faststart", "amr"])
def test_a_file_that_was_cut_off_is_refused(run: Run, kind: str) -> None:
    data = rf64() if kind == "rf64" else made(kind)
    # A whole number of samples: nothing but the length tells.
    refused(run, NotAudio, data[: len(data) * 6 // 10 // 8 * 8])


def rf64() -> bytes:
    """The wav with lengths of 64 bits."""
    data = made("wav")
    lengths = struct.pack("<4sIQQQI", b"ds64", 28, len(data) + 36 - 8, len(data) - data.index(b"data") - 8, 0, 0)
    return b"RF64\xff\xff\xff\xffWAVE" + lengths + data[12:]


@pytest.mark.parametrize("kind", ["wav", "au"])
def test_a_file_that_was_written_as_a_stream_does_not_say_how_long_it_is(run: Run, kind: str) -> None:
    source = ("-f", "s16le", "-ar", str(RATE), "-ac", "1", "-i", "pipe:0")
    streamed = ffmpeg(*source, "-f", kind, "pipe:1", data=bytes(RATE))
    assert run(streamed).duration == 0.5


@pytest.mark.parametrize("kind", [kind for kind in KINDS if kind != "m4a"])
def test_of_a_file_that_was_cut_off_what_is_there_can_be_had(run: Run, kind: str) -> None:
    """And in the kinds that may end anywhere, it cannot be told from a shorter file."""
    data = made(kind)
    cut = np.frombuffer(run(data[: len(data) * 7 // 10], strict=False).pcm, "<i2")
    whole = np.frombuffer(run(data).pcm, "<i2")
    assert 0.4 * len(whole) < len(cut) < 0.8 * len(whole)
    # A codec's last frames lean on the ones that are missing.
    same = len(cut) - 2500
    assert np.array_equal(cut[:same], whole[:same])


@pytest.mark.parametrize("kind", KINDS)
def test_a_file_that_ends_in_its_header_is_refused(run: Run, kind: str) -> None:
    refused(run, NotAudio, made(kind)[:16])


@pytest.mark.parametrize("kind", ["flac", "aac", "amr", "m4a"])
def test_damage_in_the_middle_is_refused_or_decoded_as_asked(run: Run, kind: str) -> None:
    data = bytearray(made(kind))
    middle = len(data) // 2
    data[middle : middle + 400] = RANDOM[:400]
    refused(run, Damaged, bytes(data))
    assert run(bytes(data), strict=False).duration == pytest.approx(SECONDS, abs=0.5)


def test_a_header_that_claims_more_than_there_is_gets_no_memory_for_it(run: Run) -> None:
    refused(run, Damaged, wav(bytes(2000), claims=1_900_000_000), memory_bytes=256 * MIB)
    # A FLAC whose blocks have 65535 samples, 8 channels and 32 bits, by its own account, and are not there.
    info = bytes.fromhex("ffffffff ffffff ffffff") + bytes.fromhex("0bb80ff0") + b"\xff" * 4 + bytes(16)
    refused(run, NotAudio, b"fLaC\x80\x00\x00\x22" + info + RANDOM[:5000], memory_bytes=256 * MIB)
    # An ID3 tag of 256 MiB, and an MP4 box of 2 GiB.
    refused(run, NotAudio, b"ID3\x04\x00\x00\x7f\x7f\x7f\x7f" + RANDOM, memory_bytes=256 * MIB)
    refused(run, NotAudio, made("m4a")[:32] + b"\x7f\xff\xff\xffmoov" + made("m4a")[40:])


@both_loops
def test_a_small_file_that_expands_ten_thousand_times_is_refused_at_the_limit(run: Run) -> None:
    assert 10_000 * len(bomb()) < 600 * 48000 * 8 * 2
    refused(run, TooLong, bomb(), seconds=5.0, memory_bytes=256 * MIB)


# ---- bounds


@both_loops
def test_a_file_that_is_too_large_is_refused_before_anything_is_started(
    run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    def start() -> str:
        raise AssertionError("something is started")

    monkeypatch.setattr(sandbox, "executable", start)
    refused(run, TooLarge, bytes(11), input_bytes=10)


@both_loops
@pytest.mark.parametrize("head", [b"", wav(b"", claims=0xFFFFFFFF), made("m4a")[:32]], ids=["zeros", "wav", "mp4"])
def test_a_gigabyte_of_zeros_is_refused_at_the_limit(run: Run, head: bytes) -> None:
    given = 0

    async def zeros() -> AsyncIterator[bytes]:
        nonlocal given
        yield head
        for _ in range(1024):
            given += MIB
            yield bytes(MIB)

    # Zeros that nothing announces are given up before the limit.
    refused(run, TooLarge if head else DecodeError, zeros(), input_bytes=4 * MIB, seconds=10_000.0)
    assert given <= 5 * MIB


def test_sound_of_exactly_the_limit_passes_and_a_sample_more_does_not(run: Run) -> None:
    pcm = chirp(RATE, RATE + 1).tobytes()
    assert len(run(wav(pcm[:-2]), seconds=1.0).pcm) == len(pcm) - 2
    refused(run, TooLong, wav(pcm), seconds=1.0)


@both_loops
def test_who_sends_nothing_is_not_waited_for(run: Run) -> None:
    async def never() -> AsyncIterator[bytes]:
        yield made("wav")[:1000]
        await asyncio.Event().wait()

    refused(run, TimedOut, never(), wall_seconds=0.2)


@both_loops
def test_computing_time_is_bounded(run: Run) -> None:
    async def endless() -> AsyncIterator[bytes]:
        # However fast the machine is, this is not decoded before the limit.
        yield wav(b"", claims=0xFFFFFFFF)
        while True:
            yield bytes(MIB)

    most = {"input_bytes": 2**40, "seconds": 1e6, "wall_seconds": 100.0}
    with pytest.raises(TimedOut, match="more than 1 seconds of computing time"):
        run(endless(), sample_rate=8000, cpu_seconds=1, **most)


def test_memory_is_bounded(run: Run) -> None:
    # Between what it starts with, below which it ends as a program does that cannot run, and what its threads take.
    refused(run, NotAudio, made("flac"), memory_bytes=200 * MIB)


@both_loops
def test_what_the_source_of_the_file_raises_is_raised(run: Run) -> None:
    async def broken() -> AsyncIterator[bytes]:
        yield made("wav")[:1000]
        raise ConnectionResetError("the uploader has gone")

    with pytest.raises(ConnectionResetError, match="gone"):
        run(broken())


@pytest.mark.parametrize("head", [b"no sound", made("m4a")[:32], wav(b"", claims=0xFFFFFFFF)], ids=["", "mp4", "wav"])
async def test_the_source_of_a_file_that_is_refused_is_closed(head: bytes) -> None:
    closed = False

    async def endless() -> AsyncIterator[bytes]:
        nonlocal closed
        try:
            yield head
            while True:
                yield bytes(MIB)
        finally:
            await asyncio.sleep(0)
            closed = True

    with pytest.raises(DecodeError):
        await decode(endless(), sample_rate=RATE, limits=DecodeLimits(input_bytes=30 * MIB, seconds=1.0))
    assert closed


def test_a_file_in_the_smallest_pieces_takes_no_more_memory(run: Run) -> None:
    data = made("m4a")[:32] + bytes(400_000)
    tracemalloc.start()
    try:
        refused(run, NotAudio, pieces(data, 2))
        assert tracemalloc.get_traced_memory()[1] < 6 * len(data)
    finally:
        tracemalloc.stop()


def test_a_timeout_of_the_callers_own_is_not_taken_for_ours(run: Run) -> None:
    async def broken() -> AsyncIterator[bytes]:
        yield b""
        raise TimeoutError("the uploader is slow")

    with pytest.raises(TimeoutError, match="uploader"):
        run(broken())


async def test_a_cancelled_decode_leaves_nothing() -> None:
    reached = asyncio.Event()

    async def never() -> AsyncIterator[bytes]:
        # More than fits into a pipe: it runs, and has begun to read.
        yield wav(bytes(1_000_000))
        reached.set()
        await asyncio.Event().wait()

    task = asyncio.create_task(decode(never(), sample_rate=RATE))
    await reached.wait()
    assert len(children()) == 1
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert children() == []


@both_loops
def test_without_ffmpeg_it_says_so(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sandbox, "executable", lambda: "/nowhere/ffmpeg")
    refused(run, DecoderMissing, made("wav"))


def put(monkeypatch: pytest.MonkeyPatch, folder: Path, script: str) -> None:
    """A shell script in ffmpeg's place."""
    path = folder / "ffmpeg"
    path.write_text(f"#!/bin/sh\n{script}\n")
    path.chmod(0o700)
    monkeypatch.setattr(sandbox, "executable", lambda: str(path))
    # A shell keeps its script open under a higher number.
    monkeypatch.setattr(sandbox, "_DESCRIPTORS", 64)


async def test_an_ffmpeg_that_cannot_run_is_missing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    put(monkeypatch, tmp_path, "exit 127")
    with pytest.raises(DecoderMissing):
        await decode(made("wav"), sample_rate=RATE)


async def test_a_fault_in_ffmpeg_is_no_sound_and_is_told_the_operator(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    put(monkeypatch, tmp_path, "read line; kill -SEGV $$")
    with pytest.raises(NotAudio):
        await decode(b"anything\n", sample_rate=RATE)
    assert [record.levelname for record in caplog.records if "-11" in record.message] == ["WARNING"]


# ---- many at once


async def test_a_decoder_has_so_many_at_once_and_so_many_waiting() -> None:
    decoder = Decoder(2, 1)
    go, full, begun = asyncio.Event(), asyncio.Event(), list[str]()

    async def sound(name: str) -> AsyncIterator[bytes]:
        begun.append(name)
        if len(begun) == 2:
            full.set()
        await go.wait()
        yield made("wav")

    async with asyncio.TaskGroup() as group:
        for name in "abc":
            group.create_task(decoder.decode(sound(name), sample_rate=RATE))
        await full.wait()
        with pytest.raises(Busy, match="too many"):
            await decoder.decode(sound("d"), sample_rate=RATE)
        # Which of the two has its process first is for the machine to say.
        assert sorted(begun) == ["a", "b"]
        go.set()
    assert begun[2:] == ["c"]


async def test_who_waits_for_a_decoder_and_goes_leaves_the_place_to_others() -> None:
    decoder = Decoder(1, 1, DecodeLimits(seconds=3.0))
    hold = asyncio.Event()

    async def held() -> AsyncIterator[bytes]:
        await hold.wait()
        yield made("wav")

    first, second = (asyncio.create_task(decoder.decode(held(), sample_rate=RATE)) for _ in range(2))
    await asyncio.sleep(0)
    second.cancel()
    await asyncio.wait([second])
    third = asyncio.create_task(decoder.decode(made("wav"), sample_rate=RATE))
    hold.set()
    assert await first == await third
    with pytest.raises(TooLong):
        await decoder.decode(wav(bytes(8 * RATE)), sample_rate=RATE)


# ---- files that name other files


@pytest.fixture
def secret(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A sound that nobody has asked for."""
    path = tmp_path_factory.mktemp("secret") / "secret.wav"
    path.write_bytes(made("wav"))
    return path


@pytest.fixture
def port() -> Iterator[int]:
    """Of a server that nobody may call."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.setblocking(False)
        yield server.getsockname()[1]
        with pytest.raises(BlockingIOError):
            server.accept()


def playlists(target: str) -> dict[str, bytes]:
    hls = f"#EXTM3U\n#EXT-X-VERSION:3\n#EXT-X-TARGETDURATION:9\n#EXTINF:2.0,\n{target}\n#EXT-X-ENDLIST\n"
    key = f'#EXTM3U\n#EXT-X-TARGETDURATION:9\n#EXT-X-KEY:METHOD=AES-128,URI="{target}"\n#EXTINF:2.0,\ndata:,a\n'
    dash = (
        '<?xml version="1.0"?><MPD xmlns="urn:mpeg:dash:schema:mpd:2011" type="static" profiles="isoff-on-demand">'
        '<Period><AdaptationSet mimeType="audio/mp4"><Representation id="a" bandwidth="1">'
        f"<BaseURL>{target}</BaseURL></Representation></AdaptationSet></Period></MPD>"
    )
    tag = b"ID3\x04\x00\x00\x00\x00\x00\x0a" + bytes(10)
    return {
        "hls": hls.encode(),
        "key": key.encode(),
        "variant": f"#EXTM3U\n#EXT-X-STREAM-INF:BANDWIDTH=1\n{target}\n".encode(),
        "concat": f"ffconcat version 1.0\nfile '{target}'\n".encode(),
        "dash": dash.encode(),
        "sdp": b"v=0\no=- 0 0 IN IP4 127.0.0.1\ns=x\nc=IN IP4 127.0.0.1\nt=0 0\nm=audio 4000 RTP/AVP 0\n",
        "tagged": tag + hls.encode(),
        "zipped": b"PK\x03\x04" + bytes(26) + hls.encode(),
        "drm": b"[playlist]\nFile1=" + target.encode() + b"\nNumberOfEntries=1\n",
    }


NAMES = tuple(playlists(""))


@pytest.mark.parametrize("name", NAMES)
def test_a_file_that_names_a_local_file_gets_nothing_of_it(run: Run, name: str, secret: Path) -> None:
    for target in (str(secret), f"file://{secret}", f"concat:{secret}", f"subfile,,start,0,end,0,,:{secret}"):
        refused(run, NotAudio, playlists(target)[name])


@pytest.mark.parametrize("name", NAMES)
def test_a_file_that_names_an_address_calls_nobody(run: Run, name: str, port: int) -> None:
    for scheme in ("http", "tcp", "rtmp"):
        refused(run, NotAudio, playlists(f"{scheme}://127.0.0.1:{port}/secret.wav")[name], strict=False)


def test_a_playlist_works_where_nothing_forbids_it(secret: Path) -> None:
    output = ("-f", "s16le", "-ar", str(RATE), "pipe:1")
    allowed = ("-protocol_whitelist", "pipe,file", "-allowed_extensions", "ALL", "-extension_picky", "0")
    assert ffmpeg(*allowed, "-f", "hls", "-i", "pipe:0", *output, data=playlists(f"file://{secret}")["hls"])


def test_a_sound_that_is_also_a_playlist_is_a_sound(run: Run, secret: Path) -> None:
    pcm = bytes(2000)
    assert run(wav(pcm) + playlists(str(secret))["hls"], strict=False).pcm == pcm


def test_an_mp4_that_refers_to_another_file_gets_nothing_of_it(run: Run, secret: Path) -> None:
    # Without the flag that says "in this file", the sound is in the one that is named.
    data = made("faststart")
    here = data.index(b"url \x00\x00\x00\x01") + 7
    elsewhere = data[:here] + b"\x00" + data[here + 1 :]
    try:
        pcm = run(elsewhere, strict=False).pcm
    except NotAudio:
        return
    assert pcm == run(data).pcm
