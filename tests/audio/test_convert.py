"""Recordings as files of every kind, judged by ffmpeg."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator
from pathlib import Path

import numpy as np
import pytest

from audio import sandbox
from audio.convert import CONTAINERS, Container, ConvertError, ConvertLimits, Sound, UnknownContainer, convert, find
from tests.audio.signals import chirp, rms
from tests.support.processes import children, descriptors
from tests.support.sound_files import ffmpeg

RATE = 24000
PCM = chirp(RATE, 2 * RATE + 123)
LIMITS = ConvertLimits()
EXACT = {"flac", "oga", "ogg", "webm", "mka", "caf", "au", "aiff"}
LOSSLESS = {"flac", "oga", "mka", "caf", "au", "aiff", "w64"}
FRONT = {"aac": 1024, "wma": 2048, "amr": 120}
"""Most samples in front of the sound, in formats that cannot say how many there are."""


@pytest.fixture(autouse=True)
def nothing_is_left(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> object:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    sandbox.executable()
    before = len(descriptors())
    yield
    assert children() == []
    assert len(descriptors()) <= before
    assert list(tmp_path.iterdir()) == []


async def pieces(pcm: bytes, size: int = 4800) -> AsyncIterator[bytes]:
    for start in range(0, len(pcm), size):
        yield pcm[start : start + size]


async def endless() -> AsyncIterator[bytes]:
    while True:
        yield bytes(100_000)


async def ignore(_: bytes) -> None:
    pass


async def file_of(name: str, pcm: bytes, rate: int = RATE, limits: ConvertLimits = LIMITS) -> bytes:
    parts: list[bytes] = []

    async def write(part: bytes) -> None:
        parts.append(part)

    await convert(pieces(pcm), write, sample_rate=rate, container=find(name), limits=limits)
    return b"".join(parts)


def heard(data: bytes, tmp_path: Path, rate: int = RATE) -> np.ndarray:
    path = tmp_path / "file"
    path.write_bytes(data)
    try:
        return np.frombuffer(ffmpeg("-i", str(path), "-f", "s16le", "-ac", "1", "-ar", str(rate), "pipe:1"), "<i2")
    finally:
        path.unlink()


@pytest.mark.parametrize("name", CONTAINERS)
async def test_a_file_has_the_sound_in_its_length(name: str, tmp_path: Path) -> None:
    wave = heard(await file_of(name, PCM.tobytes()), tmp_path)
    if name in EXACT:
        assert len(wave) == len(PCM)
    else:
        # The last frame is filled up.
        assert 0 <= len(wave) - len(PCM) <= FRONT.get(name, 0) + 2048 or name == "wma"
    if name in LOSSLESS:
        assert np.array_equal(wave[: len(PCM)], PCM)
    assert 0.8 < rms(wave) / rms(PCM) < 1.2


@pytest.mark.parametrize("name", ["m4a", "ogg", "webm"])
async def test_a_lossy_file_begins_when_the_sound_begins(name: str, tmp_path: Path) -> None:
    wave = heard(await file_of(name, PCM.tobytes()), tmp_path)[: len(PCM)]
    assert rms(wave - PCM.astype(float)) < 0.2 * rms(PCM)


@pytest.mark.parametrize("rate", [8000, 16000, 22050, 44100, 48000])
@pytest.mark.parametrize("name", ["m4a", "webm", "ogg", "wma", "amr"])
async def test_every_rate_of_a_recording_can_be_written(name: str, rate: int, tmp_path: Path) -> None:
    wave = heard(await file_of(name, chirp(rate, rate).tobytes(), rate), tmp_path, rate)
    # Vorbis loses up to 128 samples of its end from 44.1 kHz up.
    assert 0.995 <= len(wave) / rate < 1.2 or name == "wma"


@pytest.mark.parametrize("name", CONTAINERS)
async def test_a_sound_of_20_ms_is_a_file(name: str, tmp_path: Path) -> None:
    assert len(heard(await file_of(name, PCM[:480].tobytes()), tmp_path)) >= 480 or name == "wma"


async def test_the_file_grows_as_the_sound_does() -> None:
    more, parts = asyncio.Event(), list[bytes]()

    async def sound() -> AsyncIterator[bytes]:
        yield PCM.tobytes()
        await more.wait()
        yield PCM.tobytes()

    async def write(part: bytes) -> None:
        parts.append(part)
        more.set()

    await convert(sound(), write, sample_rate=RATE, container=find("au"))
    assert len(b"".join(parts)) > 4 * len(PCM)


async def test_a_writer_that_waits_stops_the_sound() -> None:
    given, hold = 0, asyncio.Event()

    async def counted() -> AsyncIterator[bytes]:
        nonlocal given
        async for piece in endless():
            given += len(piece)
            yield piece

    async def write(_: bytes) -> None:
        await hold.wait()

    converting = asyncio.create_task(convert(counted(), write, sample_rate=RATE, container=find("au")))
    before = -1
    while given != before or not given:
        before = given
        await asyncio.sleep(0.05)
    assert given < 8_000_000
    converting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await converting


@pytest.mark.parametrize("name", ["m4a", "aiff"])
async def test_what_the_sound_raises_is_raised(name: str) -> None:
    async def broken() -> AsyncIterator[bytes]:
        yield PCM.tobytes()
        raise LookupError("cut short")

    with pytest.raises(LookupError, match="cut short"):
        await convert(broken(), ignore, sample_rate=RATE, container=find(name))


@pytest.mark.parametrize("name", ["m4a", "aiff"])
async def test_what_the_writer_raises_is_raised(name: str) -> None:
    async def write(_: bytes) -> None:
        raise ConnectionResetError("the listener has gone")

    with pytest.raises(ConnectionResetError, match="gone"):
        await convert(pieces(PCM.tobytes()), write, sample_rate=RATE, container=find(name))


async def test_a_file_that_has_to_be_written_first_is_bounded(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.CRITICAL), pytest.raises(ConvertError):
        await file_of("aiff", PCM.tobytes(), limits=ConvertLimits(file_bytes=1000))


def put(monkeypatch: pytest.MonkeyPatch, folder: Path, script: str) -> None:
    """A shell script in ffmpeg's place."""
    path = folder / "ffmpeg"
    path.write_text(f"#!/bin/sh\n{script}\n")
    path.chmod(0o700)
    monkeypatch.setattr(sandbox, "executable", lambda: str(path))
    # A shell keeps its script open under a higher number.
    monkeypatch.setattr(sandbox, "_DESCRIPTORS", 64)


