"""The provider: each of the three models is loaded when it is first needed, and an utterance has one to itself."""

from __future__ import annotations

import logging
from collections.abc import AsyncGenerator, Iterator, Mapping, Sequence
from contextlib import aclosing
from dataclasses import replace
from functools import partial
from typing import Any, ClassVar

import numpy as np

from audio.pcm import duration
from providers import torch_engine, torch_runtime
from providers.base import (
    SAMPLE_WIDTH,
    BadClip,
    BadOption,
    Capabilities,
    Clip,
    EngineFailed,
    EngineUnavailable,
    PcmChunk,
    Segment,
    UnknownVoice,
    Voice,
)
from providers.instances import Instances
from providers.lane import Lane
from providers.prompts import Unpacked
from providers.qwen import catalogue, options
from providers.qwen.catalogue import ANY, DESIGN, RATE
from providers.qwen.clone import (
    LONGEST_CLIP,
    LONGEST_DESCRIPTION,
    LONGEST_TRANSCRIPT,
    SHORTEST_CLIP,
    Clone,
    describe,
    described_by,
    harmless,
    unpack,
)
from providers.qwen.frames import Frames
from providers.qwen.model import ENGINE, Model, Speech
from providers.qwen.settings import PREFIX, Kind, QwenSettings, read
from providers.qwen.speech import speak
from providers.sound import Edges, to_pcm
from providers.text import sayable

log = logging.getLogger(__name__)

_PIECE = RATE // 5 * SAMPLE_WIDTH
"""Bytes of a chunk at most: 200 ms, so that a cancel and a channel bounded in time have a fine grain."""
_WARM_UP = "Ready to speak."
_WARM_UP_FRAMES = 12
_SENTENCE_ENDS = frozenset(".!?…。！？")


