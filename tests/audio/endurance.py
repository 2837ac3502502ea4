"""A stream that does not end for hours: fed minute after minute, decoded while it is made, its memory watched."""

from __future__ import annotations

import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

import numpy as np

from audio import formats, packets
from tests.audio.signals import chirp
from tests.support.ffmpeg import CONTAINERS, executable

RATE = 8000
_STATM = Path("/proc/self/statm")
_PAGE = 4096
MEASURABLE = _STATM.exists()


class Endured(NamedTuple):
    samples: int
    """That the encoder took."""
    decoded: int
    """That came back: counted by ffmpeg, or where nothing has to be decoded from the length of the stream."""
    growth: int
    """Bytes of resident memory, without that of files, from the second minute to the most there ever was after it."""


def endure(name: str, minutes: int) -> Endured:
    """Six seconds of sound in every minute. Raises ``ValueError`` with ffmpeg's words for what is not valid."""
    minute = np.concatenate([chirp(RATE, 6 * RATE), np.zeros(54 * RATE, np.int16)]).astype("<i2").tobytes()
    stream = formats.find(name).open(RATE, RATE)
    memory: list[int] = []
    with _judge(name) as judge:
        for _ in range(minutes):
            judge.take(stream.encode(minute))
            memory.append(_resident())
        judge.take(stream.finish())
    return Endured(stream.samples_in, judge.samples, max(memory[2:]) - memory[1])


def _resident() -> int:
    """Bytes, without the pages of files: those the kernel takes away and gives back as it likes."""
    _, resident, shared, *_ = map(int, _STATM.read_text().split())
    return (resident - shared) * _PAGE


class _Counter:
    """Knows the length of the sound from the length of the stream."""

    def __init__(self, name: str) -> None:
        self._row = formats.find(name)
        self.samples = 0
        self._bytes = -self._row.header_bytes

    def take(self, data: bytes) -> None:
        if self._row.packets:
            assert self._row.frame is not None
            self.samples += len(packets.split(data)) * self._row.frame(RATE)
        else:
            self._bytes += len(data)
            self.samples = self._bytes // (self._row.bytes_per_sample or 1)


class _Decoder:
    """Counts what ffmpeg makes of the stream, at 8 kHz."""

    def __init__(self, process: subprocess.Popen[bytes]) -> None:
        self._process = process
        self.samples = 0

    def take(self, data: bytes) -> None:
        assert self._process.stdin is not None
        self._process.stdin.write(data)

    def read(self) -> None:
        assert self._process.stdout is not None
        buffer = bytearray(1 << 16)
        size = 0
        while read := self._process.stdout.readinto(buffer):  # type: ignore[attr-defined]
            size += read
        self.samples = size // 2


@contextmanager
def _judge(name: str) -> Iterator[_Counter | _Decoder]:
    row = formats.find(name)
    if row.bytes_per_sample or row.packets:
        yield _Counter(name)
        return
    command = [executable(), "-v", "error", "-f", CONTAINERS[name], "-i", "pipe:0"]
    command += ["-f", "s16le", "-ar", str(RATE), "pipe:1"]
    pipe = subprocess.PIPE
    with subprocess.Popen(command, stdin=pipe, stdout=pipe, stderr=pipe) as process:
        decoder = _Decoder(process)
        reader = threading.Thread(target=decoder.read)
        reader.start()
        try:
            yield decoder
        finally:
            assert process.stdin is not None
            process.stdin.close()
            reader.join()
        assert process.stderr is not None
        said = process.stderr.read().decode(errors="replace")
    if said or process.returncode:
        raise ValueError(said or f"ffmpeg ended with {process.returncode}")
