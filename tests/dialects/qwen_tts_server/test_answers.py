"""What is answered is what the models of the answers say."""

from __future__ import annotations

from typing import Any

import pytest

from gateway.dialects.detail import DetailAnswer
from gateway.dialects.qwen_tts_server.answers import BatchAnswer, MadeSpeechAnswer, SpeechAnswer
from tests.dialects.qwen_tts_server.speaking import PREFIX
from tests.support.asking import b64, post, wav_of
from tests.support.engines import Making, sound
from tests.support.serving import serving
from tests.support.sound_files import made

HELLO = {"text": "Hello.", "response_format": "base64"}
DESCRIBED = {**HELLO, "instruct": "A calm old man."}
CLIP = {"ref_audio_base64": b64(made("wav")), "ref_text": "What is said."}


@pytest.mark.parametrize(
    ("path", "body", "model"),
    [
        ("custom-voice/generate", HELLO, SpeechAnswer),
        ("voice-design/generate", DESCRIBED, MadeSpeechAnswer),
        ("base/clone", {**HELLO, **CLIP}, MadeSpeechAnswer),
    ],
)
async def test_a_speech(path: str, body: dict[str, Any], model: type[SpeechAnswer | MadeSpeechAnswer]) -> None:
    async with serving(engines=[Making()]) as served:
        said = (await post(served, f"{PREFIX}/{path}", body)).json()
    read = model.model_validate(said, strict=True)
    assert (set(said), read.audio, read.audio_duration) == (set(model.model_fields), b64(wav_of(sound(200))), 0.2)


@pytest.mark.parametrize("path", ["custom-voice", "voice-design"])
async def test_a_batch(path: str) -> None:
    body = {"texts": ["One.", "..."], "instructs": ["A calm old man."] * 2}
    async with serving(engines=[Making()]) as served:
        said = (await post(served, f"{PREFIX}/{path}/batch", body)).json()
    read = BatchAnswer.model_validate(said, strict=True)
    assert (set(said), read.audios) == (set(BatchAnswer.model_fields), [b64(wav_of(sound(200))), None])
    assert (read.errors[0], type(read.errors[1])) == (None, DetailAnswer)
