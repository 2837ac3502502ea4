"""A speech as a file."""

from __future__ import annotations

import wave
from pathlib import Path
from types import TracebackType
from typing import Protocol

from gateway.client.messages import Started

FORMATS = {
    ".wav": "pcm16",
    ".pcm": "pcm16",
    ".raw": "pcm16",
    ".mp3": "mp3",
    ".aac": "aac",
    ".flac": "flac",
    ".opus": "opus",
    ".ogg": "opus",
    ".webm": "webm",
    ".ulaw": "mulaw",
    ".mulaw": "mulaw",
    ".alaw": "alaw",
}
"""The format to ask for, by the end of a file's name. A ``.wav`` is asked for as PCM: its header is then exact, where
a streamed one cannot know the length."""


def format_for(path: str | Path) -> str:
    """The format that a file's name asks for; ``pcm16`` where it says nothing."""
    return FORMATS.get(Path(path).suffix.lower(), "pcm16")


class _Writer(Protocol):
    def write(self, data: bytes, /) -> object: ...

    def close(self) -> object: ...


class _Wav:
    def __init__(self, path: Path, sample_rate: int) -> None:
        # Opened here, because ``wave`` complains at its collection where it could not open a path.
        self._file = path.open("wb")
        self._wave = wave.open(self._file, "wb")  # noqa: SIM115 - closed by ``close``
        self._wave.setnchannels(1)
        self._wave.setsampwidth(2)
        self._wave.setframerate(sample_rate)

    def write(self, data: bytes, /) -> None:
        self._wave.writeframesraw(data)

    def close(self) -> None:
        try:
            self._wave.close()
        finally:
            self._file.close()


class AudioFile:
    """A file that appears under its name when it is whole: until then, and if it fails, there is only ``NAME.part``,
    and that is removed.

    Raises ``ValueError`` where the name asks for another format than the speech has, and ``OSError``.
    """

    def __init__(self, path: str | Path, started: Started) -> None:
        self._path = Path(path)
        suffix = self._path.suffix.lower()
        expected = FORMATS.get(suffix)
        if expected is not None and started.format not in (expected, suffix[1:]):
            raise ValueError(
                f"{self._path.name!r} is the name of a file of {expected}, and this speech is {started.format}: "
                f"ask for format={expected!r}"
            )
        self._part = self._path.with_name(self._path.name + ".part")
        self._file: _Writer
        if suffix == ".wav" and started.format == "pcm16":
            self._file = _Wav(self._part, started.sample_rate)
        else:
            self._file = self._part.open("wb")

    def write(self, data: bytes) -> None:
        self._file.write(data)

    def __enter__(self) -> AudioFile:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None) -> None:
        try:
            self._file.close()
            if kind is None:
                self._part.replace(self._path)
        finally:
            self._part.unlink(missing_ok=True)
