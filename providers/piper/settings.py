"""What the operator sets: ``VOXWIRE_PIPER_*`` variables, or lines of ``.env``.

``docs/engines/piper.md`` has a row for each field; a test holds the two together.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated

from pydantic import Field, ValidationError, field_validator
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

from providers.base import EngineUnavailable
from providers.lane import cores

PREFIX = "VOXWIRE_PIPER_"


class PiperSettings(BaseSettings):
    model_config = SettingsConfigDict(env_prefix=PREFIX, env_file=".env", extra="ignore", frozen=True)

    voices: Annotated[tuple[Path, ...], NoDecode] = ()
    voice: str | None = None
    cache: Path | None = None
    loaded: int = Field(4, ge=1)
    width: int = Field(0, ge=0)
    threads: int = Field(0, ge=0, le=16)
    max_waiting: int = Field(256, ge=0)
    volume: float = Field(1.0, gt=0, le=4)

    @field_validator("voices", mode="before")
    @classmethod
    def _split(cls, value: object) -> object:
        if isinstance(value, str):
            return tuple(part.strip() for part in value.split(",") if part.strip())
        return value

    @property
    def lane_width(self) -> int:
        """Segments of which a window is made at the same time."""
        return min(self.width or cores(), cores())

    @property
    def run_threads(self) -> int:
        """Threads that make one window."""
        return self.threads or min(2, cores())

    @property
    def shelf(self) -> Path | None:
        """The folder for voices that were taken apart; none for a user who has no home."""
        if self.cache is not None:
            return self.cache
        try:
            return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache", "voxwire", "piper")
        except RuntimeError:
            return None


def read() -> PiperSettings:
    """The settings as they are in the environment. Raises ``EngineUnavailable`` that names what is wrong."""
    try:
        return PiperSettings()
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        name = PREFIX + str(first["loc"][0]).upper()
        raise EngineUnavailable(f"{name} is wrong: {first['msg'][:1].lower()}{first['msg'][1:]}") from None
