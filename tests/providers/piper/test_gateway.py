"""Piper through a whole gateway: its sound and its words, over the native WebSocket."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio

from providers.base import Segment
from providers.piper.settings import PiperSettings
from tests.support.duplex import Heard, duplex
from tests.support.serving import Served, serving

pytestmark = [pytest.mark.engines, pytest.mark.asyncio(loop_scope="module")]

TEXT = "It costs 25 dollars, and not $3.50. The doctor asked her to come back again next week."


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def gateway(joe: Path, piper_shelf: Path) -> AsyncIterator[Served]:
    from providers.piper.engine import Piper

    async with serving(engines=[Piper(PiperSettings(_env_file=None, cache=piper_shelf))]) as served:
        yield served


async def speak(gateway: Served, text: str, **options: Any) -> Heard:
    async with duplex(gateway.ws) as client:
        heard = await client.speak("a", text, pace="burst", **options)
        await heard.over.wait()
        return heard


async def test_the_listener_gets_the_engines_samples(gateway: Served) -> None:
    engine = gateway.gateway.providers.default
    voice = (await engine.voices())[0]
    sentences = ("It costs 25 dollars, and not $3.50.", "The doctor asked her to come back again next week.")
    direct = [chunk.pcm for text in sentences async for chunk in engine.synthesize(Segment(text, voice))]
    heard = await speak(gateway, TEXT, sample_rate=voice.sample_rate)
    assert heard.last["type"] == "ended"
    assert bytes(heard.sound) == b"".join(direct)


async def test_words_are_the_engines_own_and_cover_the_text(gateway: Served) -> None:
    heard = await speak(gateway, TEXT, timestamps=True)
    told = [message for message in heard.messages if message["type"] == "words"]
    assert not any(message["estimated"] for message in told)
    words = [word for message in told for word in message["words"]]
    assert [word["text"] for word in words] == TEXT.split()
    assert words == sorted(words, key=lambda word: (word["start_ms"], word["end_ms"]))
    assert words[-1]["end_ms"] <= heard.last["audio_ms"]


async def test_of_a_sentence_that_cannot_be_timed_the_words_are_told_as_estimated(gateway: Served) -> None:
    unclear = " ".join(["of the"] * 13) + "."
    heard = await speak(gateway, f"The kettle sings. {unclear} The doctor asked her.", timestamps=True)
    told = [message for message in heard.messages if message["type"] == "words"]
    words = [(word["text"], message["estimated"]) for message in told for word in message["words"]]
    assert words == [
        *((word, False) for word in ("The", "kettle", "sings.")),
        *((word, True) for word in unclear.split()),
        *((word, False) for word in ("The", "doctor", "asked", "her.")),
    ]