class Qwen:
    """Qwen3-TTS: custom voice, voice design and base, as far as ``settings`` name them; from the environment where they
    are not given."""

    id: ClassVar[str] = ENGINE
    # 300 characters are about twenty seconds. An utterance keeps its model until its last sentence is said.
    capabilities: ClassVar[Capabilities] = Capabilities(streams=True, max_characters=300, segments_at_once=1)
    option_names: ClassVar[frozenset[str]] = frozenset(options.OPTIONS)

    def __init__(self, settings: QwenSettings | None = None) -> None:
        self.settings = settings or read()
        self._voices = catalogue.voices(self.settings)
        self._models: dict[Kind, Instances[Model]] = {
            kind: Instances(partial(Model, kind, self.settings)) for kind in self.settings.models
        }
        self._where = ""
        self.lane = Lane(self.settings.width, self.id, max_waiting=self.settings.max_waiting)

    # ---- what the gateway may know

    @property
    def places(self) -> int:
        return self.lane.width

    @property
    def detail(self) -> str | None:
        """For whoever runs the gateway."""
        loaded = [kind for kind, instances in self._models.items() if instances.made]
        return f"{', '.join(loaded)} on {self._where}" if loaded else None

    async def voices(self) -> Sequence[Voice]:
        return tuple(self._voices.values())

    def check(self, given: Mapping[str, Any]) -> Mapping[str, Any]:
        return options.check(given)

    # ---- start and end

    async def start(self) -> None:
        if not self._models:
            raise EngineUnavailable(
                f"engine {self.id!r} has no model; name one in {PREFIX}CUSTOM_VOICE_MODEL, such as "
                "Qwen/Qwen3-TTS-12Hz-0.6B-CustomVoice"
            )
        await torch_engine.begin(self.lane, self._warm_up, self._models.values())

    async def _warm_up(self) -> None:
        await self.lane.run(self._load)
        if self.settings.voice not in (None, *self._voices):
            raise EngineUnavailable(f"engine {self.id!r} has no voice {self.settings.voice!r}, its default voice")
        default = next(iter(self._voices.values()), None)
        if default is None:
            raise EngineUnavailable(f"engine {self.id!r} has no voice: its custom voice model names no speaker")
        async with aclosing(
            self.synthesize(Segment(_WARM_UP, default, options={"max_tokens": _WARM_UP_FRAMES}))
        ) as chunks:
            async for _ in chunks:
                pass

    async def close(self) -> None:
        await torch_engine.end(self.lane, self._models.values())

    def _load(self) -> None:
        """The model of the default voice, or all of them. Blocking."""
        kinds = list(self._models) if self.settings.preload else [self._default]
        for kind in kinds:
            with self._models[kind].take() as model:
                self._where = model.where
                if kind == "custom_voice":
                    self._voices = catalogue.voices(self.settings, model.speakers)

    @property
    def _default(self) -> Kind:
        first = next(iter(self._voices), None)
        return next(iter(self._models)) if first is None else self._speaker(first)

    # ---- speaking

    async def synthesize(self, segment: Segment) -> AsyncGenerator[PcmChunk, None]:
        kind = self._kind(segment.voice)
        text = harmless(segment.text)
        if not sayable(text):
            return
        frames = Frames()
        work = partial(self._speak, kind, text, segment, frames)
        async with aclosing(self.lane.iterate(work, exclusive=True, batch=segment.batch)) as pieces:
            try:
                async for pcm in pieces:
                    for start in range(0, len(pcm), _PIECE):
                        yield PcmChunk(pcm[start : start + _PIECE])
            finally:
                # Lets the thread go that waits for a piece, and the model end with the frame that it is at.
                frames.stop()

    def _kind(self, voice: Voice) -> Kind:
        """The model that speaks it. Raises ``UnknownVoice``."""
        if voice.prompt is None:
            if voice.id not in self._voices:
                raise UnknownVoice(f"engine {self.id!r} has no such voice; it has: {', '.join(self._voices)}")
            return self._speaker(voice.id)
        kind: Kind = "voice_design" if "description" in Unpacked(self.id, voice.prompt) else "base"
        if kind not in self._models:
            raise UnknownVoice(f"this voice needs a model that engine {self.id!r} does not have now")
        return kind

    def _speaker(self, name: str) -> Kind:
        return "voice_design" if name == DESIGN else "base" if name == ANY else "custom_voice"

    def _speak(self, kind: Kind, text: str, segment: Segment, frames: Frames) -> Iterator[bytes]:
        """Its PCM. Blocking."""
        edges = Edges(RATE, whole=text[-1] in _SENTENCE_ENDS)
        with self._models[kind].take() as model, torch_runtime.contained(self.id, "speak a segment"):
            speech = self._speech(model, text, segment)
            for sound in speak(model, speech, frames, self.settings.first_frames, self.settings.frames):
                ready = edges.push(sound)
                if ready.size:
                    yield to_pcm(ready, 1.0)
            rest = edges.push(np.empty(0, np.float32), last=True)
            if rest.size:
                yield to_pcm(rest, 1.0)

    def _speech(self, model: Model, text: str, segment: Segment) -> Speech:
        given = dict(segment.options)
        instruct, speaker, clone = harmless(given.pop("instruct", "")), None, None
        voice = segment.voice
        if voice.prompt is None:
            speaker = voice.id if model.kind == "custom_voice" else None
        else:
            unpacked = Unpacked(self.id, voice.prompt)
            if model.kind == "base":
                clone = unpack(unpacked, model.bounds)
            else:
                instruct = f"{described_by(unpacked)} {instruct}".strip()
        language = catalogue.language(segment.language)
        return Speech(text, speaker, language, instruct, clone, {**self.settings.sampling, **given})

    # ---- making voices

    @property
    def clones(self) -> bool:
        return "base" in self._models

    @property
    def designs(self) -> bool:
        return "voice_design" in self._models

    async def clone(self, clip: Clip) -> Voice:
        if not self.clones:
            raise BadOption(f"engine {self.id!r} makes no voices from clips here; {PREFIX}BASE_MODEL names no model")
        seconds = duration(clip.pcm, clip.sample_rate)
        if not SHORTEST_CLIP <= seconds <= LONGEST_CLIP:
            raise BadClip(f"a clip is from {SHORTEST_CLIP:g} to {LONGEST_CLIP:g} seconds long")
        transcript = harmless(clip.transcript or "")
        if len(transcript) > LONGEST_TRANSCRIPT:
            raise BadClip(f"what is said in a clip is at most {LONGEST_TRANSCRIPT} characters")
        made = await self.lane.run(self._clone, replace(clip, transcript=transcript if sayable(transcript) else None))
        return catalogue.made("cloned", "Cloned", None, made.pack())

    def _clone(self, clip: Clip) -> Clone:
        with self._models["base"].take() as model, torch_runtime.contained(self.id, "make a voice of the clip"):
            return model.clone(clip)

    async def design(self, description: str, language: str | None = None) -> Voice:
        """With a base model beside the one that designs, the voice is heard once and cloned: then it is the same for
        every sentence. Otherwise it is designed anew for each."""
        if not self.designs:
            raise BadOption(
                f"engine {self.id!r} makes no voices from descriptions here; {PREFIX}VOICE_DESIGN_MODEL names no model"
            )
        wanted = harmless(description)
        if not sayable(wanted) or len(wanted) > LONGEST_DESCRIPTION:
            raise BadOption(f"a description is a text of at most {LONGEST_DESCRIPTION} characters")
        voice = catalogue.made("designed", "Designed", wanted, describe(wanted))
        if not self.clones:
            return voice
        sample = catalogue.sample(language)
        segment = Segment(sample, voice, language=language)
        async with aclosing(self.synthesize(segment)) as chunks:
            pcm = b"".join([chunk.pcm async for chunk in chunks])
        heard = pcm[: int(LONGEST_CLIP * RATE) * SAMPLE_WIDTH]
        if duration(heard, RATE) < SHORTEST_CLIP:
            raise EngineFailed(f"engine {self.id!r} said too little to make a voice of; try again")
        return replace(voice, prompt=(await self.clone(Clip(heard, RATE, sample))).prompt)
