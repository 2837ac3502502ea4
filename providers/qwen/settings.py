"""What the operator sets: ``VOXWIRE_QWEN_*`` variables, or lines of ``.env``.

Where an earlier server for these models had a variable for the same, it is read too.

``docs/engines/qwen.md`` has a row for each field; a test holds the two together.
"""

from __future__ import annotations

from typing import Any, Literal

from pydantic import AliasChoices, Field, ValidationError
from pydantic_settings import BaseSettings, SettingsConfigDict

from providers.qwen import options
from providers.settings import wrong
from providers.torch_runtime import DtypeName

PREFIX = "VOXWIRE_QWEN_"

Kind = Literal["custom_voice", "voice_design", "base"]
KINDS: tuple[Kind, ...] = ("custom_voice", "voice_design", "base")


def _also(name: str, earlier: str) -> AliasChoices:
    return AliasChoices(f"{PREFIX}{name}", earlier)


class QwenSettings(BaseSettings):
    model_config = SettingsConfigDict(
        env_prefix=PREFIX, env_file=".env", extra="ignore", frozen=True, populate_by_name=True, env_ignore_empty=True
    )

    # The models: folders, or ids on the Hugging Face hub
    custom_voice_model: str | None = Field(
        None, validation_alias=_also("CUSTOM_VOICE_MODEL", "QWEN_TTS_CUSTOM_VOICE_MODEL")
    )
    voice_design_model: str | None = Field(
        None, validation_alias=_also("VOICE_DESIGN_MODEL", "QWEN_TTS_VOICE_DESIGN_MODEL")
    )
    base_model: str | None = Field(None, validation_alias=_also("BASE_MODEL", "QWEN_TTS_BASE_MODEL"))
    tokenizer: str | None = Field(None, validation_alias=_also("TOKENIZER", "QWEN_TTS_TOKENIZER"))
    preload: bool = Field(False, validation_alias=_also("PRELOAD", "PRELOAD_MODELS"))
    voice: str | None = None

    # Where and how they run
    device: str | None = Field(None, validation_alias=_also("DEVICE", "CUDA_DEVICE"))
    dtype: DtypeName = Field("auto", validation_alias=_also("DTYPE", "MODEL_DTYPE"))
    flash_attention: bool = Field(False, validation_alias=_also("FLASH_ATTENTION", "USE_FLASH_ATTENTION"))
    width: int = Field(1, ge=1)
    threads: int = Field(0, ge=0, le=256)
    max_waiting: int = Field(256, ge=0)
    first_frames: int = Field(4, ge=1, le=100)
    frames: int = Field(12, ge=1, le=100)

    # How the models speak, where a request does not say; none: as the model's own files say
    temperature: float | None = Field(None, ge=options.TEMPERATURE.lowest, le=options.TEMPERATURE.highest)
    top_p: float | None = Field(None, ge=options.TOP_P.lowest, le=options.TOP_P.highest)
    top_k: int | None = Field(None, ge=options.TOP_K.lowest, le=options.TOP_K.highest)
    repetition_penalty: float | None = Field(
        None, ge=options.REPETITION_PENALTY.lowest, le=options.REPETITION_PENALTY.highest
    )
    max_tokens: int = Field(2048, ge=options.MAX_TOKENS.lowest, le=options.MAX_TOKENS.highest)

    @property
    def models(self) -> dict[Kind, str]:
        """What is named, in the order in which the first of them is the default."""
        named = {kind: getattr(self, f"{kind}_model") for kind in KINDS}
        return {kind: name for kind, name in named.items() if name}

    @property
    def sampling(self) -> dict[str, Any]:
        """What is set of it."""
        names = options.SAMPLING.keys() & type(self).model_fields.keys()
        return {name: value for name in names if (value := getattr(self, name)) is not None}


def read() -> QwenSettings:
    """The settings as they are in the environment. Raises ``EngineUnavailable`` that names what is wrong."""
    try:
        return QwenSettings()
    except ValidationError as error:
        raise wrong(QwenSettings, error) from None
