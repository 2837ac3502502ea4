"""The names that this API has for engines, voices and formats."""

from __future__ import annotations

MODELS = ("gpt-4o-mini-tts", "tts-1", "tts-1-hd")
"""OpenAI's own names, also with a date behind them: the deployment's default engine. A provider's id is that one."""

VOICES = (
    *("alloy", "ash", "ballad", "cedar", "coral", "echo", "fable"),
    *("marin", "nova", "onyx", "sage", "shimmer", "verse"),
)
"""OpenAI's own names. Where no engine has a voice of such a name, it means the engine's default voice."""

FORMATS: dict[str, tuple[str, int | None]] = {
    "mp3": ("mp3", None),
    "opus": ("opus", None),
    "aac": ("aac", None),
    "flac": ("flac", None),
    "wav": ("wav", None),
    # Every client takes this for 24 kHz, since nothing in the answer says so.
    "pcm": ("pcm16", 24_000),
}
"""Our format and the rate, by the name in ``response_format``; without a rate the voice's own is taken."""

DEFAULT_FORMAT = "mp3"
