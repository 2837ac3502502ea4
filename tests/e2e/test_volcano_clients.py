"""Published clients of Volcano Engine's speech service against the server that our engine is tested with: it is not
merely consistent with our own idea of the protocol."""

from __future__ import annotations

import asyncio
import wave
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from tests.support.asking import until
from tests.support.required import required
from tests.support.volcano import VolcanoService, serving
from tests.support.volcano.plans import QUOTA, QUOTA_IN_A_FRAME, Plan, Refusal
from tests.support.volcano.speech import MS_PER_CHARACTER

pytestmark = pytest.mark.engines

KEY, VOICE = "key", "zh_female_vv_uranus_bigtts"
HELLO, TRAIN = "Hello there, friend. ", "The train leaves at seven."


def seconds(text: str) -> float:
    return len(text) * MS_PER_CHARACTER / 1000


@pytest.fixture
async def service() -> AsyncIterator[VolcanoService]:
    async with serving() as service:
        service.account(KEY, app_id="app", access_key="access")
        yield service
        assert service.problems == []


# ---- doubao-speech-mcp


@pytest.fixture
def doubao(service: VolcanoService, monkeypatch: pytest.MonkeyPatch) -> Any:
    package = required("engines", "doubao_speech_mcp.ws_products")
    monkeypatch.setattr(package.speech, "HOST", service.url)
    monkeypatch.setenv("VOLC_SPEECH_API_KEY", KEY)
    monkeypatch.setenv("VOLC_SPEECH_APP_ID", "app")
    monkeypatch.setenv("VOLC_SPEECH_ACCESS_TOKEN", "access")
    return package


def asked(text: str = "", format: str = "pcm", voice: str = VOICE) -> dict[str, Any]:
    audio = {"format": format, "sample_rate": 24000, "enable_subtitle": True}
    return {"user": {"uid": "test"}, "req_params": {"speaker": voice, "text": text, "audio_params": audio}}


async def test_doubao_speaks_text_that_comes_in_chunks(doubao: Any, service: VolcanoService, tmp_path: Path) -> None:
    result = await doubao.synthesize(asked(), tmp_path, text_chunks=[HELLO, TRAIN, "And more"])
    assert result["ok"], result["error"]
    assert result["logid"]
    (path,) = result["files"]
    size = (await asyncio.to_thread(Path(path).stat)).st_size
    assert size / 48000 == pytest.approx(seconds(HELLO.strip() + TRAIN + "And more"), abs=0.01)
    assert [record.texts for record in service.records] == [[HELLO, TRAIN, "And more"]]
    events = [event["event"] for event in result["events"]]
    assert (events[0], events[-1]) == (350, 152)
    assert 364 in events
    assert result["events"][-1]["data"]["usage"] == {"text_words": len(HELLO + TRAIN + "And more")}
    await until(lambda: service.goodbyes == 1)


async def test_doubao_speaks_with_the_unidirectional_socket(
    doubao: Any, service: VolcanoService, tmp_path: Path
) -> None:
    result = await doubao.synthesize(asked(HELLO + TRAIN), tmp_path, mode="unidirectional")
    assert result["ok"], result["error"]
    assert [(record.endpoint, record.outcome) for record in service.records] == [("unidirectional/stream", "finished")]


@pytest.mark.parametrize("between", ["\n", ""], ids=["lines", "back to back"])
async def test_doubao_speaks_with_the_chunked_answer(
    doubao: Any, service: VolcanoService, tmp_path: Path, between: str
) -> None:
    service.line_break = between
    options = {"text": HELLO + TRAIN, "voice": VOICE, "format": "wav", "sample_rate": 24000, "subtitles": True}
    rest = ("resource_id", "instructions", "dialect", "language", "pitch", "pronunciations", "model", "parameters")
    options |= {"speech_rate": 0, "loudness_rate": 0, **dict.fromkeys(rest)}
    result = await asyncio.to_thread(doubao.speech.text_to_speech, options, tmp_path)
    assert result["ok"], result["error"]
    with wave.open(next(path for path in result["files"] if path.endswith(".wav"))) as file:
        assert file.getnframes() / 24000 == pytest.approx(seconds(HELLO.strip() + TRAIN), abs=0.01)
    assert [sentence["text"].strip() for sentence in result["subtitles"]] == ["Hello there, friend.", TRAIN]
    assert result["usage"] == {"text_words": len(HELLO + TRAIN)}


