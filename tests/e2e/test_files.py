"""Files of a session from the gateway as it is deployed: its own process, with its own event loop."""

from __future__ import annotations

import subprocess

import httpx
import pytest

from audio import convert, formats
from tests.e2e.conftest import RunningGateway
from tests.support.ffmpeg import decode, executable

RATE = 16000
NAMES = tuple(dict.fromkeys((*formats.FORMATS, *convert.CONTAINERS)))
# Frames of silence at both ends where a format cannot say that they are some.
MOST_ADDED = 3 * 1152


def samples_of(data: bytes, name: str) -> int:
    if name in formats.FORMATS:
        return len(decode(data, name, RATE))
    command = [executable(), "-v", "error", "-i", "pipe:0", "-f", "s16le", "-ac", "1", "-ar", str(RATE), "pipe:1"]
    return len(subprocess.run(command, input=data, capture_output=True, check=True, timeout=60).stdout) // 2


@pytest.mark.parametrize("name", NAMES)
async def test_a_file_comes_whole_in_every_format(gateway: RunningGateway, name: str) -> None:
    async with httpx.AsyncClient(base_url=gateway.http, timeout=60) as http:
        body = {"text": "Hello there.", "provider": "mock_tone", "sample_rate_hz": RATE}
        session = (await http.post("/v1/tts/sessions", json=body)).json()["session_id"]
        path = f"/v1/tts/sessions/{session}/file"
        spoken = len((await http.get(path, params={"format": "pcm16"})).content) // 2
        answer = await http.get(path, params={"format": name})
    assert answer.status_code == 200, answer.text
    assert -512 <= samples_of(answer.content, name) - spoken <= MOST_ADDED
