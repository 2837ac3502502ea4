"""Every setting, its unit and its default. Read from ``VOXWIRE_*`` variables and ``.env``.

``docs/settings.md`` has a row for each field; a test holds the two together. A few fields also answer to the
names that earlier systems used, so that their deployments keep working.
"""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path
from typing import Annotated, Literal
from urllib.parse import urlsplit

from pydantic import AliasChoices, Field, SecretStr, ValidationInfo, field_validator, model_validator
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict


def _also(name: str, seed_name: str) -> AliasChoices:
    return AliasChoices(f"VOXWIRE_{name}", seed_name)


class Settings(BaseSettings):
    """What ``voxwire serve`` runs with."""

    model_config = SettingsConfigDict(
        env_prefix="VOXWIRE_", env_file=".env", extra="ignore", frozen=True, populate_by_name=True
    )

    # Where it listens
    host: str = "127.0.0.1"
    port: int = Field(8080, ge=0, le=65535)
    public_url: str | None = None
    cors_origins: Annotated[tuple[str, ...], NoDecode] = ()
    api_keys: Annotated[tuple[str, ...], NoDecode] = ()
    tenant_weights: Annotated[tuple[tuple[str, Annotated[float, Field(ge=0.01, le=1000)]], ...], NoDecode] = ()

    admin_api_key: SecretStr | None = Field(None, validation_alias=_also("ADMIN_API_KEY", "ADMIN_API_KEY"))

    # Engines
    providers: Annotated[tuple[str, ...], NoDecode] = ("hibari", "mock_tone")
    mock_tone_enabled: bool = Field(True, validation_alias=_also("MOCK_TONE_ENABLED", "MOCK_TONE_ENABLED"))
    preload: Annotated[tuple[str, ...], NoDecode] = ("all",)
    isolated_engines: Annotated[tuple[str, ...], NoDecode] = ()
    engine_idle_s: float = Field(0.0, ge=0)
    engine_start_timeout: float = Field(300.0, gt=0)
    engine_timeout: float = Field(30.0, gt=0)

    # The path
    frame_ms: int = Field(20, ge=10, le=200)
    lead_ms: int = Field(400, ge=0, le=5000)
    ahead_s: float = Field(1.0, gt=0, le=60)
    first_segment_characters: int = Field(80, ge=20)
    max_segment_characters: int = Field(300, ge=40)
    transcoding_threads: int = Field(0, ge=0)

    # Limits
    max_sessions: int = Field(500, ge=1, validation_alias=_also("MAX_SESSIONS", "SESSION_QUEUE_WORKER_COUNT"))
    max_waiting: int = Field(100, ge=0, validation_alias=_also("MAX_WAITING", "SESSION_QUEUE_MAXSIZE"))
    max_connections: int = Field(10_000, ge=1)
    max_contexts: int = Field(64, ge=1, le=65535)
    max_message_bytes: int = Field(262_144, ge=1024)
    max_text_characters: int = Field(100_000, ge=1)
    text_timeout: float = Field(300.0, gt=0)
    send_timeout: float = Field(10.0, gt=0)
    unread_s: float = Field(1.0, gt=0)
    unread_bytes: int = Field(131_072, ge=16_384)
    rate_limit_requests: int = Field(
        50, ge=0, validation_alias=_also("RATE_LIMIT_REQUESTS", "RATE_LIMIT_MAX_REQUESTS_PER_WINDOW")
    )
    rate_limit_window: float = Field(
        60.0, gt=0, validation_alias=_also("RATE_LIMIT_WINDOW", "RATE_LIMIT_WINDOW_SECONDS")
    )

    # Sessions that are made before they are listened to, and what was spoken
    session_ttl: float = Field(300.0, gt=0)
    recording_ttl: float = Field(600.0, gt=0)
    recording_bytes: int = Field(268_435_456, ge=0)
    recording_memory_bytes: int = Field(67_108_864, ge=1_048_576)
    max_conversions: int = Field(8, ge=1)
    batch_memory_bytes: int = Field(268_435_456, ge=1_048_576)

    # Voices that callers make
    voices_dir: Path | None = None
    voices_per_key: int = Field(100, ge=0)
    voices_bytes: int = Field(268_435_456, ge=0)
    voice_clip_bytes: int = Field(10_485_760, ge=1024)
    voice_clip_s: float = Field(60.0, ge=1, le=600)
    voice_uploads: int = Field(4, ge=1, le=64)
    voice_upload_timeout: float = Field(30.0, gt=0)
    voice_rate_limit: int = Field(20, ge=0)
    voice_url_ports: Annotated[tuple[Annotated[int, Field(ge=1, le=65535)], ...], NoDecode] = (80, 443)

    # What gateways share
    redis_url: str | None = None
    lease_s: float = Field(10.0, ge=1, le=300)

    # Operation
    drain_s: float = Field(20.0, ge=0)
    log_level: Literal["debug", "info", "warning", "error"] = "info"
    log_format: Literal["text", "json"] = "text"

    @field_validator(
        "providers", "preload", "isolated_engines", "api_keys", "cors_origins", "voice_url_ports", mode="before"
    )
    @classmethod
    def _split(cls, value: object) -> object:
        """Lists are written with commas, as people write them in an environment file."""
        if isinstance(value, str):
            return tuple(part.strip() for part in value.split(",") if part.strip())
        return value

    @field_validator("isolated_engines")
    @classmethod
    def _engines_are_there(cls, value: tuple[str, ...], info: ValidationInfo) -> tuple[str, ...]:
        """A name that is written wrong would leave an engine in this process, against its operator's will."""
        for name in value:
            if name not in info.data.get("providers", value):
                raise ValueError(f"it has the name {name!r}, and providers has not")
        return value

    @field_validator("tenant_weights", mode="before")
    @classmethod
    def _weights(cls, value: object) -> object:
        """``name=weight`` with commas between them."""
        if not isinstance(value, str):
            return value
        weights = []
        for part in value.split(","):
            name, equals, weight = (piece.strip() for piece in part.partition("="))
            if equals:
                weights.append((name, weight))
            elif name:
                raise ValueError("write name=weight, with commas between several")
        return tuple(weights)

    @field_validator("voices_dir", mode="before")
    @classmethod
    def _folder(cls, value: object) -> object:
        """Left empty it is none, and not the folder in which the gateway starts."""
        return value or None

    @field_validator("redis_url")
    @classmethod
    def _redis(cls, value: str | None) -> str | None:
        if not value:
            return None
        if not value.startswith(("redis://", "rediss://", "unix://")):
            raise ValueError("write redis://host:port/database, rediss:// for TLS, or unix:///path")
        try:
            # Raises for a port that is no number.
            _ = urlsplit(value).port
        except ValueError:
            raise ValueError("its port is no number from 0 to 65535") from None
        if find_spec("redis") is None:
            raise ValueError("it needs a package that is not installed; run: pip install 'voxwire[redis]'")
        return value

    @model_validator(mode="after")
    def _weighted_tenants_have_keys(self) -> Settings:
        named = {key.partition(":")[0] for key in self.api_keys if ":" in key}
        for name, _ in self.tenant_weights:
            if name not in named:
                raise ValueError(f"tenant_weights has the name {name!r}, and api_keys has no {name}:KEY")
        return self

    @property
    def enabled_providers(self) -> tuple[str, ...]:
        return tuple(name for name in self.providers if name != "mock_tone" or self.mock_tone_enabled)
