"""Every setting of the engine, its unit and its default: ``VOXWIRE_VOLCANO_*`` variables and ``.env``.

``docs/engines/volcano.md`` has a row for each field; a test holds the two together. Three fields also answer to names
that an earlier system used.
"""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import AliasChoices, Field, SecretStr, field_validator
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

SampleRate = Literal[8000, 16000, 22050, 24000, 32000, 44100, 48000]


def _also(name: str, earlier: str) -> AliasChoices:
    return AliasChoices(f"VOXWIRE_VOLCANO_{name}", earlier)


class VolcanoSettings(BaseSettings):
    """How the service is reached, with which account, and how it is asked to speak."""

    model_config = SettingsConfigDict(
        env_prefix="VOXWIRE_VOLCANO_",
        env_file=".env",
        extra="ignore",
        frozen=True,
        populate_by_name=True,
        hide_input_in_errors=True,
    )

    # The account
    api_key: SecretStr = SecretStr("")
    app_id: str = Field("", validation_alias=_also("APP_ID", "VOLCENGINE_TTS_APPID"))
    access_key: SecretStr = Field(SecretStr(""), validation_alias=_also("ACCESS_KEY", "VOLCENGINE_TTS_ACCESS_KEY"))
    concurrency: int = Field(10, ge=1, le=10_000, validation_alias=_also("CONCURRENCY", "VOLCENGINE_TTS_CONCURRENCY"))

    # The service
    url: str = Field("https://openspeech.bytedance.com", pattern=r"^https?://[^\s/]+/?$")
    path: str = Field("/api/v3/tts", pattern=r"^/[\w/.-]+$")
    cluster: str = "volcano_tts"
    resource: str | None = None
    model: str | None = None

    # Voices
    voice: str = "zh_female_vv_uranus_bigtts"
    voices: Annotated[tuple[str, ...], NoDecode] = ()
    sample_rate: SampleRate = 24000
    timestamps: bool = True

    # Time, in seconds
    connect_timeout: float = Field(10.0, gt=0)
    answer_timeout: float = Field(20.0, gt=0)
    finish_after: float = Field(2.0, gt=0)
    idle: float = Field(20.0, gt=0)
    retries: int = Field(3, ge=0, le=10)

    @field_validator("voices", mode="before")
    @classmethod
    def _split(cls, value: object) -> object:
        """Lists are written with commas, as people write them in an environment file."""
        if isinstance(value, str):
            return tuple(part.strip() for part in value.split(",") if part.strip())
        return value

    @field_validator("sample_rate", mode="before")
    @classmethod
    def _number(cls, value: object) -> object:
        """A literal is compared as it is, and a variable is text."""
        return int(value) if isinstance(value, str) and value.strip().isdecimal() else value