async def test_an_ffmpeg_that_does_not_finish_is_given_up(
    tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    put(monkeypatch, tmp_path_factory.mktemp("bin"), "cat > /dev/null; exec sleep 1000")
    for name in ("m4a", "aiff"):
        with pytest.raises(ConvertError, match="does not finish"):
            await file_of(name, PCM.tobytes(), limits=ConvertLimits(stall_seconds=0.2))


@pytest.mark.parametrize("name", ["m4a", "aiff"])
async def test_an_ffmpeg_that_takes_no_more_sound_is_given_up(
    name: str, tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    put(monkeypatch, tmp_path_factory.mktemp("bin"), "exec sleep 1000")
    limits = ConvertLimits(stall_seconds=0.2)
    async with asyncio.timeout(60):
        with pytest.raises(ConvertError, match="does not finish"):
            await convert(endless(), ignore, sample_rate=RATE, container=find(name), limits=limits)


class Deadline:
    """A deadline that only notes whether it runs."""

    running = False

    def reschedule(self, when: float | None) -> None:
        self.running = when is not None

    def expired(self) -> bool:
        return False


async def test_an_engine_and_a_listener_may_take_their_time_and_ffmpeg_may_not() -> None:
    deadline, runs = Deadline(), list[bool]()

    async def engine() -> AsyncIterator[bytes]:
        for _ in range(2):
            runs.append(deadline.running)
            yield b"sound"
        runs.append(deadline.running)

    sound = Sound(engine(), deadline, 30.0)
    async for _ in sound.pieces():
        # While ffmpeg takes it.
        assert deadline.running
        with sound.written():
            assert not deadline.running
        assert deadline.running
    # While it ends the file.
    assert deadline.running
    with sound.written():
        assert not deadline.running
    assert runs == [False] * 3


async def test_the_sound_is_closed_when_the_listener_has_gone() -> None:
    closed = False

    async def sound() -> AsyncIterator[bytes]:
        nonlocal closed
        try:
            async for piece in endless():
                yield piece
        finally:
            await asyncio.sleep(0)
            closed = True

    async def write(_: bytes) -> None:
        raise ConnectionResetError("the listener has gone")

    with pytest.raises(ConnectionResetError):
        await convert(sound(), write, sample_rate=RATE, container=find("au"))
    assert closed


async def test_without_ffmpeg_it_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sandbox, "executable", lambda: "/nowhere/ffmpeg")
    with pytest.raises(ConvertError, match="missing"):
        await file_of("m4a", PCM.tobytes())


async def test_a_codec_that_this_ffmpeg_lacks_is_an_error(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setitem(CONTAINERS, "odd", Container("odd", "audio/odd", "ogg", "no_such_codec"))
    with caplog.at_level(logging.ERROR), pytest.raises(ConvertError):
        await file_of("odd", PCM.tobytes())
    assert "no_such_codec" in caplog.text


def test_an_unknown_container_is_answered_with_the_names_there_are() -> None:
    with pytest.raises(UnknownContainer, match=r"'tape'.* m4a, aac, .*aiff"):
        find("tape")
