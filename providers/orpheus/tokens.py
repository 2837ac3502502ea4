"""Token ids into SNAC frames.

A frame is seven tokens in seven slots; the token of slot ``s`` with code ``c`` is ``<custom_token_{10 + 4096 s + c}>``.
So a token says its own slot, and a model that leaves one out or says one twice is noticed at once: the frame it was
in is dropped, and the next slot 0 begins a new one. Counting on would shift every code after it into a wrong range.

Ids: ``orpheus_tts/decoder.py`` of canopyai/Orpheus-TTS, less its two slips (it drops code 0 and takes code 4096).
"""

from __future__ import annotations

from providers.base import EngineFailed
from providers.orpheus.prompt import CUSTOM

SLOTS, CODES = 7, 4096
FIRST_AUDIO = CUSTOM + 10
"""The id of slot 0, code 0."""
END_OF_SPEECH = CUSTOM + 2
ENDS = frozenset({END_OF_SPEECH, CUSTOM + 6, 128_009, 128_001})
"""End of speech, of the model's turn, of any turn, of the text."""
PATIENCE = 10 * SLOTS
"""Tokens without a whole frame after which this is no speech."""

Frame = tuple[int, ...]
"""Seven codes, 0 to 4095, in token order."""


class NoSpeech(EngineFailed):
    """What the model says is no speech, or nothing."""


class Frames:
    """Give it tokens one by one; it gives frames."""

    def __init__(self) -> None:
        self.ended = False
        """The model has said that it is done."""
        self.frames = 0
        self.slips = 0
        """How often a slot was left out or came twice."""
        self.lost = 0
        """Tokens that are in no frame: those of dropped frames, and those that are no audio."""
        self._codes: list[int] = []
        self._skipping = False
        self._since = 0

    def push(self, token: int) -> Frame | None:
        """The frame that ``token`` completes, if it does. Raises ``NoSpeech`` when none came for long."""
        if self.ended:
            return None
        if token in ENDS:
            self.ended = True
            self.lost += len(self._codes)
            self._codes = []
            return None
        slot, code = divmod(token - FIRST_AUDIO, CODES)
        if not 0 <= slot < SLOTS:
            self.lost += 1
        elif slot == len(self._codes):
            self._skipping = False
            self._codes.append(code)
        else:
            self._slip(slot, code)
        return self._whole()

    def _slip(self, slot: int, code: int) -> None:
        # Tokens that wait for a slot 0 are part of the slip before them.
        self.slips += not self._skipping
        self.lost += len(self._codes)
        self._codes = [code] if slot == 0 else []
        self.lost += slot != 0
        self._skipping = slot != 0

    def _whole(self) -> Frame | None:
        if len(self._codes) == SLOTS:
            frame = tuple(self._codes)
            self._codes = []
            self._since = 0
            self.frames += 1
            return frame
        self._since += 1
        if self._since >= PATIENCE:
            raise NoSpeech("the model behind llama-server says tokens that are no speech of Orpheus's")
        return None
