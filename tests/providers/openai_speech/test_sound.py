"""Which of the bytes that servers answer are samples."""

from __future__ import annotations

import io
import struct
import wave

import pytest
from hypothesis import given
from hypothesis import strategies as some

from audio.wav import header
from providers.base import EngineFailed
from providers.openai_speech.sound import Sound

RATE = 24_000
SAMPLES = struct.pack("<20h", *range(-10, 10))


def heard(data: bytes, *, piece: int = 1, kind: str = "audio/pcm") -> bytes:
    sound = Sound(kind, RATE)
    made = [sound.push(data[at : at + piece]) for at in range(0, len(data), piece)]
    assert all(len(one) % 2 == 0 for one in made)
    return b"".join(made) + sound.finish()


def wav(*, rate: int = RATE, channels: int = 1, width: int = 2) -> bytes:
    file = io.BytesIO()
    with wave.open(file, "wb") as out:
        out.setnchannels(channels)
        out.setsampwidth(width)
        out.setframerate(rate)
        out.writeframes(SAMPLES)
    return file.getvalue()


def chunk(name: bytes, data: bytes) -> bytes:
    return name + struct.pack("<I", len(data)) + data + b"\0" * (len(data) % 2)


FORM = struct.pack("<HHIIHH", 1, 1, RATE, 2 * RATE, 2, 16)


@pytest.mark.parametrize("piece", [1, 2, 3, 17, 1000])
@pytest.mark.parametrize(
    "data",
    [
        SAMPLES,
        wav(),
        header(RATE) + SAMPLES,
        b"RIFF\0\0\0\0WAVE" + chunk(b"LIST", b"odd") + chunk(b"fmt ", FORM + b"\0\0") + b"data\0\0\0\0" + SAMPLES,
        b"RIFF\0\0\0\0WAVE" + chunk(b"fmt ", FORM) + chunk(b"data", SAMPLES) + chunk(b"LIST", b"made by somebody"),
    ],
    ids=["pcm", "wav", "streamed", "without a size", "with more behind it"],
)
def test_pcm_and_what_wav_wraps_around_it(data: bytes, piece: int) -> None:
    assert heard(data, piece=piece) == SAMPLES


@given(some.binary(max_size=200), some.integers(1, 50))
def test_pcm_passes_as_it_is_or_not_at_all(data: bytes, piece: int) -> None:
    try:
        made = heard(data, piece=piece)
    except EngineFailed:
        return
    assert made == data


def test_samples_do_not_wait_for_more_than_it_takes_to_know_them() -> None:
    assert Sound("audio/pcm", RATE).push(b"\x01\x02") == b"\x01\x02"
    assert Sound("audio/pcm", RATE).push(b"RI\x01\x02") == b"RI\x01\x02"


@pytest.mark.parametrize(
    ("data", "kind", "message"),
    [
        (b"ID3\x04" + bytes(40), "audio/pcm", "a file where PCM"),
        (b"\xff\xfb\x90\x64" * 10, "audio/mpeg", "a file where PCM"),
        (b"\xff\xf1\x50\x80" * 10, "audio/aac", "a file where PCM"),
        (b"OggS" + bytes(40), "application/octet-stream", "a file where PCM"),
        (b'{"error": "no such voice"}', "audio/pcm", "text where sound"),
        (b'{"error":1}', "", "text where sound"),
        (b"<!DOCTYPE html><html>Log in</html>", "text/html", "text where sound"),
        (b'data: {"type":"speech.audio.delta"}\n\n', "text/event-stream", "text where sound"),
        (b"RIFF....WAVE", "audio/wav", "a file where PCM"),
        (b"RIFF\0\0\0\0WAVE" + chunk(b"LIST", bytes(100_000)), "audio/wav", "a file where PCM"),
        (wav(channels=2), "audio/wav", "not 16-bit PCM on one channel"),
        (wav(width=1), "audio/wav", "not 16-bit PCM on one channel"),
        (wav(rate=44_100), "audio/wav", "44100 samples a second"),
        (SAMPLES + b"\x01", "audio/pcm", "without a whole sample"),
    ],
)
@pytest.mark.parametrize("piece", [1, 1000])
def test_what_would_be_noise_is_refused_before_it_is_heard(data: bytes, kind: str, message: str, piece: int) -> None:
    with pytest.raises(EngineFailed, match=message):
        heard(data, kind=kind, piece=piece)


def test_text_is_refused_at_its_beginning() -> None:
    sound = Sound("audio/pcm", RATE)
    assert sound.push(b'{"error": "') == b""
    with pytest.raises(EngineFailed):
        sound.push(b"no voice")
