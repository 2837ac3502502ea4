"""The routes of the voice library, and a voice of it wherever one is named."""

from __future__ import annotations

import asyncio
import base64
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import datetime
from typing import Any

import httpx
import pytest
from websockets.asyncio.client import connect

from gateway.dialects.voice_library.bodies import VoiceAnswer
from gateway.library.fetch import Fetcher
from providers.base import BadClip, EngineUnavailable
from tests.support.engines import Making, Mark, Raise, Scripted, Wait
from tests.support.processes import children
from tests.support.serving import Served, serving
from tests.support.sound_files import made as file
from tests.support.web_server import Names, answer, the_test_server_is_public, web_server

KEYS = ("web:key-of-web", "phone:key-of-phone")


class Door:
    def __init__(self, served: Served, engine: Making, http: httpx.AsyncClient) -> None:
        self.served = served
        self.engine = engine
        self.http = http

    async def post(self, **options: Any) -> httpx.Response:
        return await self.http.post("/v1/voices", **options)

    async def made(self, name: str = "Anna", **fields: Any) -> dict[str, Any]:
        answer = await self.post(json={"name": name, "description": "calm", **fields})
        assert answer.status_code == 201, answer.text
        return dict(answer.json())

    async def ids(self, **headers: str) -> list[str]:
        answer = await self.http.get("/v1/voices/library", headers=headers)
        assert answer.status_code == 200
        return [voice["id"] for voice in answer.json()["voices"]]

    async def offered(self, **headers: str) -> list[str]:
        """Everything that ``GET /v1/voices`` names."""
        found = (await self.http.get("/v1/voices", headers=headers)).json()["voices"]
        return [voice["id"] for voice in found]


@asynccontextmanager
async def opened(engine: Scripted | None = None, key: str | None = None, **settings: Any) -> AsyncIterator[Door]:
    engine = engine or Making()
    settings = {"voice_rate_limit": 0} | settings
    headers = {"authorization": f"Bearer {key}"} if key else {}
    async with (
        serving(engines=[engine, "mock_tone"], **settings) as served,
        httpx.AsyncClient(base_url=served.http, headers=headers, timeout=60.0) as http,
    ):
        yield Door(served, engine, http)  # type: ignore[arg-type]


@pytest.fixture
async def door() -> AsyncIterator[Door]:
    async with opened() as made:
        yield made


def error_of(answer: httpx.Response) -> tuple[int, str]:
    error = answer.json()["error"]
    assert error["message"]
    return answer.status_code, error["code"]


# ---- making one


async def test_a_voice_is_made_of_a_file_in_a_form(door: Door) -> None:
    fields = {"name": "My Voice", "transcript": "What I say.", "language": "en-US", "provider": "making"}
    answer = await door.post(data=fields, files={"clip": ("my.mp3", file("mp3"), "audio/mpeg")})
    assert answer.status_code == 201
    voice = answer.json()
    assert datetime.fromisoformat(voice.pop("created")).tzinfo is not None
    assert voice == {
        "id": "my-voice",
        "name": "My Voice",
        "provider": "making",
        "kind": "cloned",
        "language": "en-US",
        "sample_rate_hz": 24000,
        "gender": "female",
        "description": None,
        "bytes": 1000,
        "available": True,
    }
    assert door.engine.clips[0].transcript == "What I say."
    assert children() == []


async def test_a_voice_is_made_of_base64(door: Door) -> None:
    answer = await door.post(json={"name": "Anna", "clip": {"base64": base64.b64encode(file("ogg")).decode()}})
    assert (answer.status_code, answer.json()["kind"]) == (201, "cloned")


async def test_a_voice_is_made_of_a_url(door: Door) -> None:
    async with web_server() as web:
        web.paths["/clip.flac"] = answer(file("flac"))
        door.served.gateway.library.clips.fetcher = Fetcher(
            10_000_000, ports=(web.port,), look_up=Names(), allowed=the_test_server_is_public
        )
        made = await door.post(json={"name": "Anna", "clip": {"url": web.url("/clip.flac")}})
        assert (made.status_code, made.json()["kind"]) == (201, "cloned")
        assert web.asked == ["/clip.flac"]


