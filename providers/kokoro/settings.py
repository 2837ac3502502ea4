"""What the operator sets: ``VOXWIRE_KOKORO_*`` variables, or lines of ``.env``.

``docs/engines/kokoro.md`` has a row for each field; a test holds the two together.
"""

from __future__ import annotations

from pathlib import Path

from pydantic import Field, ValidationError
from pydantic_settings import BaseSettings, SettingsConfigDict

from providers.lane import cores
from providers.settings import wrong

PREFIX = "VOXWIRE_KOKORO_"
_CORES = 4
"""Beyond so many a batch is hardly made sooner."""


class KokoroSettings(BaseSettings):
    model_config = SettingsConfigDict(env_prefix=PREFIX, env_file=".env", extra="ignore", frozen=True)

    model: Path | None = None
    voices: Path | None = None
    voice: str | None = None
    width: int = Field(0, ge=0)
    threads: int = Field(0, ge=0, le=64)
    max_waiting: int = Field(256, ge=0)

    @property
    def run_threads(self) -> int:
        """Threads that make one batch. A model that is about as fast as speech needs several cores for one listener."""
        return self.threads or min(_CORES, cores())

    @property
    def lane_width(self) -> int:
        """Batches that are made at the same time."""
        return min(self.width or max(1, cores() // self.run_threads), cores())


def read() -> KokoroSettings:
    """The settings as they are in the environment. Raises ``EngineUnavailable`` that names what is wrong."""
    try:
        return KokoroSettings()
    except ValidationError as error:
        raise wrong(KokoroSettings, error) from None
