"""What the operator sets: ``VOXWIRE_ORPHEUS_*`` variables, or lines of ``.env``.

``docs/engines/orpheus.md`` has a row for each field; a test holds the two together.
"""

from __future__ import annotations

from pathlib import Path
from urllib.parse import urlsplit

from pydantic import Field, SecretStr, ValidationError, ValidationInfo, field_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

from audio.snac import HUB_ID, BackendName
from providers.base import EngineUnavailable
from providers.orpheus import options

PREFIX = "VOXWIRE_ORPHEUS_"


class OrpheusSettings(BaseSettings):
    model_config = SettingsConfigDict(env_prefix=PREFIX, env_file=".env", extra="ignore", frozen=True)

    # llama-server
    url: str = "http://127.0.0.1:8090"
    api_key: SecretStr | None = None
    server: str | None = Field(None, min_length=1, max_length=100)
    places: int | None = Field(None, ge=1)
    connect_timeout: float = Field(2.0, gt=0)
    first_token_timeout: float = Field(10.0, gt=0)
    token_timeout: float = Field(5.0, gt=0)
    attempts: int = Field(3, ge=1, le=10)
    retry_delay: float = Field(0.2, ge=0)
    failures: int = Field(3, ge=1)
    check_interval: float = Field(15.0, gt=0)
    probe_interval: float = Field(1.0, gt=0)
    longest_probe_interval: float = Field(15.0, gt=0)

    # SNAC
    weights: str = HUB_ID
    backend: BackendName = "auto"
    device: str | None = None
    exact: bool = True
    cache: Path | None = None

    # How the model speaks, where a request does not say
    temperature: float = Field(0.6, ge=options.TEMPERATURE.lowest, le=options.TEMPERATURE.highest)
    top_p: float = Field(0.9, ge=options.TOP_P.lowest, le=options.TOP_P.highest)
    top_k: int = Field(40, ge=options.TOP_K.lowest, le=options.TOP_K.highest)
    repetition_penalty: float = Field(1.1, ge=options.REPETITION_PENALTY.lowest, le=options.REPETITION_PENALTY.highest)
    max_tokens: int = Field(2048, ge=options.MAX_TOKENS.lowest, le=options.MAX_TOKENS.highest)

    @field_validator("url", mode="after")
    @classmethod
    def _address(cls, url: str) -> str:
        url = url.strip()
        parts = urlsplit(url)
        try:
            # Raises for a port that is no number.
            whole = parts.scheme in {"http", "https"} and parts.hostname and parts.port != 0
        except ValueError:
            whole = False
        if not whole or parts.query or parts.fragment or any(map(str.isspace, url)):
            raise ValueError("write an address such as http://127.0.0.1:8090")
        return url

    @field_validator("api_key", mode="after")
    @classmethod
    def _key(cls, key: SecretStr | None, given: ValidationInfo) -> SecretStr | None:
        """A key that is read from a file has a line break behind it."""
        secret = key.get_secret_value().strip() if key else ""
        if not secret:
            return None
        if not (secret.isascii() and secret.isprintable()):
            raise ValueError("it goes into a header, so it is printable ASCII")
        if urlsplit(given.data.get("url", "")).username is not None:
            raise ValueError("the address has a user name, and a request has room for one of the two")
        return SecretStr(secret)

    @property
    def sampling(self) -> dict[str, int | float]:
        names = options.OPTIONS.keys() & type(self).model_fields.keys()
        return {name: getattr(self, name) for name in names}


def read() -> OrpheusSettings:
    """The settings as they are in the environment. Raises ``EngineUnavailable`` that names what is wrong."""
    try:
        return OrpheusSettings()
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        name = PREFIX + "_".join(map(str, first["loc"])).upper()
        reason = first["msg"].removeprefix("Value error, ")
        raise EngineUnavailable(f"{name} is wrong: {reason[:1].lower()}{reason[1:]}") from None
