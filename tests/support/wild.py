"""An engine that does to its process whatever the text of a segment says. For engines in a process of their own.

The text is a list of words: ``20`` is a chunk of so many milliseconds, and the others are the steps below.
"""

from __future__ import annotations

import asyncio
import ctypes
import logging
import os
import signal
import socket
import sys
import threading
import zlib
from collections.abc import AsyncGenerator, Iterator, Mapping, Sequence
from contextlib import aclosing
from pathlib import Path
from typing import Any, ClassVar

from providers.base import (
    BadClip,
    BadOption,
    Capabilities,
    Clip,
    EngineBusy,
    EngineFailed,
    EngineUnavailable,
    MissingDependency,
    PcmChunk,
    ProviderError,
    Segment,
    UnknownVoice,
    Voice,
    Word,
)
from providers.lane import Lane

log = logging.getLogger(__name__)
RATE = 24000


class Denied(EngineUnavailable):
    """An error of the engine's own."""

    code = "wild_denied"
    retryable = False


ERRORS: Mapping[str, ProviderError] = {
    "failed": EngineFailed("it failed"),
    "unavailable": EngineUnavailable("it is away", retry_after=2.5),
    "busy": EngineBusy("it has no room", retry_after=1),
    "unknown": UnknownVoice("no such voice"),
    "denied": Denied("it may not"),
    "missing": MissingDependency("wild", "pip install wild"),
}


class Plain:
    """``at``: what is done in the named methods, such as ``{"start": "segv"}``."""

    id: ClassVar[str] = "wild"
    capabilities: ClassVar[Capabilities] = Capabilities(streams=True, speeds=(0.5, 2.0), max_characters=777)

    def __init__(self, *, at: Mapping[str, str] | None = None, note: str | None = None) -> None:
        self._at = at or {}
        self._note = note
        """A file that a line is added to for what nobody outside sees."""
        self._write("making")
        self._do("make")

    async def start(self) -> None:
        self._do("start")
        self._write("started")

    async def close(self) -> None:
        self._do("close")
        self._write("closed")

    async def voices(self) -> Sequence[Voice]:
        return (Voice("one", "One", "en-US", RATE, description="the first"), Voice("two", "Two", "de", RATE))

    async def synthesize(self, segment: Segment) -> AsyncGenerator[PcmChunk, None]:
        self._write("begun")
        try:
            for step in segment.text.split():
                await asyncio.sleep(0)
                if step == "wait":
                    await asyncio.Event().wait()
                elif step == "repr":
                    described = repr((segment, zlib.crc32(segment.voice.prompt or b"")))
                    yield PcmChunk(b"\0\0", (Word(described, 0, 1),))
                    return
                elif step.isdecimal():
                    self._write(f"chunk {step}")
                    yield PcmChunk(b"\1\0" * (RATE * int(step) // 1000))
                elif step in ERRORS:
                    raise ERRORS[step]
                else:
                    self._write(step)
                    do(step)
        finally:
            self._write("left")

    def _do(self, method: str) -> None:
        for step in self._at.get(method, "").split():
            if step in ERRORS:
                raise ERRORS[step]
            do(step)

    def _write(self, line: str) -> None:
        if self._note is not None:
            with Path(self._note).open("a") as file:
                file.write(line + "\n")


class Wild(Plain):
    """One that can do everything beside."""

    option_names: ClassVar[frozenset[str]] = frozenset({"heat"})

    def __init__(self, **given: Any) -> None:
        super().__init__(**given)
        self.places = 3
        self.trouble: ProviderError | None = None
        self.clones = True
        self.designs = False
        self.account = "wild-account"
        self.detail = "as wild as it gets"

    def check(self, options: Mapping[str, Any]) -> Mapping[str, Any]:
        if options.keys() - self.option_names:
            raise BadOption("it has only heat")
        return {**options, "checked": True}

    async def clone(self, clip: Clip) -> Voice:
        if clip.transcript == "bad":
            raise BadClip("not this one")
        prompt = bytes(range(256)) + clip.pcm[:4]
        return Voice("cloned", f"{len(clip.pcm)} at {clip.sample_rate}", "mul", RATE, prompt=prompt)

    async def design(self, description: str, language: str | None = None) -> Voice:
        self.places, self.designs, self.trouble = 5, True, Denied("it is tired", retry_after=3)
        return Voice("designed", description, language or "mul", RATE, prompt=b"p")


class Singing(Plain):
    """One that takes text while it speaks."""

    async def converse(self, segments: Any) -> AsyncGenerator[Any, None]:
        yield


class Queueing(Plain):
    """One that has one place. A word is for how many milliseconds a chunk is made; ``0`` is for ever."""

    def __init__(self, **given: Any) -> None:
        super().__init__(**given)
        self._lane = Lane(1, self.id)
        self._never = threading.Event()

    async def close(self) -> None:
        self._never.set()
        await self._lane.close()

    async def synthesize(self, segment: Segment) -> AsyncGenerator[PcmChunk, None]:
        async with aclosing(self._lane.iterate(lambda: self._make(segment.text), exclusive=True)) as chunks:
            async for chunk in chunks:
                yield chunk

    def _make(self, text: str) -> Iterator[PcmChunk]:
        for word in text.split():
            self._never.wait(int(word) / 1000 or None)
            yield PcmChunk(b"\1\0" * RATE)


def do(step: str) -> None:
    """One step."""
    _STEPS[step]()


def _segv() -> None:
    ctypes.string_at(0)


def _hold_lock() -> None:
    # PyDLL keeps the interpreter's lock while the function runs.
    ctypes.PyDLL(None).pause()


def _thread_that_stays() -> None:
    threading.Thread(target=threading.Event().wait).start()


def _rubbish() -> None:
    """``WILD_BYTES``, in hexadecimal digits, on the socket of the process."""
    with socket.socket(fileno=os.dup(int(sys.argv[1]))) as end:
        end.send(bytes.fromhex(os.environ["WILD_BYTES"]))


def _raise() -> None:
    raise RuntimeError("/secret/path of the engine")


def _cancel() -> None:
    raise asyncio.CancelledError


_STEPS = {
    "exit": lambda: os._exit(3),
    "quit": lambda: sys.exit(4),
    "kill": lambda: os.kill(os.getpid(), signal.SIGKILL),
    "segv": _segv,
    "hold": _hold_lock,
    "stop": lambda: os.kill(os.getpid(), signal.SIGSTOP),
    "stay": _thread_that_stays,
    "rubbish": _rubbish,
    "raise": _raise,
    "cancel": _cancel,
    "print": lambda: print("printed by the engine", flush=True),
    "log": lambda: log.warning("logged by the engine, %d lines\nand another", 2),
    "flood": lambda: print("flood " * 200_000, flush=True),
    # Closes nothing, and comes back when the other program runs.
    "spawn": lambda: os.posix_spawnp("sleep", ["sleep", "1000"], os.environ),
}