async def test_doubao_speaks_with_version_1(doubao: Any, service: VolcanoService) -> None:
    legacy = required("engines", "doubao_speech_mcp.legacy")
    body = {
        "app": {"cluster": "volcano_tts"},
        "user": {"uid": "test"},
        "audio": {"voice_type": "BV001_streaming", "encoding": "pcm"},
        "request": {"reqid": "one", "text": HELLO, "operation": "query"},
    }
    first = await asyncio.to_thread(legacy.legacy_call, "tts", body)
    assert first["ok"], first["error"]
    assert first["response"]["reqid"] == "one"
    assert first["response"]["sequence"] < 0
    again = await asyncio.to_thread(legacy.legacy_call, "tts", body)
    assert not again["ok"], "an id is for one call"
    assert again["response"]["code"] == 3006


@pytest.mark.parametrize("refusal", [QUOTA, QUOTA_IN_A_FRAME], ids=["event", "frame"])
async def test_doubao_understands_that_there_is_no_room(
    doubao: Any, service: VolcanoService, tmp_path: Path, refusal: Refusal
) -> None:
    service.next(Plan(refuse=refusal))
    result = await doubao.synthesize(asked(HELLO), tmp_path)
    assert not result["ok"]
    assert "quota exceeded for types: concurrency" in result["error"]


async def test_doubao_understands_success_without_sound_and_an_end_that_is_none(
    doubao: Any, service: VolcanoService, tmp_path: Path
) -> None:
    service.next(Plan(empty=True), Plan(chunks=1, then="fail"), Plan(chunks=1, then="close"))
    for _ in range(3):
        assert not (await doubao.synthesize(asked(HELLO), tmp_path))["ok"]


async def test_doubao_understands_that_its_key_is_wrong(
    doubao: Any, service: VolcanoService, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("VOLC_SPEECH_API_KEY", "wrong")
    assert "401" in (await doubao.synthesize(asked(HELLO), tmp_path))["error"]
    _, _, error = await asyncio.to_thread(
        doubao.speech.post, "/api/v3/tts/unidirectional", asked(HELLO), "seed-tts-2.0"
    )
    assert "45000010: Invalid X-Api-Key" in error


# ---- livekit-plugins-bytedance


@pytest.fixture
async def livekit(service: VolcanoService) -> AsyncIterator[Any]:
    plugin = required("engines", "livekit.plugins.bytedance")
    async with aiohttp.ClientSession() as http:
        tts = plugin.TTS(
            api_key=KEY,
            speaker=VOICE,
            base_url=f"{service.url.replace('http', 'ws')}/api/v3/tts/bidirection",
            enable_subtitle=True,
            require_usage_tokens=True,
            http_session=http,
        )
        yield tts
        await tts.aclose()


async def spoken(tts: Any, *texts: str) -> float:
    """Seconds that came for ``texts``."""
    heard = 0.0
    async with tts.stream() as stream:
        for text in texts:
            stream.push_text(text)
        stream.end_input()
        async for event in stream:
            heard += event.frame.duration
    return heard


async def test_livekit_speaks_two_utterances_on_one_connection(livekit: Any, service: VolcanoService) -> None:
    assert await spoken(livekit, HELLO, TRAIN) == pytest.approx(seconds(HELLO.strip() + TRAIN), abs=0.02)
    assert await spoken(livekit, *["word", "by", "word", "it", "comes"]) > 0.0
    assert [(record.connection, record.outcome) for record in service.records] == [(1, "finished"), (1, "finished")]
    await livekit.aclose()
    await until(lambda: service.goodbyes == 1)


async def test_livekit_tries_again_where_there_was_no_room(livekit: Any, service: VolcanoService) -> None:
    service.next(Plan(refuse=Refusal(55000000, "connect downstream service timeout")))
    assert await spoken(livekit, HELLO) == pytest.approx(seconds(HELLO.strip()), abs=0.02)
    assert service.outcomes == ["refused", "finished"]


async def test_livekit_understands_a_refusal_that_is_final(livekit: Any, service: VolcanoService) -> None:
    agents = required("engines", "livekit.agents")
    service.next(Plan(refuse=Refusal(45000001, "[Invalid argument] speaker not found")))
    with pytest.raises(agents.APIStatusError, match="speaker not found"):
        await spoken(livekit, HELLO)
    assert service.outcomes == ["refused"]
