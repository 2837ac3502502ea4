"""Sound out of this machine's loudspeaker, through whatever player it has."""

from __future__ import annotations

import shutil
import subprocess
import tempfile
import wave
from collections.abc import Callable, Iterable
from pathlib import Path

_UNKNOWN_LENGTH = 0x7FFF_F000

_PIPES: dict[str, Callable[[int], list[str]]] = {
    "ffplay": lambda rate: ["ffplay", "-nodisp", "-autoexit", "-loglevel", "error", "-i", "-"],
    "aplay": lambda rate: ["aplay", "-q", "-"],
    "paplay": lambda rate: ["paplay", "--raw", "--format=s16le", "--channels=1", f"--rate={rate}"],
    "play": lambda rate: ["play", "-q", "-t", "raw", "-r", str(rate), "-e", "signed", "-b", "16", "-c", "1", "-"],
}
"""Players that take sound from a pipe as it comes, the first choice first."""
_TAKES_WAV = {"ffplay", "aplay"}
_FROM_FILE = "afplay"
PLAYERS = (*_PIPES, _FROM_FILE)


class NoPlayer(Exception):
    """This machine has none of the known players, or the one that it has failed."""


def find_player() -> str:
    """The name of the first player here. Raises ``NoPlayer``."""
    found = next((name for name in PLAYERS if shutil.which(name)), None)
    if found is None:
        raise NoPlayer(
            "this machine has no player that voxwire knows (ffplay, aplay, paplay, afplay, sox's play); "
            "install ffmpeg, or write a file with -o FILE"
        )
    return found


def play(player: str, audio: Iterable[bytes], sample_rate: int) -> None:
    """Play s16le mono PCM as it comes; returns when it was heard. Raises ``NoPlayer`` when the player fails."""
    if player == _FROM_FILE:
        _play_file(player, audio, sample_rate)
        return
    with subprocess.Popen(_PIPES[player](sample_rate), stdin=subprocess.PIPE, bufsize=0) as process:
        assert process.stdin is not None
        try:
            if player in _TAKES_WAV:
                process.stdin.write(streamed_wav_header(sample_rate))
            for chunk in audio:
                process.stdin.write(chunk)
            process.stdin.close()
            code = process.wait()
        except BrokenPipeError:
            code = process.wait() or 1
        except BaseException:
            process.kill()
            raise
    if code != 0:
        raise NoPlayer(f"{player} stopped with code {code}; -o FILE writes a file instead")


def streamed_wav_header(sample_rate: int) -> bytes:
    """The header of a WAV whose length nobody knows yet: 44 bytes, as long as players take it."""
    size = _UNKNOWN_LENGTH
    parts = (
        b"RIFF",
        (size + 36).to_bytes(4, "little"),
        b"WAVEfmt \x10\x00\x00\x00\x01\x00\x01\x00",
        sample_rate.to_bytes(4, "little"),
        (sample_rate * 2).to_bytes(4, "little"),
        b"\x02\x00\x10\x00data",
        size.to_bytes(4, "little"),
    )
    return b"".join(parts)


def _play_file(player: str, audio: Iterable[bytes], sample_rate: int) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "speech.wav"
        with wave.open(str(path), "wb") as file:
            file.setparams((1, 2, sample_rate, 0, "NONE", ""))
            for chunk in audio:
                file.writeframesraw(chunk)
        code = subprocess.run([player, str(path)], check=False).returncode
    if code != 0:
        raise NoPlayer(f"{player} stopped with code {code}; -o FILE writes a file instead")
