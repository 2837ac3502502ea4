"""What others do: an ffmpeg process for each session, or for each chunk."""

from __future__ import annotations

import resource
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager

from tests.support.ffmpeg import executable

_ENCODERS = {
    "mp3": ["-c:a", "libmp3lame", "-b:a", "64k", "-f", "mp3"],
    "opus": ["-c:a", "libopus", "-b:a", "32k", "-page_duration", "20000", "-f", "ogg"],
}


def session(name: str, sound: bytes, rate: int, chunk: int) -> float:
    """CPU-ms a second of sound, of one process that is fed ``chunk`` bytes at a time; its start included."""
    with _spent() as spent, _process(name, rate) as process:
        assert process.stdin is not None
        reader = threading.Thread(target=process.stdout.read if process.stdout else None)
        reader.start()
        for at in range(0, len(sound), chunk):
            process.stdin.write(sound[at : at + chunk])
            process.stdin.flush()
        process.stdin.close()
        reader.join()
    return spent[0] * 1000 / (len(sound) / 2 / rate)


def each_chunk(name: str, sound: bytes, rate: int, chunk: int) -> float:
    """The same of a process for every ``chunk`` bytes."""
    with _spent() as spent:
        for at in range(0, len(sound), chunk):
            with _process(name, rate) as process:
                process.communicate(sound[at : at + chunk])
    return spent[0] * 1000 / (len(sound) / 2 / rate)


@contextmanager
def _process(name: str, rate: int) -> Iterator[subprocess.Popen[bytes]]:
    source = ["-probesize", "32", "-f", "s16le", "-ar", str(rate), "-ac", "1", "-i", "pipe:0"]
    command = [executable(), "-v", "error", *source, *_ENCODERS[name], "pipe:1"]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        yield process
    if process.returncode:
        raise RuntimeError(f"ffmpeg ended with {process.returncode}")


@contextmanager
def _spent() -> Iterator[list[float]]:
    """CPU seconds of this process and of the ones that ended."""
    before = _used()
    spent: list[float] = []
    yield spent
    spent.append(_used() - before)


def _used() -> float:
    both = (resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    return sum(usage.ru_utime + usage.ru_stime for usage in both)
