"""The Orpheus engine, with all that the model was asked and has said taken down."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from providers.orpheus.completion import Completion
from providers.orpheus.engine import Orpheus
from providers.orpheus.llama import Llama
from providers.orpheus.settings import OrpheusSettings
from tests.support.fake_llama import FakeLlama
from tests.support.fake_snac import FakeDecoder
from tests.support.llama import AUDIO, CODES, SLOTS, LlamaServer

QUICK = {"retry_delay": 0.01, "probe_interval": 0.05, "longest_probe_interval": 0.05}
PATIENT = {"connect_timeout": 20.0, "first_token_timeout": 60.0, "token_timeout": 60.0}
"""On a machine that is busy with other things nothing is stalled yet."""


@dataclass
class Said:
    """What the model was asked and what it answered, taken down between the server and the engine."""

    request: Mapping[str, Any]
    tokens: list[int] = field(default_factory=list)

    @property
    def prompt(self) -> str:
        """The voice and the text."""
        text: str = self.request["prompt"][2]
        return text

    @property
    def seed(self) -> int:
        return int(self.request["seed"])

    def frames(self) -> list[tuple[int, ...]]:
        """By the formula of the model's authors, whatever the engine makes of them."""
        audio = [token for token in self.tokens if token >= AUDIO]
        codes = [token - AUDIO - index % SLOTS * CODES for index, token in enumerate(audio)]
        return [tuple(codes[start : start + SLOTS]) for start in range(0, len(codes) - SLOTS + 1, SLOTS)]


class Tapped(Llama):
    """Takes down every token that comes."""

    said: list[Said]

    @asynccontextmanager
    async def completion(self, request: Mapping[str, Any]) -> AsyncIterator[Completion]:
        said = Said(request)
        if "seed" in request:
            # Others are the engine's own trials.
            self.said.append(said)
        async with super().completion(request) as completion:
            read = completion.read

            async def taken_down() -> list[int] | None:
                tokens = await read()
                said.tokens += tokens or ()
                return tokens

            completion.read = taken_down  # type: ignore[method-assign]
            yield completion


def made(server: LlamaServer, weights: Path, **settings: Any) -> Orpheus:
    """On a real server and a real SNAC. A segment has 14 frames at most: a first window, some that grow, a last one."""
    given = {"max_tokens": 14 * SLOTS, "backend": "onnx", "url": server.url, "weights": str(weights)}
    return tapped(Orpheus(OrpheusSettings(_env_file=None, **{**given, **QUICK, **PATIENT, **settings})))


def scripted(fake: FakeLlama, **settings: Any) -> Orpheus:
    """On a server without a model, and a decoder without one."""
    given = OrpheusSettings(_env_file=None, **{"url": fake.url, **QUICK, **PATIENT, **settings})
    return tapped(Orpheus(given, decoder=lambda _: FakeDecoder()))  # type: ignore[arg-type, return-value]


def tapped(engine: Orpheus) -> Orpheus:
    engine.llama.__class__ = Tapped
    assert isinstance(engine.llama, Tapped)
    engine.llama.said = []
    return engine


def said(engine: Orpheus) -> list[Said]:
    """What the model said, in order."""
    assert isinstance(engine.llama, Tapped)
    return engine.llama.said


def asked(engine: Orpheus, text: str) -> list[Said]:
    """What it said for the segments of ``text``, in order, with the voice that is the default."""
    return [one for one in said(engine) if one.prompt.removeprefix("tara: ") in text]
