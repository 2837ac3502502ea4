"""Speech through the whole gateway, judged by ear: a recogniser reads back what was said."""

from __future__ import annotations

import asyncio
from statistics import mean
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from audio import formats
from tests.e2e.conftest import RunningGateway
from tests.support.duplex import duplex
from tests.support.ffmpeg import decode
from tests.support.recogniser import at_16_khz, transcribe, word_error_rate
from tests.support.sentences import SENTENCES

pytestmark = pytest.mark.timeout(300)

VARIANTS = [*((name, 24000) for name in formats.FORMATS), ("pcm16", 16000), ("mulaw", 8000)]
ENGINE_RATE = 24000


async def speak(gateway: RunningGateway, text: Any, **options: Any) -> tuple[bytes, dict[str, Any]]:
    """The stream of one context, and its last message."""
    async with duplex(gateway.ws) as client:
        heard = await client.speak("a", text, pace="burst", **options)
        await heard.over.wait()
        return bytes(heard.sound), heard.last


@pytest.mark.parametrize(("name", "rate"), VARIANTS, ids=str)
async def test_a_recogniser_reads_ten_sentences(gateway: RunningGateway, name: str, rate: int) -> None:
    errors = []
    for sentence in SENTENCES:
        stream, _ = await speak(gateway, sentence, format=name, sample_rate=rate)
        samples = decode(stream, name, rate)
        heard = await asyncio.to_thread(transcribe, at_16_khz(samples, rate))
        errors.append(word_error_rate(sentence, heard))
    print(f"{name} at {rate} Hz: mean word error rate {mean(errors):.3f}")
    assert mean(errors) <= (0.25 if rate < 16000 else 0.05)


def tokens(text: str) -> list[str]:
    """As a language model gives them: a few characters each, wherever that cuts."""
    return [text[start : start + 3] for start in range(0, len(text), 3)]


async def test_text_sent_token_by_token_gives_the_samples_of_text_sent_whole(gateway: RunningGateway) -> None:
    text = " ".join(SENTENCES[:4])
    whole, _ = await speak(gateway, text)
    piecewise, _ = await speak(gateway, tokens(text))
    assert piecewise == whole


@pytest.fixture(scope="module")
def long_text() -> str:
    return " ".join(SENTENCES)


@pytest.mark.parametrize("rate", [8000, 16000, 24000, 48000])
@pytest.mark.parametrize("name", formats.FORMATS)
async def test_every_format_lasts_as_long_as_the_engines_sound(
    gateway: RunningGateway, name: str, rate: int, long_text: str
) -> None:
    text = long_text[:300]
    source, _ = await speak(gateway, text, format="pcm16", sample_rate=ENGINE_RATE)
    stream, last = await speak(gateway, text, format=name, sample_rate=rate)
    expected = round(len(source) // 2 * rate / ENGINE_RATE)
    samples = len(decode(stream, name, rate))
    row = formats.find(name)
    if name in ("mp3", "aac", "opus_packets"):
        # Bare frames say neither by how much they are late nor where the sound ends in the last of them.
        assert row.frame is not None
        delay = row.delay_samples * rate / (row.clock or rate)
        assert expected - 1 <= samples - delay <= expected + 2 * row.frame(rate) + 1
    else:
        assert samples == expected
    assert last["audio_ms"] == pytest.approx(expected / rate * 1000, abs=0.2)


def loudest_step(samples: NDArray[np.int16], at: int, rate: int) -> int:
    """The largest jump between neighbouring samples within 5 ms of a place."""
    around = samples[max(0, at - rate // 200) : at + rate // 200].astype(np.int32)
    return int(np.abs(np.diff(around)).max(initial=0))


@pytest.mark.parametrize("name", formats.FORMATS)
async def test_no_click_at_a_segment_boundary(gateway: RunningGateway, name: str) -> None:
    """A click is a jump where speech is silent: between two segments the sound must be as quiet as its pauses."""
    boundaries = [0]
    for sentence in SENTENCES[:5]:
        alone, _ = await speak(gateway, sentence)
        boundaries.append(boundaries[-1] + len(alone) // 2)
    stream, _ = await speak(gateway, " ".join(SENTENCES[:5]), format=name, sample_rate=ENGINE_RATE)
    samples = decode(stream, name, ENGINE_RATE)
    delay = formats.find(name).delay_samples
    speech = int(np.percentile(np.abs(np.diff(samples.astype(np.int32))), 99.9))
    for boundary in boundaries[1:-1]:
        assert loudest_step(samples, boundary + delay, ENGINE_RATE) < max(64, speech // 20)
