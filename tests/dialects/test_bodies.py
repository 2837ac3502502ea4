"""What is wrong with a body is found out in no time: everybody's sound waits meanwhile."""

from __future__ import annotations

import pkgutil
from importlib import import_module
from typing import Any

import pytest
from pydantic import BaseModel, ValidationError

import gateway.dialects

MANY = 20_000
HOSTILE: dict[str, Any] = {
    "numbers": [1] * MANY,
    "texts": ["x"] * MANY,
    "objects": [{}] * MANY,
    "fields": {f"k{number}": 1 for number in range(MANY)},
    "lists": {f"k{number}": [] for number in range(MANY)},
}
"""Each would be a hundred times as long in the largest body that is read."""


def bodies() -> list[type[BaseModel]]:
    """Whatever is made of a request's body, by its name."""
    modules = pkgutil.walk_packages(gateway.dialects.__path__, "gateway.dialects.")
    things = [thing for module in modules for thing in vars(import_module(module.name)).values()]
    kinds = {thing for thing in things if isinstance(thing, type) and issubclass(thing, BaseModel)}
    return sorted((kind for kind in kinds if kind.__name__.endswith(("Body", "Form"))), key=str)


def name_of(kind: type[BaseModel]) -> str:
    return f"{kind.__module__.removeprefix('gateway.dialects.')}.{kind.__name__}"


def errors(kind: type[BaseModel], data: Any) -> int:
    try:
        kind.model_validate(data)
    except ValidationError as error:
        return error.error_count()
    return 0


def test_the_bodies_are_found() -> None:
    assert {"VoiceBody", "ClipBody", "SpeechBody", "CustomVoiceBatchBody"} <= {kind.__name__ for kind in bodies()}


@pytest.mark.parametrize(
    "kind", bodies(), ids=lambda kind: f"{kind.__module__.rpartition('dialects.')[2]}.{kind.__name__}"
)
def test_not_everything_that_is_wrong_with_a_body_is_listed(kind: type[BaseModel]) -> None:
    for data in (HOSTILE["fields"], HOSTILE["lists"]):
        assert errors(kind, data) <= 2000
    for name, field in kind.model_fields.items():
        for what, data in HOSTILE.items():
            assert errors(kind, {field.alias or name: data}) <= 2000, (name, what)