async def test_the_ports_of_urls_are_a_setting() -> None:
    async with opened(voice_url_ports="") as door:
        answer = await door.post(json={"name": "Anna", "clip": {"url": "http://example.com/a.wav"}})
        assert error_of(answer) == (400, "bad_url")
        assert "ports: none" in answer.json()["error"]["message"]


async def test_a_voice_is_made_of_a_description(door: Door) -> None:
    voice = await door.made("Old man", id="old", description=" a calm old man ", language="en-GB")
    assert (voice["id"], voice["kind"], voice["description"]) == ("old", "designed", "a calm old man")
    assert door.engine.descriptions == [("a calm old man", "en-GB")]


async def test_a_description_may_come_in_a_form_too(door: Door) -> None:
    answer = await door.post(data={"name": "Anna"}, files={"description": (None, "calm")})
    assert (answer.status_code, answer.json()["kind"]) == (201, "designed")


WRONG_JSON: dict[str, Any] = {
    "nothing": {},
    "no name": {"description": "calm"},
    "a blank name": {"name": "  ", "description": "calm"},
    "a name in two lines": {"name": "a\nb", "description": "calm"},
    "a long name": {"name": "x" * 101, "description": "calm"},
    "a bad id": {"name": "A", "id": "a/b", "description": "calm"},
    "a bad language": {"name": "A", "language": "English, please", "description": "calm"},
    "neither": {"name": "A"},
    "both": {"name": "A", "description": "calm", "clip": {"url": "http://example.com/"}},
    "an empty description": {"name": "A", "description": " "},
    "a long description": {"name": "A", "description": "x" * 1001},
    "a long transcript": {"name": "A", "clip": {"url": "http://example.com/"}, "transcript": "x" * 2001},
    "an empty clip": {"name": "A", "clip": {}},
    "two clips": {"name": "A", "clip": {"url": "http://example.com/", "base64": "AAAA"}},
    "a clip of a kind that is none": {"name": "A", "clip": {"path": "/etc/passwd"}},
    "a clip that is none": {"name": "A", "clip": "AAAA"},
    "an engine that is none": {"name": "A", "description": "calm", "provider": "nobody"},
    "an engine that makes none": {"name": "A", "description": "calm", "provider": "mock_tone"},
    "no object": [],
}


@pytest.mark.parametrize("kind", WRONG_JSON)
async def test_a_body_that_is_wrong_is_refused_with_a_sentence(door: Door, kind: str) -> None:
    answer = await door.post(json=WRONG_JSON[kind])
    assert error_of(answer) in {(400, "bad_request"), (400, "bad_message"), (400, "unknown_provider")}
    said = answer.json()["error"]["message"]
    assert "/etc/passwd" not in said
    assert "Value error" not in said
    assert door.engine.descriptions == []


async def test_what_is_wrong_is_named(door: Door) -> None:
    said = {
        kind: (await door.post(json=WRONG_JSON[kind])).json()["error"]["message"]
        for kind in ("no name", "both", "two clips", "an engine that makes none")
    }
    assert said == {
        "no name": "name: field required",
        "both": "say 'description' or 'clip', and not both",
        "two clips": "clip: say 'base64' or 'url', and not both",
        "an engine that makes none": "engine 'mock_tone' makes no voices from descriptions",
    }


WRONG_FORMS: dict[str, dict[str, Any]] = {
    "no file": {"data": {"name": "A"}, "files": {"other": (None, "x")}},
    "another field": {"data": {"name": "A"}, "files": {"sound": ("a.wav", b"x")}},
    "two files": {"data": {"name": "A"}, "files": [("clip", ("a.wav", b"x")), ("clip", ("b.wav", b"x"))]},
    "both": {"data": {"name": "A", "description": "calm"}, "files": {"clip": ("a.wav", b"x")}},
    "no name": {"files": {"clip": ("a.wav", b"x")}},
    "many fields": {"data": {f"f{n}": "x" for n in range(40)}, "files": {"clip": ("a.wav", b"x")}},
    "a long field": {"data": {"name": "x" * 70_000}, "files": {"clip": ("a.wav", b"x")}},
    "no boundary": {"content": b"x", "headers": {"content-type": "multipart/form-data"}},
    "no form": {"content": b"x" * 100, "headers": {"content-type": "multipart/form-data; boundary=b"}},
    "cut off": {
        "content": b'--b\r\ncontent-disposition: form-data; name="clip"; filename="a.wav"\r\n\r\nRIFF',
        "headers": {"content-type": "multipart/form-data; boundary=b"},
    },
    "long headers": {
        "content": b'--b\r\ncontent-disposition: form-data; name="' + b"x" * 100_000 + b'"\r\n\r\nx\r\n--b--\r\n',
        "headers": {"content-type": "multipart/form-data; boundary=b"},
    },
    "another charset": {
        "content": b'--b\r\ncontent-disposition: form-data; name="name"\r\n\r\n+2AA-\r\n--b--\r\n',
        "headers": {"content-type": "multipart/form-data; boundary=b; charset=utf-7"},
    },
    "too large": {"data": {"name": "A"}, "files": {"clip": ("a.wav", bytes(12_000_000))}},
    "text": {"content": b"name=A&description=calm", "headers": {"content-type": "application/x-www-form-urlencoded"}},
}


