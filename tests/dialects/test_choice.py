"""Which voice a request means, where one engine is asked before the others."""

from __future__ import annotations

from typing import ClassVar

import pytest

from gateway.dialects.choice import choose
from gateway.events import SpeechRequest
from providers.base import EngineUnavailable
from tests.support.engines import Scripted
from tests.support.scene import scene
from tests.support.virtual_time import virtual_time


class First(Scripted):
    id: ClassVar[str] = "first"


@virtual_time
async def test_the_engine_is_asked_before_the_others_and_a_name_needs_no_case() -> None:
    others, first = Scripted(voices=("one", "Two", "common", "Same")), First(voices=("ONE", "common", "same"))
    async with scene(others, first) as made:
        found = {
            asked: choose(made.gateway, SpeechRequest(voice=asked), "first", ("Vivian",))
            for asked in (None, "one", "two", "common", "Same", "vivian", "nobody")
        }
    assert {asked: (request.provider, request.voice) for asked, request in found.items()} == {
        None: ("first", None),
        "one": ("first", "ONE"),
        "two": ("scripted", "Two"),
        "common": ("first", "common"),
        "Same": ("first", "same"),
        "vivian": ("first", None),
        "nobody": (None, "nobody"),
    }


@virtual_time
async def test_without_the_engine_the_others_are_asked_in_their_order() -> None:
    async with scene(Scripted(voices=("one", "two"))) as made:
        for asked, voice in ((None, None), ("TWO", "two"), ("Vivian", None)):
            request = choose(made.gateway, SpeechRequest(voice=asked), "first", ("Vivian",))
            assert (request.provider, request.voice) == (None if voice is None else "scripted", voice)


@pytest.mark.parametrize(
    ("asked", "provider", "voice"),
    [(None, None, None), ("one", "scripted", "one"), ("own", "first", "own"), ("Vivian", None, None)],
)
@virtual_time
async def test_an_engine_that_cannot_speak_is_asked_last(
    asked: str | None, provider: str | None, voice: str | None
) -> None:
    away = First(voices=("one", "own"))
    away.start_error = EngineUnavailable("engine 'first' is away")
    async with scene(Scripted(voices=("one",)), away) as made:
        request = choose(made.gateway, SpeechRequest(voice=asked), "first", ("Vivian",))
    assert (request.provider, request.voice) == (provider, voice)
