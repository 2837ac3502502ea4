"""A wrong setting, named as the operator wrote it."""

from __future__ import annotations

from pydantic import AliasChoices, ValidationError
from pydantic_settings import BaseSettings

from providers.base import EngineUnavailable


def wrong(settings: type[BaseSettings], error: ValidationError) -> EngineUnavailable:
    """What the first of the errors says, with the variables that it may have come from."""
    first = error.errors(include_url=False, include_input=False)[0]
    where, reason = str(first["loc"][0]), first["msg"].removeprefix("Value error, ")
    names = [f"{settings.model_config.get('env_prefix', '')}{where}"]
    for field in settings.model_fields.values():
        aliases = field.validation_alias
        if isinstance(aliases, AliasChoices) and where in aliases.choices:
            names = [str(choice) for choice in aliases.choices]
    named = " or ".join(name.upper() for name in names)
    return EngineUnavailable(f"{named} is wrong: {reason[:1].lower()}{reason[1:]}")