@pytest.mark.parametrize("kind", WRONG_FORMS)
async def test_a_form_that_is_wrong_is_refused_with_a_sentence(door: Door, kind: str) -> None:
    answer = await door.post(**WRONG_FORMS[kind])
    assert error_of(answer) in {(400, "bad_request"), (400, "bad_message"), (400, "bad_clip")}
    assert door.engine.clips == []
    assert await door.ids() == []
    uploads = door.served.gateway.uploads
    assert (uploads.taken, uploads.waiting) == (0, 0)


async def test_what_an_engine_says_of_a_clip_is_told(door: Door) -> None:
    door.engine.making = (Raise(BadClip("two people speak in it")),)
    answer = await door.post(data={"name": "A"}, files={"clip": ("a.wav", file("wav"))})
    assert error_of(answer) == (400, "bad_clip")
    door.engine.making = (Raise(EngineUnavailable("it is away", retry_after=3.0)),)
    answer = await door.post(data={"name": "A"}, files={"clip": ("a.wav", file("wav"))})
    assert error_of(answer) == (502, "engine_unavailable")


async def test_an_id_is_given_once_and_a_full_library_says_so() -> None:
    async with opened(voices_per_key=2) as door:
        await door.made("Anna")
        assert error_of(await door.post(json={"name": "anna!", "description": "calm"})) == (409, "voice_exists")
        assert error_of(await door.post(json={"name": "One", "description": "calm"})) == (409, "voice_exists")
        await door.made("Berta")
        assert error_of(await door.post(json={"name": "Carla", "description": "calm"})) == (409, "library_full")


async def test_making_voices_is_limited_in_time() -> None:
    async with opened(voice_rate_limit=1) as door:
        await door.made()
        answer = await door.post(json={"name": "Berta", "description": "calm"})
        assert error_of(answer) == (429, "rate_limited")
        assert int(answer.headers["retry-after"]) > 0


async def test_what_cannot_be_worked_on_yet_waits_unread_and_beyond_some_is_told_to_come_later() -> None:
    go, begun = asyncio.Event(), asyncio.Event()
    engine = Making()
    engine.making = (Mark(begun), Wait(go))
    async with opened(engine, voice_uploads=1) as door:
        uploads = door.served.gateway.uploads

        def post(number: int) -> asyncio.Task[httpx.Response]:
            return asyncio.create_task(door.post(json={"name": f"V{number}", "description": "calm"}))

        first = post(0)
        await begun.wait()
        waiting = [post(number) for number in range(1, 6)]
        (refused,), _ = await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
        assert error_of(refused.result()) == (503, "overloaded")
        assert "retry-after" in refused.result().headers
        assert (uploads.taken, uploads.waiting) == (1, 4)
        assert len(engine.descriptions) == 1
        go.set()
        answers = await asyncio.gather(first, *waiting)
        assert sorted(one.status_code for one in answers) == [201] * 5 + [503]


# ---- listing and removing


async def test_voices_are_listed_shown_and_removed(door: Door) -> None:
    assert await door.ids() == []
    anna, berta = await door.made("Anna"), await door.made("Berta")
    assert (await door.http.get("/v1/voices/library")).json() == {"voices": [anna, berta]}
    VoiceAnswer.model_validate(anna)
    assert (await door.http.get("/v1/voices/library/anna")).json() == anna
    removed = await door.http.delete("/v1/voices/library/anna")
    assert (removed.status_code, removed.content) == (204, b"")
    assert await door.ids() == ["berta"]
    for method in ("GET", "DELETE"):
        assert error_of(await door.http.request(method, "/v1/voices/library/anna")) == (404, "voice_not_found")
    assert (await door.http.put("/v1/voices/library/berta")).status_code == 405


