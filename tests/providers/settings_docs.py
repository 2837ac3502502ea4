"""The table of settings in an engine's page, as a test compares it with the settings themselves."""

from __future__ import annotations

import re
from pathlib import Path

from pydantic_settings import BaseSettings

_DOCS = Path(__file__).parents[2] / "docs" / "engines"


def page(name: str) -> str:
    return (_DOCS / f"{name}.md").read_text()


def rows(name: str, prefix: str) -> dict[str, str]:
    """Variable to default, from the tables."""
    return dict(re.findall(rf"^\| `{prefix}(\w+)` \| (\S[^|]*?) \|", page(name), re.MULTILINE))


def fields(kind: type[BaseSettings]) -> dict[str, str]:
    """The same, from the settings."""
    return {name.upper(): shown(field.default) for name, field in kind.model_fields.items()}


def shown(value: object) -> str:
    if value in (None, ()):
        return "none"
    return f"`{value:g}`" if isinstance(value, float) else f"`{str(value).lower()}`"
