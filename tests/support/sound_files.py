"""Small files in every kind that strangers send, made by ffmpeg."""

from __future__ import annotations

import struct
import subprocess
import tempfile
from functools import cache

from tests.support.ffmpeg import executable

SECONDS = 2.0
RATE = 24000
_MAKE = {
    "wav": ("-f", "wav"),
    "aiff": ("-f", "aiff"),
    "au": ("-f", "au"),
    "w64": ("-f", "w64"),
    "flac": ("-f", "flac"),
    "mp3": ("-f", "mp3"),
    "aac": ("-f", "adts"),
    "m4a": ("-f", "ipod"),
    "ogg": ("-f", "ogg", "-c:a", "libvorbis"),
    "opus": ("-f", "ogg", "-c:a", "libopus"),
    "webm": ("-f", "webm", "-c:a", "libopus"),
    "mka": ("-f", "matroska", "-c:a", "flac"),
    "caf": ("-f", "caf", "-c:a", "pcm_s16le"),
    "faststart": ("-f", "ipod", "-movflags", "+faststart"),
    "amr": ("-f", "amr", "-ar", "8000", "-b:a", "12.2k"),
}
KINDS = tuple(_MAKE)
_SEEKING = ("m4a", "faststart", "wav", "caf", "au", "aiff", "w64")
_NOISE = f"anoisesrc=amplitude=0.1:seed=1:r={RATE}:d={SECONDS}"


def ffmpeg(*arguments: str, data: bytes = b"") -> bytes:
    command = [executable(), "-v", "error", "-y", *arguments]
    done = subprocess.run(command, input=data, capture_output=True, check=False, timeout=60)
    assert not done.returncode, done.stderr
    return done.stdout


@cache
def made(kind: str) -> bytes:
    """``SECONDS`` of noise."""
    source = ("-f", "lavfi", "-i", _NOISE, "-ac", "1")
    if kind not in _SEEKING:
        return ffmpeg(*source, *_MAKE[kind], "pipe:1")
    return _to_file(*source, *_MAKE[kind])


def _to_file(*arguments: str) -> bytes:
    with tempfile.NamedTemporaryFile() as file:
        ffmpeg(*arguments, file.name)
        return file.read()


@cache
def bomb() -> bytes:
    """Ten minutes of silence in eight channels, which FLAC keeps in a ten thousandth of its size."""
    silence = ("-f", "lavfi", "-i", "anullsrc=r=48000:cl=7.1:d=600")
    return ffmpeg(*silence, "-c:a", "flac", "-frame_size", "65535", "-f", "flac", "pipe:1")


def wav(pcm: bytes, *, claims: int | None = None) -> bytes:
    """A wav whose header says that ``claims`` bytes of sound follow."""
    size = len(pcm) if claims is None else claims
    form = struct.pack("<HHIIHH", 1, 1, RATE, RATE * 2, 2, 16)
    head = b"WAVEfmt " + struct.pack("<I", len(form)) + form + b"data" + struct.pack("<I", size)
    return b"RIFF" + struct.pack("<I", min(size + len(head), 0xFFFFFFFF)) + head + pcm
