"""The provider: each model is loaded when it is first spoken with, and a segment has one to itself."""

from __future__ import annotations

import logging
from collections.abc import AsyncGenerator, Iterator, Mapping, Sequence
from contextlib import aclosing
from functools import partial
from typing import Any, ClassVar

import numpy as np

from audio.pcm import duration
from audio.resample import Resampler
from providers import prompts, torch_engine, torch_runtime
from providers.base import (
    SAMPLE_WIDTH,
    BadClip,
    BadOption,
    Capabilities,
    Clip,
    EngineUnavailable,
    PcmChunk,
    Segment,
    UnknownVoice,
    Voice,
)
from providers.coqui import options
from providers.coqui.catalogue import XTTS, Source, Speaker, speakers
from providers.coqui.model import ENGINE, INSTALL, Manner, Model, Xtts, fetch, load
from providers.coqui.settings import PREFIX, CoquiSettings, read
from providers.instances import Instances
from providers.lane import Lane
from providers.prompts import Unpacked
from providers.sound import Edges, to_pcm
from providers.text import plain, sayable

log = logging.getLogger(__name__)

_PIECES = 5
"""Chunks a second at least, so that a cancel and a channel bounded in time have a fine grain."""
_WARM_UP = "Ready to speak."
_SENTENCE_ENDS = frozenset(".!?…。！？")
_SHORTEST_CLIP, _LONGEST_CLIP = 1.0, 120.0
"""Seconds."""


