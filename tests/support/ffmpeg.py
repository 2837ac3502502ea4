"""ffmpeg as the independent judge of what the encoders made."""

from __future__ import annotations

import struct
import subprocess
from functools import cache

import imageio_ffmpeg
import numpy as np
from numpy.typing import NDArray

from audio import packets
from audio.ogg import Flags, PageWriter

_RAW = {"pcm16": "s16le", "pcm_f32le": "f32le", "mulaw": "mulaw", "alaw": "alaw"}
CONTAINERS = {
    "wav": "wav",
    "mp3": "mp3",
    "aac": "aac",
    "flac": "flac",
    "opus": "ogg",
    "webm": "webm",
    "opus_packets": "ogg",
}
_OPUS_PACKET = 960


@cache
def executable() -> str:
    return str(imageio_ffmpeg.get_ffmpeg_exe())


def decode(data: bytes, fmt: str, sample_rate: int) -> NDArray[np.int16]:
    """``data``, a whole stream in the format named ``fmt``, as mono samples at ``sample_rate``.

    The raw formats are taken to be at ``sample_rate``; the others are resampled to it where they are at another
    (ffmpeg decodes Opus at 48000). Raises ``ValueError`` with ffmpeg's words for anything it complains of.
    """
    if not data:
        return np.zeros(0, np.int16)
    if fmt == "opus_packets":
        data = _in_ogg(data)
    rate = ["-ar", str(sample_rate)]
    source = ["-f", _RAW[fmt], *rate, "-ac", "1"] if fmt in _RAW else ["-f", CONTAINERS[fmt]]
    output = ["-f", "s16le", "-ac", "1", *rate]
    command = [executable(), "-v", "error", *source, "-i", "pipe:0", *output, "pipe:1"]
    done = subprocess.run(command, input=data, capture_output=True, check=False, timeout=60)
    if done.returncode or done.stderr:
        raise ValueError(done.stderr.decode(errors="replace").strip() or f"ffmpeg ended with {done.returncode}")
    return np.frombuffer(done.stdout, dtype="<i2")


def _in_ogg(stream: bytes) -> bytes:
    """Packets as a file in which nothing is to be dropped: what a decoder gives that knows only the packets."""
    writer = PageWriter(1)
    pages = [
        writer.page([struct.pack("<8sBBHIhB", b"OpusHead", 1, 1, 0, 48000, 0, 0)], 0, Flags.FIRST),
        writer.page([b"OpusTags" + bytes(8)], 0),
    ]
    bare = [packet[packets.LENGTH_BYTES :] for packet in packets.split(stream)]
    for number, packet in enumerate(bare, 1):
        last = Flags.LAST if number == len(bare) else Flags.NONE
        pages.append(writer.page([packet], number * _OPUS_PACKET, last))
    return b"".join(pages)
