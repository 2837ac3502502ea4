"""One attempt at a segment: tokens are read into the decoder by a task, while its sound is taken."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Mapping
from contextlib import suppress
from types import TracebackType
from typing import Any

from audio.snac import FRAME_SAMPLES, SnacError, Stream
from providers.base import SAMPLE_WIDTH, EngineFailed, ProviderError
from providers.orpheus.llama import Llama
from providers.orpheus.slots import Slots
from providers.orpheus.tokens import Frames, NoSpeech

log = logging.getLogger(__name__)

FRAME_BYTES = FRAME_SAMPLES * SAMPLE_WIDTH
AHEAD = 24
"""Frames (85 ms each) that may have been read and not been taken as sound. More tokens stay with llama-server."""


class Attempt:
    """``async with Attempt(...) as attempt: pcm = await attempt.get()``. Leaving it closes the connection to
    llama-server and ends the task."""

    def __init__(self, llama: Llama, slots: Slots, request: Mapping[str, Any], sound: Stream) -> None:
        self._llama = llama
        self._slots = slots
        self._request = request
        self._sound = sound
        self._room = asyncio.Event()
        self._taken = 0
        self._task: asyncio.Task[None] | None = None
        self.frames = Frames()
        self.stopped: str | None = None
        """Why llama-server ended it; ``None`` where it did not."""
        self.answered = False
        """At least one token has come."""
        self.error: ProviderError | None = None
        """Why the tokens ended, where they did not end by themselves."""

    async def __aenter__(self) -> Attempt:
        self._task = asyncio.create_task(self._read(), name="read llama-server")
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        assert self._task is not None
        self._task.cancel()
        await asyncio.wait((self._task,))

    @property
    def waiting(self) -> int:
        """Frames that were read and are not taken yet."""
        return self.frames.frames - self._taken // FRAME_BYTES

    async def get(self) -> bytes | None:
        """The next sound (s16le), or ``None`` when it is over; ``error`` then says whether it was cut."""
        pcm = await self._sound.get()
        if pcm is not None:
            self._taken += len(pcm)
            self._room.set()
        return pcm

    def cut(self, error: ProviderError) -> None:
        """Read no more; what was read is still sound."""
        if self.error is None and self._task is not None and not self._task.done():
            self.error = error
            self._task.cancel()
            self._finish()

    async def _read(self) -> None:
        try:
            async with self._slots.one(), self._llama.completion(self._request) as completion:
                while not self.frames.ended and (tokens := await completion.read()) is not None:
                    self.answered = True
                    for token in tokens:
                        await self._push(token)
                self.stopped = completion.stopped
            if not self.frames.frames:
                raise NoSpeech("the model had nothing to say for this text")
        except ProviderError as error:
            self.error = error
        except SnacError as error:
            # Whoever takes the sound is told what it is, if the decoder has failed.
            self.error = EngineFailed("engine 'orpheus' cannot decode what the model says")
            self.error.__cause__ = error
        except Exception as error:
            log.exception("reading from llama-server failed")
            self.error = EngineFailed("engine 'orpheus' failed")
            self.error.__cause__ = error
        self._finish()

    def _finish(self) -> None:
        with suppress(SnacError):
            self._sound.finish()

    async def _push(self, token: int) -> None:
        frame = self.frames.push(token)
        if frame is None:
            return
        while self.waiting > AHEAD:
            self._room.clear()
            await self._room.wait()
        self._sound.push(frame)
