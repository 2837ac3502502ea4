"""What the tests of these routes share."""

from __future__ import annotations

import base64
from collections.abc import Mapping
from typing import Any, ClassVar

from providers.base import BadOption
from tests.support.asking import pcm_of_wav
from tests.support.engines import Making, Scripted

PREFIX = "/api/v1"


class Qwen(Scripted):
    """Has an option for the way in which it speaks, and ids in lower case, as Qwen3-TTS."""

    id: ClassVar[str] = "qwen"
    option_names: ClassVar[frozenset[str]] = frozenset({"instruct"})

    def __init__(self, **options: Any) -> None:
        super().__init__(**{"voices": ("vivian", "ryan", "uncle_fu"), **options})

    def check(self, options: Mapping[str, Any]) -> Mapping[str, Any]:
        if options.get("instruct") == "as no one can":
            raise BadOption("instruct is not of this world")
        return dict(options)


class MakingQwen(Making):
    id: ClassVar[str] = "qwen"


def events(body: str) -> list[tuple[str, str]]:
    """The name and the data of each."""
    found = []
    for block in body.split("\n\n")[:-1]:
        name, data = block.split("\n")
        found.append((name.removeprefix("event: "), data.removeprefix("data: ")))
    return found


def pcm_of_events(body: str, rate: int | None = None) -> bytes:
    return b"".join(pcm_of_wav(base64.b64decode(data), rate) for name, data in events(body) if name == "audio")
