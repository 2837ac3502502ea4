"""The test server, asked in frames that published encoders have made."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import aiohttp
import pytest

from providers.volcano.frames import Event, Flags, Frame, Kind, decode, encode, request
from tests.providers.volcano.conftest import ACCESS, KEY
from tests.support.volcano import VolcanoService

VECTORS = json.loads((Path(__file__).parent / "vectors.json").read_text())
SESSION = "5f0c6c1e-8d5e-4a53-9a0b-0c7f3c8f1d2a"


def published(name: str, encoder: str = "") -> bytes:
    return next(
        bytes.fromhex(v["hex"]) for v in VECTORS if v["name"].startswith(name) and v["encoder"].startswith(encoder)
    )


@asynccontextmanager
async def connected(
    service: VolcanoService, path: str, **headers: str
) -> AsyncIterator[aiohttp.ClientWebSocketResponse]:
    async with aiohttp.ClientSession() as http, http.ws_connect(service.url + path, headers=headers) as socket:
        yield socket


@asynccontextmanager
async def bidirectional(service: VolcanoService) -> AsyncIterator[aiohttp.ClientWebSocketResponse]:
    headers = {"X-Api-Key": KEY, "X-Api-Resource-Id": "seed-tts-2.0"}
    async with connected(service, "/api/v3/tts/bidirection", **headers) as socket:
        await socket.send_bytes(published("StartConnection"))
        assert (await frame(socket)).event == Event.CONNECTION_STARTED
        yield socket


async def frame(socket: aiohttp.ClientWebSocketResponse) -> Frame:
    return decode(await socket.receive_bytes(timeout=60))


async def until(socket: aiohttp.ClientWebSocketResponse, event: Event) -> list[Frame]:
    found = [await frame(socket)]
    while found[-1].event != event:
        found.append(await frame(socket))
    return found


@pytest.mark.parametrize("encoder", ["veadk-python", "volcengine-audio"])
async def test_a_session_in_published_frames_is_spoken(service: VolcanoService, encoder: str) -> None:
    async with bidirectional(service) as socket:
        await socket.send_bytes(published("StartSession", encoder))
        assert (await frame(socket)).event == Event.SESSION_STARTED
        await socket.send_bytes(published("TaskRequest"))
        await socket.send_bytes(published("FinishSession", encoder))
        frames = await until(socket, Event.SESSION_FINISHED)
        await socket.send_bytes(published("FinishConnection"))
        assert (await frame(socket)).event == Event.CONNECTION_FINISHED
    assert {found.id for found in frames} == {SESSION}
    assert [found.event for found in frames if found.kind is not Kind.AUDIO] == [
        Event.SENTENCE_START,
        Event.SENTENCE_END,
        Event.SESSION_FINISHED,
    ]
    sound = [found for found in frames if found.kind is Kind.AUDIO]
    assert sum(len(found.payload) for found in sound) == len("你好，world。") * 60 * 48
    assert encode(sound[0])[:4] == published("TTSResponse")[:4]


async def test_a_second_session_at_once_is_refused(service: VolcanoService) -> None:
    async with bidirectional(service) as socket:
        await socket.send_bytes(published("StartSession"))
        assert (await frame(socket)).event == Event.SESSION_STARTED
        await socket.send_bytes(published("StartSession"))
        refused = await frame(socket)
        assert (refused.kind, refused.code) == (Kind.ERROR, 55000000)
        assert b"session number limit exceeded: 1" in refused.payload
        await socket.send_bytes(published("CancelSession"))
        assert (await frame(socket)).event == Event.SESSION_CANCELED
        await socket.send_bytes(published("StartSession"))
        assert (await frame(socket)).code == 45000000, "an id is for one session"
    assert service.problems == ["two sessions at once", "a session id that is missing, or was used"]
    service.problems.clear()


async def test_text_for_a_session_that_does_not_live_ends_the_connection(service: VolcanoService) -> None:
    async with bidirectional(service) as socket:
        await socket.send_bytes(published("TaskRequest"))
        message = await socket.receive(60)
        assert message.type is aiohttp.WSMsgType.CLOSE
        assert (message.data, message.extra) == (1000, f"non-exist session: {SESSION}")
    assert len(service.problems) == 1
    service.problems.clear()


async def test_a_session_that_gets_no_text_fails(service: VolcanoService) -> None:
    service.pace.send = 0.05
    async with bidirectional(service) as socket:
        await socket.send_bytes(published("StartSession"))
        assert (await frame(socket)).event == Event.SESSION_STARTED
        refused = await frame(socket)
        assert (refused.code, b"client send timeout" in refused.payload) == (55000000, True)
    assert service.outcomes == ["failed"]


async def test_the_unidirectional_socket_takes_the_published_text(service: VolcanoService) -> None:
    headers = {"X-Api-App-Key": "app", "X-Api-Access-Key": ACCESS, "X-Api-Resource-Id": "seed-tts-2.0"}
    async with connected(service, "/api/v3/tts/unidirectional/stream", **headers) as socket:
        for _ in range(2):
            await socket.send_bytes(published("SendText"))
            frames = await until(socket, Event.SESSION_FINISHED)
            assert any(found.kind is Kind.AUDIO for found in frames)
        await socket.send_bytes(published("FinishConnection"))
        assert (await frame(socket)).event == Event.CONNECTION_FINISHED
    assert service.goodbyes == 1


@pytest.mark.parametrize("name", ["FullClientRequest submit (no", "FullClientRequest submit (gzip"])
@pytest.mark.parametrize("token", [f"Bearer;{ACCESS}", f"Bearer; {ACCESS}"])
async def test_version_1_takes_the_published_request(service: VolcanoService, name: str, token: str) -> None:
    service.account(app_id="123", access_key=ACCESS)
    async with connected(service, "/api/v1/tts/ws_binary", Authorization=token) as socket:
        await socket.send_bytes(published(name))
        frames = [await frame(socket)]
        while not frames[-1].flags & Flags.LAST:
            frames.append(await frame(socket))
    assert encode(frames[0]) == published("ACK")
    assert [found.sequence for found in frames[1:]] == [*range(1, len(frames) - 1), -(len(frames) - 1)]
    assert sum(len(found.payload) for found in frames) == len("字节跳动语音合成") * 60 * 48


async def test_version_1_says_no_in_the_published_frame(service: VolcanoService) -> None:
    account = service.account(app_id="123", access_key=ACCESS)
    account.quota = 0
    async with connected(service, "/api/v1/tts/ws_binary", Authorization=f"Bearer;{ACCESS}") as socket:
        await socket.send_bytes(published("FullClientRequest"))
        said = await frame(socket)
    expected = decode(published("Error 3003"))
    assert (said.kind, said.code) == (expected.kind, expected.code)
    assert json.loads(said.payload) == json.loads(expected.payload)


@pytest.mark.parametrize(
    ("headers", "status", "code", "message"),
    [
        ({}, 400, 45000000, "get resource id empty"),
        ({"X-Api-Resource-Id": "r"}, 400, 45000000, "app key not found in header or query"),
        (
            {"X-Api-Resource-Id": "r", "X-Api-App-Id": "app"},
            400,
            45000000,
            "no token or access_key was found from the header or query",
        ),
        ({"X-Api-Resource-Id": "r", "X-Api-Key": "wrong"}, 401, 45000010, "Invalid X-Api-Key"),
        (
            {"X-Api-Resource-Id": "r", "X-Api-App-Id": "app", "X-Api-Access-Key": "wrong"},
            401,
            45000010,
            "load grant: requested grant not found in SaaS storage",
        ),
    ],
)
async def test_who_is_nobody_is_told_before_there_is_a_stream(
    service: VolcanoService, headers: dict[str, str], status: int, code: int, message: str
) -> None:
    sent = {**headers, "X-Api-Request-Id": "request"}
    async with aiohttp.ClientSession() as http:
        answer = await http.post(f"{service.url}/api/v3/tts/unidirectional", json={}, headers=sent)
        body = await answer.json()
        with pytest.raises(aiohttp.WSServerHandshakeError) as raised:
            await http.ws_connect(f"{service.url}/api/v3/tts/bidirection", headers=sent)
    assert raised.value.status == answer.status == status
    assert body == {"header": {"reqid": "request", "code": code, "message": message}}
    assert answer.headers["X-Tt-Logid"]


async def test_server_sent_events_carry_the_numbers_of_their_events(service: VolcanoService) -> None:
    body = {"req_params": {"speaker": "zh_female_vv_uranus_bigtts", "text": "Hi.", "audio_params": {"format": "pcm"}}}
    headers = {"X-Api-Key": KEY, "X-Api-Resource-Id": "seed-tts-2.0"}
    async with aiohttp.ClientSession() as http:
        answer = await http.post(f"{service.url}/api/v3/tts/unidirectional/sse", json=body, headers=headers)
        text = await answer.text()
    assert answer.content_type == "text/event-stream"
    assert [line for line in text.splitlines() if line.startswith("event")] == ["event: 352"] * 2 + ["event: 152"]


async def test_only_a_frame_with_an_event_is_a_request(service: VolcanoService) -> None:
    async with bidirectional(service) as socket:
        await socket.send_bytes(encode(Frame(Kind.REQUEST, payload=b"{}")))
        assert (await frame(socket)).code == 45000000
        await socket.send_bytes(b"\x11")
        assert (await frame(socket)).code == 45000000
        await socket.send_bytes(encode(request(Event.FINISH_CONNECTION)))
        assert (await frame(socket)).event == Event.CONNECTION_FINISHED
    assert len(service.problems) == 2
    service.problems.clear()
