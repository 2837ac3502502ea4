"""A speech as a file, and the list of voices."""

from __future__ import annotations

import wave
from pathlib import Path
from typing import Any

import pytest

from gateway.client import (
    AsyncClient,
    SpeechError,
    Voice,
)
from tests.support.fake_gateway import FakeGateway, Peer, heard, sound


def names(folder: Path) -> list[str]:
    return [path.name for path in folder.iterdir()]


async def test_a_wav_file_has_an_exact_header(tmp_path: Path) -> None:
    async with FakeGateway() as gateway, AsyncClient(gateway.url) as client, client.speak("Hello.") as speech:
        assert (await speech.save(tmp_path / "hello.wav")).frames == 6
    with wave.open(str(tmp_path / "hello.wav")) as file:
        assert (file.getnchannels(), file.getsampwidth(), file.getframerate()) == (1, 2, 8000)
        assert heard(file.readframes(file.getnframes())) == "Hello."


@pytest.mark.parametrize(
    ("name", "format"),
    [("a.wav", "pcm16"), ("a.mp3", "mp3"), ("a.OGG", "opus"), ("a.ulaw", "mulaw"), ("a.bin", "pcm16")],
)
async def test_a_file_name_chooses_the_format(tmp_path: Path, name: str, format: str) -> None:
    async with FakeGateway() as gateway, AsyncClient(gateway.url) as client:
        await client.save("Hi.", tmp_path / name)
    assert gateway.received[0]["format"] == format
    assert gateway.received[0]["pace"] == "burst"


async def test_other_formats_are_written_as_they_came(tmp_path: Path) -> None:
    async with FakeGateway() as gateway, AsyncClient(gateway.url) as client:
        await client.save("Hi.", tmp_path / "a.mp3")
    assert (tmp_path / "a.mp3").read_bytes() == sound("Hi.")


async def test_a_name_of_another_format_is_refused(tmp_path: Path) -> None:
    async with FakeGateway() as gateway, AsyncClient(gateway.url) as client, client.speak("Hi.") as speech:
        with pytest.raises(ValueError, match="format='mp3'"):
            await speech.save(tmp_path / "a.mp3")


async def test_a_file_that_failed_is_not_there(tmp_path: Path) -> None:
    async def fail(peer: Peer, message: dict[str, Any]) -> None:
        await peer.audio(message["context"], "He")
        await peer.error(message["context"], "engine_failed")

    async with FakeGateway(on={"end": fail}) as gateway, AsyncClient(gateway.url) as client:
        with pytest.raises(SpeechError):
            await client.save("Hello.", tmp_path / "a.wav")
    assert names(tmp_path) == []


@pytest.mark.parametrize("name", ["a.wav", "a.mp3"])
async def test_nothing_is_left_of_a_file_that_the_disk_has_no_room_for(tmp_path: Path, name: str) -> None:
    (tmp_path / f"{name}.part").symlink_to("/dev/full")
    async with FakeGateway() as gateway, AsyncClient(gateway.url) as client:
        with pytest.raises(OSError, match="No space left"):
            await client.save("Hello.", tmp_path / name)
    assert names(tmp_path) == []


async def test_nothing_is_left_of_a_file_whose_name_is_taken_by_a_folder(tmp_path: Path) -> None:
    (tmp_path / "a.mp3").mkdir()
    async with FakeGateway() as gateway, AsyncClient(gateway.url) as client:
        with pytest.raises(OSError, match="directory"):
            await client.save("Hello.", tmp_path / "a.mp3")
    assert names(tmp_path) == ["a.mp3"]


async def test_voices_are_listed() -> None:
    rows = [{"id": "heart", "name": "Heart", "provider": "hibari", "language": "en-US", "sample_rate_hz": 24000}]
    expected = [Voice("heart", "Heart", "hibari", "en-US", 24000, None, None)]
    async with FakeGateway(voices=rows) as gateway, AsyncClient(gateway.url) as client:
        assert await client.voices() == expected
    async with FakeGateway(voices={"voices": rows}) as gateway, AsyncClient(gateway.url) as client:
        assert await client.voices() == expected
