"""A cloned voice as bytes: the speaker's embedding and, where it is known what the clip says, its codes and words."""

from __future__ import annotations

import re
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from providers import prompts
from providers.prompts import Shape, Unpacked
from providers.qwen.options import LONGEST_INSTRUCTION
from providers.text import plain

LONGEST_CLIP = 60.0
SHORTEST_CLIP = 0.5
"""Seconds."""
LONGEST_TRANSCRIPT = 2000
LONGEST_DESCRIPTION = LONGEST_INSTRUCTION
_LONGEST_CODES = 1000
"""Frames of 80 ms."""
_TOKEN = re.compile(r"<([^<>\s]{1,60})>")


def harmless(text: str) -> str:
    """Plain, and without what would end a text or begin another: the models' tokenizer reads ``<|im_end|>``,
    ``<tts_pad>`` and the like wherever they stand."""
    return plain(_TOKEN.sub(r" \1 ", plain(text)))


@dataclass(frozen=True, slots=True)
class Clone:
    embedding: NDArray[np.float32]
    """Of the speaker, one dimension."""
    codes: NDArray[np.int16] | None = None
    """Of the clip: (frames, groups)."""
    transcript: str = ""

    def pack(self) -> bytes:
        arrays: dict[str, NDArray[np.generic]] = {"embedding": self.embedding}
        if self.codes is not None:
            arrays["codes"] = self.codes
        return prompts.pack(arrays, {"transcript": self.transcript})


@dataclass(frozen=True, slots=True)
class Bounds:
    """What a prompt has to fit, for the base model that is loaded."""

    embedding: int
    groups: int
    codebook: int


def unpack(prompt: Unpacked, bounds: Bounds) -> Clone:
    """Raises ``UnknownVoice``."""
    embedding = prompt.array("embedding", Shape([bounds.embedding])).astype(np.float32)
    transcript = harmless(prompt.text("transcript")[:LONGEST_TRANSCRIPT])
    if "codes" not in prompt or not transcript:
        return Clone(embedding)
    shape = Shape([(1, _LONGEST_CODES), bounds.groups], whole=True, lowest=0, highest=bounds.codebook - 1)
    return Clone(embedding, prompt.array("codes", shape).astype(np.int16), transcript)


def described_by(prompt: Unpacked) -> str:
    """Of a designed voice that is nothing else. Raises ``UnknownVoice``."""
    return harmless(prompt.text("description")[:LONGEST_DESCRIPTION])


def describe(description: str) -> bytes:
    """A designed voice that is nothing but its description."""
    return prompts.pack({}, {"description": description})
