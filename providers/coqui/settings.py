"""What the operator sets: ``VOXWIRE_COQUI_*`` variables, or lines of ``.env``.

``docs/engines/coqui.md`` has a row for each field; a test holds the two together.
"""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import AliasChoices, Field, ValidationError, field_validator
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

from providers.coqui import options
from providers.settings import wrong

PREFIX = "VOXWIRE_COQUI_"


class CoquiSettings(BaseSettings):
    model_config = SettingsConfigDict(
        env_prefix=PREFIX, env_file=".env", extra="ignore", frozen=True, populate_by_name=True, env_ignore_empty=True
    )

    # Folders, checkpoints, or names such as tts_models/en/ljspeech/vits
    models: Annotated[tuple[str, ...], NoDecode] = ()
    voice: str | None = None
    language: str = "en"
    tos_agreed: bool = Field(False, validation_alias=AliasChoices(f"{PREFIX}TOS_AGREED", "COQUI_TOS_AGREED"))

    # Where and how they run
    device: str | None = None
    width: int = Field(1, ge=1)
    threads: int = Field(0, ge=0, le=256)
    max_waiting: int = Field(256, ge=0)
    chunk: int = Field(20, ge=1, le=500)

    # How XTTS speaks, where a request does not say; none: as the model's own file says
    temperature: float | None = Field(None, ge=options.TEMPERATURE.lowest, le=options.TEMPERATURE.highest)
    top_p: float | None = Field(None, ge=options.TOP_P.lowest, le=options.TOP_P.highest)
    top_k: int | None = Field(None, ge=options.TOP_K.lowest, le=options.TOP_K.highest)
    repetition_penalty: float | None = Field(
        None, ge=options.REPETITION_PENALTY.lowest, le=options.REPETITION_PENALTY.highest
    )

    @field_validator("models", mode="before")
    @classmethod
    def _split(cls, value: object) -> object:
        if isinstance(value, str):
            return tuple(part.strip() for part in value.split(",") if part.strip())
        return value

    @property
    def sampling(self) -> dict[str, Any]:
        """What is set of it."""
        return {name: value for name in options.OPTIONS if (value := getattr(self, name)) is not None}


def read() -> CoquiSettings:
    """The settings as they are in the environment. Raises ``EngineUnavailable`` that names what is wrong."""
    try:
        return CoquiSettings()
    except ValidationError as error:
        raise wrong(CoquiSettings, error) from None
