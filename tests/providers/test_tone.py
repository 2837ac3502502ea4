from __future__ import annotations

import numpy as np
import pytest

from providers.base import Segment
from providers.tone import Tone

TEXT = "Hello there, how are you today?"


async def chunks(tone: Tone, text: str = TEXT, *, voice: int = 0, speed: float = 1.0) -> list[bytes]:
    segment = Segment(text, (await tone.voices())[voice], speed=speed)
    return [chunk.pcm async for chunk in tone.synthesize(segment)]


async def test_a_character_lasts_sixty_milliseconds() -> None:
    pcm = b"".join(await chunks(Tone()))
    assert len(pcm) / 2 / 24000 == pytest.approx(len(TEXT) * 0.06, abs=1 / 400)


async def test_the_shortest_tone_lasts_a_tenth_of_a_second() -> None:
    assert len(b"".join(await chunks(Tone(), "a"))) == 4800


async def test_text_with_nothing_to_say_is_silent() -> None:
    assert await chunks(Tone(), "... 😀 !") == []


@pytest.mark.parametrize("rate", [8000, 16000, 24000, 44100, 48000])
async def test_chunks_have_the_length_asked_for(rate: int) -> None:
    pieces = await chunks(Tone(sample_rate=rate, chunk_ms=40))
    assert {len(piece) for piece in pieces[:-1]} == {rate * 40 // 1000 * 2}
    assert 0 < len(pieces[-1]) <= len(pieces[0])


async def test_the_length_of_chunks_does_not_change_the_sound() -> None:
    whole = [b"".join(await chunks(Tone(chunk_ms=ms))) for ms in (10, 13, 100, 1000)]
    assert len(set(whole)) == 1


@pytest.mark.parametrize(("voice", "pitch"), [(0, 400), (1, 800)])
async def test_the_tone_is_one_pure_wave_from_end_to_end(voice: int, pitch: int) -> None:
    pcm = np.frombuffer(b"".join(await chunks(Tone(chunk_ms=70), voice=voice)), "<i2").astype(float)
    middle = slice(120, len(pcm) - 120)
    expected = np.sin(2 * np.pi * pitch * np.arange(len(pcm)) / 24000) * 0.3 * 32767
    assert np.abs(pcm - expected)[middle].max() < 1
    assert (np.abs(pcm) <= np.abs(expected) + 1).all()


@pytest.mark.parametrize("options", [{"sample_rate": 4000}, {"chunk_ms": 5}, {"chunk_ms": 5000}])
def test_options_out_of_range_are_refused(options: dict[str, int]) -> None:
    with pytest.raises(ValueError, match="must be"):
        Tone(**options)
