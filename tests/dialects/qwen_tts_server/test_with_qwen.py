"""Every route with Qwen3-TTS itself, on random weights: it makes sound and no speech."""

from __future__ import annotations

import base64
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from tests.dialects.qwen_tts_server.speaking import PREFIX, events, pcm_of_events
from tests.support.asking import b64, client, empty, pcm_of_wav, post
from tests.support.serving import Served, serving
from tests.support.sound_files import made

pytestmark = pytest.mark.engines

RATE = 24_000
LONGEST = 30 * 1920 * 2
"""Bytes of a sentence."""
REFERENCE = {"ref_audio_base64": b64(made("wav")), "ref_text": "What is said."}


@asynccontextmanager
async def server(models: Path, *kinds: str) -> AsyncIterator[Served]:
    from providers.qwen.engine import Qwen
    from providers.qwen.settings import QwenSettings

    named = {f"{kind}_model": str(models / kind) for kind in kinds}
    engine = Qwen(QwenSettings(_env_file=None, device="cpu", max_tokens=30, **named))
    async with serving(engines=["mock_tone", engine]) as served:
        yield served
        await empty(served)


async def test_its_speakers_speak(qwen_models: Path) -> None:
    async with server(qwen_models, "custom_voice") as served, client(served) as http:
        listed = (await http.get(f"{PREFIX}/custom-voice/speakers")).json()["speakers"]
        assert {(one["name"], one["provider"]) for one in listed} == {(n, "qwen") for n in ("Vivian", "Ryan", "Eric")}
        asked = {"text": "Hello there.", "language": "English", "speaker": "Ryan", "instruct": "Very happy"}
        filed = await post(served, f"{PREFIX}/custom-voice/generate", asked)
        assert 0 < len(pcm_of_wav(filed.content, RATE)) <= LONGEST
        streamed = await post(served, f"{PREFIX}/custom-voice/generate-stream", {**asked, "speaker": "Sohee"})
        assert 0 < len(pcm_of_events(streamed.text, RATE)) <= LONGEST
        assert events(streamed.text)[-1] == ("done", "complete")
        many = {"texts": ["One.", "Two."], "speakers": ["Ryan", "Eric"], "languages": ["English", "Chinese"]}
        said = (await post(served, f"{PREFIX}/custom-voice/batch", many)).json()
        assert (said["errors"], said["sample_rate"]) == ([None, None], RATE)
        assert all(pcm_of_wav(base64.b64decode(audio)) for audio in said["audios"])
        health = (await http.get("/health/models")).json()
        assert (health["custom_voice_loaded"], health["engines"]["qwen"]["queue"]["places"]) == (True, 1)


@pytest.mark.parametrize("kinds", [("voice_design",), ("voice_design", "base")])
async def test_a_described_voice_speaks_and_is_known_again(
    qwen_models: Path, kinds: tuple[str, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    # What a voice is cloned from is said by a random model: one time in twelve it ends within half a second.
    monkeypatch.setattr("providers.qwen.engine.SHORTEST_CLIP", 0.1)
    asked = {"text": "Hello there. And you.", "language": "English", "instruct": "A calm old man"}
    async with server(qwen_models, *kinds) as served:
        for known in ("miss", "hit"):
            answer = await post(served, f"{PREFIX}/voice-design/generate", asked)
            assert (answer.status_code, answer.headers["x-cache-status"]) == (200, known)
            assert pcm_of_wav(answer.content, RATE)
        many = {"texts": ["One.", "Two."], "instructs": ["A calm old man", "A girl"]}
        assert (await post(served, f"{PREFIX}/voice-design/batch", many)).json()["errors"] == [None, None]


async def test_a_clip_becomes_a_voice_and_a_prompt(qwen_models: Path) -> None:
    asked = {"text": "Hello there.", **REFERENCE}
    async with server(qwen_models, "base") as served:
        filed = await post(served, f"{PREFIX}/base/clone", asked)
        assert pcm_of_wav(filed.content, RATE)
        streamed = await post(served, f"{PREFIX}/base/clone-stream", {**asked, "x_vector_only_mode": True})
        assert pcm_of_events(streamed.text, RATE)
        prompt = (await post(served, f"{PREFIX}/base/create-prompt", REFERENCE)).json()["prompt_id"]
        spoken = await post(served, f"{PREFIX}/base/generate-with-prompt", {"text": "Hello.", "prompt_id": prompt})
        assert pcm_of_wav(spoken.content, RATE)


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("/voice-design/generate", {"text": "Hello.", "instruct": "A calm old man"}),
        ("/base/clone", {"text": "Hello.", **REFERENCE}),
    ],
)
async def test_a_model_that_is_not_set_is_400_and_named(qwen_models: Path, path: str, body: dict[str, str]) -> None:
    async with server(qwen_models, "custom_voice") as served:
        answer = await post(served, PREFIX + path, body)
    assert (answer.status_code, answer.json()["code"]) == (400, "bad_option")
    assert "_MODEL names no model" in answer.json()["detail"]
