from __future__ import annotations

import shutil
from collections.abc import AsyncIterator
from pathlib import Path

import numpy as np
import pytest
import pytest_asyncio
from hibari import voices as catalogue
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from providers.base import EngineUnavailable, Segment
from providers.hibari import Hibari, to_pcm

pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("HIBARI_HOME", str(tmp_path))
    return tmp_path


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def engine() -> AsyncIterator[Hibari]:
    hibari = Hibari()
    await hibari.start()
    yield hibari
    await hibari.close()


async def pieces(engine: Hibari, text: str, voice: int = 0) -> list[bytes]:
    segment = Segment(text, (await engine.voices())[voice])
    return [chunk.pcm async for chunk in engine.synthesize(segment)]


async def names(engine: Hibari) -> list[str]:
    found = [voice.id for voice in await engine.voices()]
    await engine.close()
    return found


async def test_only_voices_that_are_there_are_offered(cache: Path) -> None:
    assert await names(Hibari()) == ["heart"]
    (cache / catalogue.VOICES["emma"]["file"]).touch()
    assert await names(Hibari()) == ["heart", "emma"]


async def test_all_voices_are_offered_where_they_may_be_downloaded(cache: Path) -> None:
    offered = await names(Hibari(voice="kore", download=True))
    assert offered[0] == "kore"
    assert set(offered) == set(catalogue.VOICES)


async def test_a_default_voice_that_is_not_there_is_unavailable(cache: Path) -> None:
    engine = Hibari(voice="kore")
    with pytest.raises(EngineUnavailable, match="kore"):
        await engine.start()
    await engine.close()


async def test_a_model_that_cannot_be_loaded_is_tried_again(cache: Path) -> None:
    model = cache / catalogue.VOICES["kore"]["file"]
    model.write_bytes(b"no model")
    engine = Hibari(voice="kore")
    with pytest.raises(EngineUnavailable, match="cannot load"):
        await engine.start()
    shutil.copy(catalogue.voice_path("heart"), model)
    await engine.start()
    assert await pieces(engine, "Hello.") == await pieces(engine, "Hello.", voice=1)
    await engine.close()


async def test_chunks_last_a_fifth_of_a_second_at_most(engine: Hibari) -> None:
    sizes = [len(pcm) for pcm in await pieces(engine, "Hello there, how are you today?")]
    assert max(sizes) == 9600
    assert all(size == 9600 for size in sizes[:-1])


async def test_punctuation_alone_is_not_spoken(engine: Hibari) -> None:
    assert await pieces(engine, "... ?! 😀 —") == []


async def test_a_digit_that_is_no_decimal_is_read(engine: Hibari) -> None:
    assert await pieces(engine, "Part ④.") == await pieces(engine, "Part 4.")


@pytest.mark.parametrize(
    "number", ["9" * 37, "9" * 300, "9," * 149 + "9", "$" + "9" * 50, "\N{ARABIC-INDIC DIGIT THREE}" * 80]
)
async def test_a_number_that_is_too_long_to_have_a_name_is_spoken(engine: Hibari, number: str) -> None:
    assert await pieces(engine, f"Call {number} now.")


async def test_every_text_is_spoken_or_skipped(engine: Hibari) -> None:
    import asyncio

    loop = asyncio.get_running_loop()
    texts = st.text(max_size=24) | st.lists(
        st.sampled_from(["Dr.", "$3.50", "3/4", "1,000", "²", "٣", "x²y", "日本", "naïve", "'", "(", "U.S.", "-5"])
    ).map("".join)

    @settings(
        max_examples=60,
        deadline=None,
        derandomize=True,
        database=None,
        suppress_health_check=list(HealthCheck),
    )
    @given(texts)
    def check(text: str) -> None:
        asyncio.run_coroutine_threadsafe(pieces(engine, text), loop).result()

    await asyncio.to_thread(check)


async def test_float_sound_is_clipped_and_faded_at_both_ends() -> None:
    pcm = np.frombuffer(to_pcm(np.array([2.0, -2.0] * 200, np.float32)), "<i2")
    assert (pcm[0], pcm[-1]) == (0, 0)
    assert (pcm.max(), pcm.min()) == (32767, -32767)


@pytest.mark.parametrize("size", [0, 1, 2, 3])
async def test_very_short_sound_is_converted(size: int) -> None:
    assert len(to_pcm(np.ones(size, np.float32))) == 2 * size


async def test_the_first_word_comes_without_the_engines_long_silence(engine: Hibari) -> None:
    sound = np.frombuffer(b"".join(await pieces(engine, "The doctor asked her to come back.")), "<i2")
    loud = np.flatnonzero(np.abs(sound.astype(np.int32)) > 328)
    assert 0.07 <= loud[0] / 24000 <= 0.09
    assert (len(sound) - loud[-1]) / 24000 == pytest.approx(0.4, abs=0.01)


async def test_the_pause_behind_a_clause_is_shorter_than_behind_a_sentence(engine: Hibari) -> None:
    sound = np.frombuffer(b"".join(await pieces(engine, "When the phone rang,")), "<i2")
    loud = np.flatnonzero(np.abs(sound.astype(np.int32)) > 328)
    assert (len(sound) - loud[-1]) / 24000 == pytest.approx(0.16, abs=0.01)
