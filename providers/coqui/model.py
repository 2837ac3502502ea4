"""A model as it is loaded: text into sound, sentence by sentence. For one use at a time. Blocking."""

from __future__ import annotations

import logging
import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from providers import torch_runtime
from providers.base import Clip, EngineFailed, EngineUnavailable
from providers.coqui.catalogue import XTTS, Source, agreed, listed
from providers.coqui.reader import Reader
from providers.coqui.settings import CoquiSettings
from providers.prompts import Shape, Unpacked

log = logging.getLogger(__name__)

ENGINE = "coqui"
INSTALL = "pip install 'voxwire[coqui]'"

Floats = NDArray[np.float32]

_LATENTS = 256
"""Of a voice, at most; there are 32."""


@dataclass(frozen=True, slots=True)
class Manner:
    """How something is said."""

    speaker: str | None = None
    language: str = ""
    speed: float = 1.0
    prompt: Unpacked | None = None
    sampling: Mapping[str, Any] = field(default_factory=dict)


class Model(Protocol):
    rate: int
    """Hz."""

    def sentences(self, text: str, manner: Manner) -> Sequence[str]:
        """What is said in one go; what the model has no letters for is left out."""

    def sound(self, sentence: str, manner: Manner) -> Iterator[Floats]:
        """Samples from about -1 to 1."""


def load(source: Source, settings: CoquiSettings, where: str) -> Model:
    """Raises ``MissingDependency``, or ``EngineUnavailable`` where it cannot be loaded."""
    api: Any = torch_runtime.load(ENGINE, INSTALL, "TTS.api")
    # It warns of a letter that a model lacks with the whole text, which is the caller's.
    logging.getLogger("TTS").setLevel(logging.ERROR)
    try:
        if source.named:
            loaded = api.TTS(model_name=source.given, progress_bar=False)
        else:
            given = {"model_path": str(source.checkpoint), "config_path": str(source.config_path)}
            loaded = api.TTS(**given, progress_bar=False)
        synthesizer = loaded.to(where).synthesizer
        return Xtts(synthesizer, settings) if source.kind == XTTS else Whole(synthesizer, settings)
    except Exception as error:
        log.warning("the Coqui model %s cannot be loaded: %s: %s", source.given, type(error).__name__, error)
        raise EngineUnavailable(f"engine {ENGINE!r} cannot load its model {source.id!r}") from error


def fetch(source: Source, settings: CoquiSettings) -> None:
    """See that it is there, without loading it. Raises ``EngineUnavailable``."""
    source.look()
    _agree(source, settings)
    if source.path is not None:
        return
    if not source.named:
        raise EngineUnavailable(
            f"engine {ENGINE!r} finds no model {source.id!r}: no file, no folder, no name of Coqui's"
        )
    manage: Any = torch_runtime.load(ENGINE, INSTALL, "TTS.utils.manage")
    try:
        manage.ModelManager(progress_bar=False).download_model(source.given)
    except Exception as error:
        log.warning("the Coqui model %s cannot be fetched: %s: %s", source.given, type(error).__name__, error)
        raise EngineUnavailable(f"engine {ENGINE!r} cannot fetch its model {source.id!r}") from error
    source.look()


def _agree(source: Source, settings: CoquiSettings) -> None:
    """To a licence, where it has one that asks for it. Coqui looks whenever it loads such a model by its name, and asks
    on the terminal where nothing is said. Raises ``EngineUnavailable``."""
    if not source.named or not listed(source.given).get("tos_required") or agreed(source.given):
        return
    if not settings.tos_agreed:
        raise EngineUnavailable(
            f"the model {source.id!r} is for those who agree to its licence, https://tts-hub.github.io/cpml; "
            "whoever does sets COQUI_TOS_AGREED=1"
        )
    os.environ["COQUI_TOS_AGREED"] = "1"


