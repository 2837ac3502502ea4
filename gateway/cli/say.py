"""``voxwire say``"""

from __future__ import annotations

import argparse
import codecs
import os
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import suppress

from gateway.cli.player import NoPlayer, find_player, play
from gateway.cli.terminal import Progress, answer, fail, note
from gateway.client.errors import VoxwireClientError
from gateway.client.files import AudioFile, format_for
from gateway.client.messages import Options
from gateway.client.sync import Client, Speech

DEFAULT_FILE = "speech.wav"
_STANDARD = "-"
_ENDS = (".", "!", "?", "…", "。", "！", "？", '."', '!"', '?"', ".”", "!”", "?”")


def run(arguments: argparse.Namespace) -> int:
    try:
        player = find_player() if arguments.play else None
        return _Saying(arguments, player).run()
    except (NoPlayer, ValueError) as error:
        return fail(str(error))
    except BrokenPipeError:
        raise
    except OSError as error:
        return fail(f"cannot write {arguments.output or DEFAULT_FILE}: {error.strerror or error}")


class _Saying:
    """One text, spoken into a file, to standard output or aloud."""

    def __init__(self, arguments: argparse.Namespace, player: str | None) -> None:
        self._arguments = arguments
        self._player = player
        self._path = arguments.output or DEFAULT_FILE
        self._from_stdin = arguments.text == [_STANDARD]
        self._asked_at: float | None = None
        self._first_audio: float | None = None
        self._seconds = 0.0
        self._speech: Speech | None = None

    def run(self) -> int:
        arguments = self._arguments
        with Progress(self._describe), Client(arguments.url, api_key=arguments.api_key) as client:
            if self._from_stdin:
                self._speech = client.stream(**self._options())
            else:
                self._asked_at = time.monotonic()
                self._speech = client.speak(" ".join(arguments.text), **self._options())
            with self._speech as speech:
                if self._from_stdin:
                    # A daemon: nothing can interrupt it while it waits for input.
                    threading.Thread(target=self._feed, args=(speech,), name="voxwire stdin", daemon=True).start()
                self._speak(speech)
                ended = speech.completed()
        self._report(ended.audio_ms / 1000)
        return 0

    def _options(self) -> Options:
        arguments = self._arguments
        if self._player is not None:
            options: Options = {"format": "pcm16"}
        elif self._path == _STANDARD:
            options = {"format": arguments.format or "wav", "pace": "burst"}
        else:
            options = {"format": arguments.format or format_for(self._path), "pace": "burst"}
        if arguments.voice is not None:
            options["voice"] = arguments.voice
        if arguments.provider is not None:
            options["provider"] = arguments.provider
        if arguments.sample_rate is not None:
            options["sample_rate"] = arguments.sample_rate
        if arguments.speed is not None:
            options["speed"] = arguments.speed
        return options

    def _speak(self, speech: Speech) -> None:
        audio = self._audio(speech)
        if self._player is not None:
            play(self._player, audio, speech.sample_rate)
        elif self._path == _STANDARD:
            for chunk in audio:
                sys.stdout.buffer.write(chunk)
            sys.stdout.buffer.flush()
        else:
            with AudioFile(self._path, speech.started) as file:
                for chunk in audio:
                    file.write(chunk)
                speech.completed()

    def _audio(self, speech: Speech) -> Iterator[bytes]:
        for frame in speech.frames():
            if self._first_audio is None:
                self._first_audio = time.monotonic()
            self._seconds = frame.position / speech.sample_rate
            yield frame.data

    def _feed(self, speech: Speech) -> None:
        typed = sys.stdin.isatty()
        # When the speech is over first, whoever reads it is told why.
        with suppress(VoxwireClientError):
            for piece in self._typed():
                speech.send(piece, flush=_is_whole(piece, typed=typed))
            speech.end()

    def _typed(self) -> Iterator[str]:
        """Standard input as it comes: a token of a language model, or a line of a person."""
        if sys.stdin.isatty():
            note("Type; Ctrl-D ends.")
        decode = codecs.getincrementaldecoder("utf-8")("replace").decode
        descriptor = sys.stdin.fileno()
        while data := os.read(descriptor, 4096):
            if self._asked_at is None:
                self._asked_at = time.monotonic()
            yield decode(data)
        yield decode(b"", final=True)

    def _describe(self) -> str:
        speech = self._speech
        if self._first_audio is not None:
            return f"speaking: {self._seconds:.1f} s"
        if speech is not None and speech.queued is not None:
            return f"waiting for a place: number {speech.queued.position}"
        return "waiting for text" if self._asked_at is None else "waiting for the first audio"

    def _report(self, seconds: float) -> None:
        first = ""
        if self._first_audio is not None and self._asked_at is not None:
            first = f", the first after {(self._first_audio - self._asked_at) * 1000:.0f} ms"
        line = f"{seconds:.2f} s of speech{first}"
        if self._player is not None:
            answer(f"played with {self._player}: {line}")
        elif self._path == _STANDARD:
            note(line)
        else:
            answer(f"{self._path}: {line}")


def _is_whole(piece: str, *, typed: bool) -> bool:
    """Whether to speak now, and not wait for what follows: a line that a person typed, or that ends a sentence.

    Other lines may be one sentence that was wrapped.
    """
    text = piece.rstrip()
    return piece.endswith("\n") and (typed or text.endswith(_ENDS))
