"""XTTS makes the sound of all codes anew for each piece that it streams, though only the end of it is new: twelve
pieces cost as much as six and a half utterances. Here the generator keeps what it has made, and makes the rest.
"""

from __future__ import annotations

from importlib import import_module
from typing import Any

torch: Any = import_module("torch")

_REACH = 14
"""Frames of latents to either side that a frame's sound depends on: HiFi-GAN's convolutions add up to 13.3."""
_LOOSE = 4
"""Frames at the end that become others when more follow: they are interpolated between what is there."""


class Tail(torch.nn.Module):
    """Stands for ``generator``, and is called with ever longer latents of one utterance. Gives what it would."""

    def __init__(self, generator: Any, hop: int) -> None:
        super().__init__()
        self.generator = generator
        self._hop = hop
        self._sound: Any = None

    def begin(self) -> None:
        """What follows is another utterance."""
        self._sound = None

    def forward(self, latents: Any, g: Any = None) -> Any:
        kept = self._kept(latents.shape[-1])
        first = max(0, kept - _REACH)
        sound = self.generator(latents[..., first:], g=g)[..., (kept - first) * self._hop :]
        if kept:
            sound = torch.cat((self._sound[..., : kept * self._hop], sound), -1)
        self._sound = sound
        return sound

    def _kept(self, frames: int) -> int:
        """How many frames of the sound that is there stay as they are."""
        if self._sound is None:
            return 0
        made = int(self._sound.shape[-1]) // self._hop
        return max(0, min(made, frames) - _REACH - _LOOSE)
