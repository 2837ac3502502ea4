"""The provider: batches of phonemes, sentences about, take turns on a lane."""

from __future__ import annotations

import importlib
import logging
from collections.abc import AsyncGenerator, Iterator, Sequence
from contextlib import aclosing
from functools import partial
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from providers.base import (
    SAMPLE_WIDTH,
    Capabilities,
    EngineFailed,
    EngineUnavailable,
    MissingDependency,
    PcmChunk,
    Segment,
    UnknownVoice,
    Voice,
)
from providers.kokoro import catalogue
from providers.kokoro.batches import batches
from providers.kokoro.catalogue import RATE
from providers.kokoro.phonemes import Phonemes
from providers.kokoro.settings import PREFIX, KokoroSettings, read
from providers.lane import Lane
from providers.sound import Edges, to_pcm
from providers.text import plain, sayable

log = logging.getLogger(__name__)

_PIECE = RATE // 5 * SAMPLE_WIDTH
"""Bytes of a chunk at most: 200 ms, so that a cancel and a channel bounded in time have a fine grain."""
_WARM_UP = "Ready to speak."
_SENTENCE_ENDS = frozenset(".!?…")
_PROVIDERS = ("CUDAExecutionProvider", "CPUExecutionProvider")
"""Where onnxruntime computes: the first that its build has."""
_INSTALL = "pip install 'voxwire[kokoro]'"


class Kokoro:
    """Kokoro's voices. ``settings``: from the environment where not given."""

    id: ClassVar[str] = "kokoro"
    # The memory of a run grows with its batch, and stays with the process.
    capabilities: ClassVar[Capabilities] = Capabilities(streams=True, speed=True, speeds=(0.5, 2.0), max_characters=400)
    detail: ClassVar[str] = "espeak-ng and phonemizer are GPL-3.0-or-later"
    """What ``voxwire doctor`` says of it."""

    def __init__(self, settings: KokoroSettings | None = None) -> None:
        self.settings = settings or read()
        self._voices = catalogue.voices(self.settings.voices, self.settings.voice)
        self._model: Any = None
        self._phonemes: Phonemes | None = None
        self._styles: dict[str, NDArray[np.float32]] = {}
        self.lane = Lane(self.settings.lane_width, self.id, max_waiting=self.settings.max_waiting)

    async def start(self) -> None:
        for name in ("model", "voices"):
            path = getattr(self.settings, name)
            if path is None or not path.is_file():
                raise EngineUnavailable(
                    f"engine {self.id!r} has no {name}; {PREFIX}{name.upper()} is the path of a file that is not there"
                    if path
                    else f"engine {self.id!r} has no {name}; name the file in {PREFIX}{name.upper()}"
                )
        if not self._voices:
            raise EngineUnavailable(f"{PREFIX}VOICES names a file in which there are no voices")
        if self.settings.voice not in (None, *self._voices):
            raise EngineUnavailable(f"engine {self.id!r} has no voice {self.settings.voice!r}, its default voice")
        self.lane.open()
        self._model, self._phonemes = await self.lane.run(self._load)
        warm_up = Segment(_WARM_UP, next(iter(self._voices.values())))
        try:
            async with aclosing(self.synthesize(warm_up)) as chunks:
                async for _ in chunks:
                    pass
        except EngineFailed as error:
            log.warning("Kokoro cannot speak: %r", error.__cause__)
            raise EngineUnavailable(f"engine {self.id!r} cannot speak with the model and voices that it has") from error

    async def close(self) -> None:
        await self.lane.close()
        self._model = self._phonemes = None
        self._styles.clear()

    async def voices(self) -> Sequence[Voice]:
        return tuple(self._voices.values())

    async def synthesize(self, segment: Segment) -> AsyncGenerator[PcmChunk, None]:
        if segment.voice.id not in self._voices:
            raise UnknownVoice(f"engine {self.id!r} has no voice of that id")
        text = plain(segment.text)
        if not sayable(text):
            return
        work = partial(self._speak, text, segment)
        async with aclosing(self.lane.iterate(work, batch=segment.batch)) as pieces:
            async for pcm in pieces:
                for start in range(0, len(pcm), _PIECE):
                    yield PcmChunk(pcm[start : start + _PIECE])

    # ---- on the lane's threads

    def _load(self) -> tuple[Any, Phonemes]:
        try:
            library: Any = importlib.import_module("kokoro_onnx")
            onnxruntime: Any = importlib.import_module("onnxruntime")
        except ImportError as error:
            raise MissingDependency(self.id, _INSTALL) from error
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = self.settings.run_threads
        # A thread that spins for work takes a core from the runs beside it.
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        try:
            usable = [name for name in _PROVIDERS if name in onnxruntime.get_available_providers()]
            session = onnxruntime.InferenceSession(str(self.settings.model), options, providers=usable)
            model = library.Kokoro.from_session(session, str(self.settings.voices))
            return model, Phonemes(model.tokenizer.vocab)
        except Exception as error:
            log.warning("Kokoro cannot be loaded: %s: %s", type(error).__name__, error)
            raise EngineUnavailable(f"engine {self.id!r} cannot load its model") from error

    def _speak(self, text: str, segment: Segment) -> Iterator[bytes]:
        """The PCM of each batch."""
        try:
            model = self._model
            slowest, fastest = self.capabilities.speeds
            speed = min(max(segment.speed, slowest), fastest)
            assert self._phonemes is not None
            for batch in batches(self._phonemes.of(text, catalogue.espeak(segment.voice, segment.language))):
                # Marks alone would make half a second of hiss.
                if not sayable(batch):
                    continue
                # The pauses are made here, as they are at the other engines.
                sound, _ = model.create(
                    batch,
                    self._style(segment.voice.id),
                    speed,
                    is_phonemes=True,
                    trim=False,
                    sentence_pause=0.0,
                    clause_pause=0.0,
                )
                edges = Edges(RATE, whole=batch[-1] in _SENTENCE_ENDS)
                if pcm := to_pcm(edges.push(np.asarray(sound, np.float32), last=True), 1.0):
                    yield pcm
        except Exception as error:
            raise EngineFailed(f"engine {self.id!r} could not speak a segment") from error

    def _style(self, voice: str) -> NDArray[np.float32]:
        """Of shape (510, 1, 256), a style for each length; read and unpacked once."""
        if voice not in self._styles:
            style = np.asarray(self._model.get_voice_style(voice), np.float32)
            if style.shape[1:] != (1, 256) or not style.size or not np.isfinite(style).all():
                raise ValueError(f"voice {voice!r} is none of this model's")
            self._styles[voice] = style
        return self._styles[voice]
