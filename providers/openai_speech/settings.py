"""What the operator sets: ``VOXWIRE_OPENAI_SPEECH_*`` variables, or lines of ``.env``.

``docs/engines/openai-speech.md`` has a row for each field; a test holds the two together.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

import orjson
from pydantic import Field, SecretStr, ValidationError, ValidationInfo, field_validator
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict
from yarl import URL

from providers.settings import wrong

PREFIX = "VOXWIRE_OPENAI_SPEECH_"
_EXAMPLE = "an address such as http://127.0.0.1:8880/v1"


class OpenAISpeechSettings(BaseSettings):
    model_config = SettingsConfigDict(env_prefix=PREFIX, env_file=".env", extra="ignore", frozen=True)

    url: str = "http://127.0.0.1:8880/v1"
    api_key: SecretStr | None = None
    model: str = "tts-1"
    voices: Annotated[tuple[str, ...], NoDecode] = ()
    language: str = "en"
    sample_rate: int = Field(24_000, ge=8000, le=48_000)
    response_format: Literal["pcm", "wav"] = "pcm"
    places: int = Field(16, ge=1)
    connect_timeout: float = Field(5.0, gt=0)
    read_timeout: float = Field(30.0, gt=0)
    extra: Annotated[dict[str, Any], NoDecode] = Field(default_factory=dict)

    @field_validator("voices", mode="before")
    @classmethod
    def _split(cls, value: object) -> object:
        if isinstance(value, str):
            return tuple(dict.fromkeys(part.strip() for part in value.split(",") if part.strip()))
        return value

    @field_validator("extra", mode="before")
    @classmethod
    def _parsed(cls, value: object) -> object:
        if not isinstance(value, str):
            return value
        try:
            return orjson.loads(value or "{}")
        except orjson.JSONDecodeError:
            raise ValueError('a JSON object such as {"stream": true}') from None

    @field_validator("url")
    @classmethod
    def _address(cls, url: str) -> str:
        try:
            parsed = URL(url)
            usable = parsed.scheme in {"http", "https"} and parsed.host and not parsed.query_string
        except ValueError:
            usable = False
        if not usable or "#" in url or any(map(str.isspace, url)):
            raise ValueError(_EXAMPLE)
        return url.rstrip("/")

    @field_validator("api_key")
    @classmethod
    def _sendable(cls, key: SecretStr | None, before: ValidationInfo) -> SecretStr | None:
        """A key that was read from a file ends with a line feed, which no header can carry."""
        secret = "" if key is None else key.get_secret_value().strip()
        if not secret.isprintable():
            raise ValueError("a key has no control characters")
        if secret and URL(before.data.get("url", "")).user is not None:
            raise ValueError(f"{PREFIX}URL says already who asks, and only one of them can")
        return SecretStr(secret) if secret else None


def read() -> OpenAISpeechSettings:
    """The settings as they are in the environment. Raises ``EngineUnavailable`` that names what is wrong."""
    try:
        return OpenAISpeechSettings()
    except ValidationError as error:
        raise wrong(OpenAISpeechSettings, error) from None