class Coqui:
    """Coqui's models. ``settings``: from the environment where not given."""

    id: ClassVar[str] = ENGINE
    # XTTS was taught sentences of 250 characters at most, and its tone wanders off towards the end of them.
    capabilities: ClassVar[Capabilities] = Capabilities(
        streams=True, speed=True, speeds=(0.5, 2.0), max_characters=200, segments_at_once=1
    )
    option_names: ClassVar[frozenset[str]] = frozenset(options.OPTIONS)

    def __init__(self, settings: CoquiSettings | None = None) -> None:
        self.settings = settings or read()
        self._sources = [Source(given) for given in dict.fromkeys(self.settings.models)]
        self._speakers = speakers(self._sources, self.settings.voice)
        self._where = ""
        self._models: dict[Source, Instances[Model]] = {
            source: Instances(partial(self._load, source)) for source in self._sources
        }
        self.lane = Lane(self.settings.width, self.id, max_waiting=self.settings.max_waiting)

    # ---- what the gateway may know

    @property
    def places(self) -> int:
        return self.lane.width

    @property
    def detail(self) -> str | None:
        """For whoever runs the gateway."""
        loaded = [source.id for source, instances in self._models.items() if instances.made]
        return f"{', '.join(loaded)} on {self._where}" if loaded else None

    async def voices(self) -> Sequence[Voice]:
        return tuple(speaker.voice for speaker in self._speakers.values())

    def check(self, given: Mapping[str, Any]) -> Mapping[str, Any]:
        return options.check(given)

    # ---- start and end

    async def start(self) -> None:
        if not self._sources:
            raise EngineUnavailable(
                f"engine {self.id!r} has no model; name one in {PREFIX}MODELS, such as tts_models/en/ljspeech/vits"
            )
        await torch_engine.begin(self.lane, self._warm_up, self._models.values())

    async def _warm_up(self) -> None:
        await self.lane.run(self._prepare)
        self._speakers = speakers(self._sources, self.settings.voice)
        if self.settings.voice not in (None, *self._speakers):
            raise EngineUnavailable(f"engine {self.id!r} has no voice {self.settings.voice!r}, its default voice")
        default = next(iter(self._speakers.values()), None)
        if default is None:
            raise EngineUnavailable(
                f"engine {self.id!r} has no voice; those of an XTTS are in speakers_xtts.pth, in the model's folder"
            )
        async with aclosing(self.synthesize(Segment(_WARM_UP, default.voice))) as chunks:
            async for _ in chunks:
                pass

    async def close(self) -> None:
        await torch_engine.end(self.lane, self._models.values())

    def _prepare(self) -> None:
        """What is needed to load a model. Blocking."""
        names = [source.id for source in self._sources]
        for name in names:
            if names.count(name) > 1:
                raise EngineUnavailable(
                    f"two of the models in {PREFIX}MODELS are called {name!r}, and so would their voices be"
                )
        torch_runtime.load(ENGINE, INSTALL, "TTS")
        torch_runtime.use_threads(self.settings.threads)
        self._where = torch_runtime.device(self.id, self.settings.device)
        for source in self._sources:
            fetch(source, self.settings)

    def _load(self, source: Source) -> Model:
        return load(source, self.settings, self._where)

    # ---- speaking

    async def synthesize(self, segment: Segment) -> AsyncGenerator[PcmChunk, None]:
        source, manner = self._asked(segment)
        text = plain(segment.text)
        if not sayable(text):
            return
        rate = segment.voice.sample_rate
        piece = rate // _PIECES * SAMPLE_WIDTH
        work = partial(self._speak, source, text, manner, rate)
        async with aclosing(self.lane.iterate(work, exclusive=True, batch=segment.batch)) as pieces:
            async for pcm in pieces:
                for start in range(0, len(pcm), piece):
                    yield PcmChunk(pcm[start : start + piece])

    def _asked(self, segment: Segment) -> tuple[Source, Manner]:
        """The model and the manner. Raises ``UnknownVoice``."""
        voice = segment.voice
        language = segment.language or self.settings.language
        sampling = {**self.settings.sampling, **segment.options}
        slowest, fastest = self.capabilities.speeds
        speed = min(max(segment.speed, slowest), fastest)
        if voice.prompt is not None:
            manner = Manner(None, language, speed, Unpacked(self.id, voice.prompt), sampling)
            source = self._cloning
            if source is None:
                raise UnknownVoice(f"this voice needs XTTS, which engine {self.id!r} does not have now")
            return source, manner
        speaker: Speaker | None = self._speakers.get(voice.id)
        if speaker is None:
            raise UnknownVoice(f"engine {self.id!r} has no voice of that id")
        if segment.language is None and speaker.voice.language not in ("mul", "und"):
            language = speaker.voice.language
        return speaker.source, Manner(speaker.name, language, speed, None, sampling)

    def _speak(self, source: Source, text: str, manner: Manner, rate: int) -> Iterator[bytes]:
        """Its PCM at ``rate``. Blocking."""
        with self._models[source].take() as model, torch_runtime.contained(self.id, "speak a segment"):
            # A voice that was listed before its model was there may have been promised at another rate.
            resampler = Resampler(model.rate, rate)
            for sentence in model.sentences(text, manner):
                if not sayable(sentence):
                    continue
                edges = Edges(model.rate, whole=sentence[-1] in _SENTENCE_ENDS)
                for sound in model.sound(sentence, manner):
                    if pcm := resampler.process(to_pcm(edges.push(sound), 1.0)):
                        yield pcm
                rest = edges.push(np.empty(0, np.float32), last=True)
                if pcm := resampler.process(to_pcm(rest, 1.0)):
                    yield pcm
            if pcm := resampler.finish():
                yield pcm

    # ---- making voices

    @property
    def _cloning(self) -> Source | None:
        return next((source for source in self._sources if source.kind == XTTS), None)

    @property
    def clones(self) -> bool:
        return self._cloning is not None

    async def clone(self, clip: Clip) -> Voice:
        source = self._cloning
        if source is None:
            raise BadOption(f"engine {self.id!r} makes no voices from clips here; {PREFIX}MODELS names no XTTS")
        if not _SHORTEST_CLIP <= duration(clip.pcm, clip.sample_rate) <= _LONGEST_CLIP:
            raise BadClip(f"a clip is from {_SHORTEST_CLIP:g} to {_LONGEST_CLIP:g} seconds long")
        prompt = await self.lane.run(self._clone, source, clip)
        return Voice("cloned", "Cloned", "mul", source.rate, prompt=prompt)

    def _clone(self, source: Source, clip: Clip) -> bytes:
        with self._models[source].take() as model, torch_runtime.contained(self.id, "make a voice of the clip"):
            assert isinstance(model, Xtts)
            latent, embedding = model.clone(clip)
        return prompts.pack({"latent": latent, "embedding": embedding}, {})