class Whole:
    """VITS, Tacotron and all others that make a sentence at once."""

    def __init__(self, synthesizer: Any, settings: CoquiSettings) -> None:
        self._synthesizer = synthesizer
        self._model = synthesizer.tts_model
        self._pad = _pad()
        self._scale = getattr(self._model, "length_scale", None)
        self.rate = int(synthesizer.output_sample_rate)

    def sentences(self, text: str, manner: Manner) -> Sequence[str]:
        language = self._language(manner.language)
        found = self._synthesizer.split_into_sentences(text, language)
        return [sentence for sentence in found if len(self._model.tokenizer.text_to_ids(sentence, language))]

    def sound(self, sentence: str, manner: Manner) -> Iterator[Floats]:
        if self._scale is not None:
            self._model.length_scale = self._scale / manner.speed
        made = self._synthesizer.tts(
            sentence,
            speaker_name=manner.speaker,
            language_name=self._language(manner.language),
            split_sentences=False,
        )
        yield np.asarray(made, np.float32)[: -self._pad]

    def _language(self, tag: str) -> str | None:
        """As the model names it, where it speaks several."""
        manager = self._model.language_manager
        if manager is None or manager.num_languages < 2:
            return None
        names: list[str] = list(manager.language_names)
        return next((name for name in names if name.lower().startswith(tag.lower()[:2])), names[0])


def _pad() -> int:
    """Samples of silence that Coqui puts behind each sentence."""
    from TTS.utils.synthesizer import PAD_SILENCE_SAMPLES

    return int(PAD_SILENCE_SAMPLES)


class Xtts:
    """Streams; its voices are latents, those of its speakers or of a clip."""

    def __init__(self, synthesizer: Any, settings: CoquiSettings) -> None:
        from providers.coqui.tail import Tail

        self._model = synthesizer.tts_model
        self._config = self._model.config
        self._chunk = settings.chunk
        self._reader = Reader(self._model.tokenizer, self._model.args.gpt_max_text_tokens)
        decoder = self._model.hifigan_decoder
        self._tail = decoder.waveform_decoder = Tail(decoder.waveform_decoder, int(decoder.output_hop_length))
        self.rate = int(synthesizer.output_sample_rate)

    def sentences(self, text: str, manner: Manner) -> Sequence[str]:
        """In parts that are no longer than the model was taught."""
        return list(self._reader.parts(text, self._language(manner.language).partition("-")[0]))

    def sound(self, sentence: str, manner: Manner) -> Iterator[Floats]:
        latent, embedding = self._voice(manner)
        self._tail.begin()
        sampling = {name: self._config[name] for name in ("temperature", "top_p", "top_k", "repetition_penalty")}
        pieces = self._model.inference_stream(
            sentence,
            self._language(manner.language),
            latent,
            embedding,
            stream_chunk_size=self._chunk,
            speed=manner.speed,
            **{**sampling, **manner.sampling},
        )
        try:
            for piece in pieces:
                if piece.numel():
                    yield piece.float().cpu().numpy()
        except ImportError as error:
            language = self._language(manner.language).partition("-")[0]
            raise EngineFailed(
                f"engine {ENGINE!r} lacks a package for this language; run: pip install 'coqui-tts[{language}]'"
            ) from error

    def clone(self, clip: Clip) -> tuple[Floats, Floats]:
        """The latents of its voice, as ``prompt`` takes them."""
        wave = np.frombuffer(clip.pcm, "<i2").astype(np.float32) / np.float32(32768)
        sound, rate = torch_runtime.torch().from_numpy(wave)[None], clip.sample_rate
        latent = self._model.get_gpt_cond_latents(
            sound, rate, length=self._config.gpt_cond_len, chunk_length=self._config.gpt_cond_chunk_len
        )
        embedding = self._model.get_speaker_embedding(sound, rate)
        return latent.float().cpu().numpy(), embedding.float().cpu().numpy()

    def _voice(self, manner: Manner) -> tuple[Any, Any]:
        if manner.prompt is None:
            latent, embedding = self._model.speaker_manager.speakers[manner.speaker].values()
            return latent, embedding
        arguments = self._model.args
        shapes = {
            "latent": Shape([1, (1, _LATENTS), arguments.gpt_n_model_channels]),
            "embedding": Shape([1, arguments.d_vector_dim, 1]),
        }
        latent, embedding = (manner.prompt.array(name, shape).copy() for name, shape in shapes.items())
        torch = torch_runtime.torch()
        return torch.from_numpy(latent), torch.from_numpy(embedding)

    def _language(self, tag: str) -> str:
        wanted = tag.replace("_", "-").partition("-")[0].lower()
        return next((name for name in self._config.languages if name.partition("-")[0] == wanted), "en")