async def test_voices_stand_behind_the_engines_own_in_the_list_that_clients_read(door: Door) -> None:
    engines = await door.offered()
    await door.made("Anna", language="en-GB")
    assert await door.offered() == [*engines, "anna"]
    found = (await door.http.get("/v1/voices", params={"provider": "making", "language": "en-GB"})).json()["voices"]
    assert [(voice["id"], voice["provider"], voice["sample_rate_hz"]) for voice in found] == [("anna", "making", 24000)]


# ---- whose they are


async def test_a_voice_is_seen_used_and_removed_by_the_key_that_made_it_alone() -> None:
    phone = {"x-api-key": "key-of-phone"}
    async with opened(key="key-of-web", api_keys=KEYS) as door:
        await door.made("Anna")
        assert "anna" in await door.offered()
        assert await door.ids(authorization="", **phone) == []
        assert "anna" not in await door.offered(authorization="", **phone)
        theirs = phone | {"authorization": ""}
        for method in ("GET", "DELETE"):
            answer = await door.http.request(method, "/v1/voices/library/anna", headers=theirs)
            assert error_of(answer) == (404, "voice_not_found")
        body = {"model": "tts-1", "voice": "anna", "input": "Hello.", "response_format": "pcm"}
        refused = await door.http.post("/v1/audio/speech", json=body, headers=theirs)
        assert (refused.status_code, refused.json()["error"]["code"]) == (400, "unknown_voice")
        session = {"text": "Hello.", "voice": "anna"}
        assert (await door.http.post("/v1/tts/sessions", json=session, headers=theirs)).status_code == 400
        assert "anna" not in refused.text
        # One of the same name is another voice.
        made = await door.post(json={"name": "Anna", "description": "loud"}, headers=theirs)
        assert made.status_code == 201
        assert (await door.http.delete("/v1/voices/library/anna", headers=theirs)).status_code == 204
        assert await door.ids() == ["anna"]
        assert (await door.http.post("/v1/audio/speech", json=body)).status_code == 200


async def test_without_a_key_nobody_comes_near_them() -> None:
    async with opened(api_keys=KEYS) as door:
        for method, path in (
            ("POST", "/v1/voices"),
            ("GET", "/v1/voices/library"),
            ("GET", "/v1/voices/library/anna"),
            ("DELETE", "/v1/voices/library/anna"),
        ):
            assert error_of(await door.http.request(method, path)) == (401, "unauthorized")


# ---- wherever a voice is named


async def test_a_voice_speaks_over_every_door() -> None:
    async with opened(key="key-of-web", api_keys=KEYS) as door:
        await door.made("Anna")
        body = {"model": "tts-1", "voice": "anna", "input": "Hello.", "response_format": "pcm"}
        assert len((await door.http.post("/v1/audio/speech", json=body)).content) == 9600
        session = (await door.http.post("/v1/tts/sessions", json={"text": "Hello.", "voice": "anna"})).json()
        assert (await door.http.get(f"/v1/tts/sessions/{session['session_id']}/file")).status_code == 200
        async with connect(f"{door.served.ws}/v1/stream?api_key=key-of-web") as socket:
            await socket.send(json.dumps({"type": "start", "context": "c", "voice": "anna", "pace": "burst"}))
            await socket.send(json.dumps({"type": "text", "context": "c", "text": "Hello."}))
            await socket.send(json.dumps({"type": "end", "context": "c"}))
            said = [json.loads(message) async for message in until_ended(socket)]
        assert [message["type"] for message in said] == ["started", "ended"]
        assert (said[0]["voice"], said[0]["provider"]) == ("anna", "making")
        prompts = {segment.voice.prompt for segment in door.engine.segments}
        assert len(door.engine.segments) == 3
        assert len(prompts) == 1
        assert None not in prompts


async def until_ended(socket: Any) -> AsyncIterator[str]:
    async for message in socket:
        if isinstance(message, str):
            yield message
            if json.loads(message)["type"] in {"ended", "error"}:
                return
