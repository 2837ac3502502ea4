"""Files that only ffmpeg writes, at the earlier gateway's door."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import httpx
import pytest

from audio import convert
from audio.decode import decode
from gateway.admission.local import LocalCapacity
from gateway.clock import Clock
from gateway.dialects.conversion import converted
from gateway.errors import Internal, UnknownSession, VoxwireError
from gateway.events import Audio, Ended, Event, Failed
from gateway.session.session import Emit
from providers.base import EngineFailed
from tests.support.engines import Hang, Raise, Say, Scripted, Wait, sound
from tests.support.processes import children
from tests.support.serving import Served, serving

M4A = convert.find("m4a")
RATE = 24000


class Client:
    def __init__(self, served: Served, http: httpx.AsyncClient) -> None:
        self.gateway = served.gateway
        self.http = http

    async def session(self, **body: Any) -> str:
        return str((await self.http.post("/v1/tts/sessions", json={"text": "Hello.", **body})).json()["session_id"])

    async def file(self, session: str, name: str) -> httpx.Response:
        return await self.http.get(f"/v1/tts/sessions/{session}/file", params={"format": name})

    def streamed(self, session: str, name: str) -> Any:
        return self.http.stream("GET", f"/v1/tts/sessions/{session}/file", params={"format": name})


@asynccontextmanager
async def client(engine: Scripted, **settings: Any) -> AsyncIterator[Client]:
    """Fails if a process is left."""
    async with (
        serving(engines=[engine], **settings) as served,
        httpx.AsyncClient(base_url=served.http, timeout=60) as http,
    ):
        made = Client(served, http)
        yield made
    assert (served.gateway.conversions.taken, served.gateway.capacities.sessions.taken) == (0, 0)
    assert children() == []


@pytest.mark.parametrize(("name", "mime"), [("m4a", "audio/mp4"), ("mka", "audio/x-matroska"), ("aiff", "audio/aiff")])
async def test_a_file_comes_in_a_container_without_speaking_again(name: str, mime: str) -> None:
    engine = Scripted()
    async with client(engine) as made:
        session = await made.session()
        # The first speaks it, the second has the recording.
        for _ in range(2):
            answer = await made.file(session, name)
            assert (answer.status_code, answer.headers["content-type"]) == (200, mime)
            assert answer.headers["content-disposition"] == f'inline; filename="speech-{session[:8]}.{name}"'
            decoded = await decode(answer.content, sample_rate=RATE)
            assert 0.2 <= decoded.duration < 0.2 + 1024 / RATE
        assert engine.texts == ["Hello."]


async def test_the_container_has_the_rate_that_the_session_was_asked_for() -> None:
    async with client(Scripted()) as made:
        session = await made.session(sample_rate_hz=8000)
        await made.file(session, "wav")
        # au: the rate stands at byte 16.
        assert int.from_bytes((await made.file(session, "au")).content[16:20], "big") == 8000


async def test_a_container_follows_what_is_still_being_spoken() -> None:
    engine, hold = Scripted(), asyncio.Event()
    engine.on("Hello.", Say(sound(3000, 1)), Wait(hold), Say(sound(300, 2)))
    async with client(engine) as made:
        session = await made.session()
        async with made.streamed(session, "wav") as speaking:
            spoken = speaking.aiter_bytes()
            await anext(spoken)
            async with made.streamed(session, "au") as answer:
                pieces = answer.aiter_bytes()
                got = await anext(pieces)
                hold.set()
                got += b"".join([piece async for piece in pieces])
            _ = [piece async for piece in spoken]
        assert (await decode(got, sample_rate=RATE)).pcm == sound(3000, 1) + sound(300, 2)
        assert engine.texts == ["Hello."]


async def test_an_unknown_name_is_answered_with_the_names_there_are() -> None:
    async with client(Scripted()) as made:
        answer = await made.file(await made.session(), "tape")
        assert (answer.status_code, answer.json()["code"]) == (400, "unsupported_format")
        for name in ("pcm16", "opus", "m4a", "aiff"):
            assert name in answer.json()["detail"]


async def test_an_engine_that_fails_before_its_first_sound_is_an_http_error() -> None:
    engine = Scripted()
    engine.otherwise(Raise(EngineFailed("it broke")))
    async with client(engine) as made:
        answer = await made.file(await made.session(), "m4a")
        assert (answer.status_code, answer.json()["detail"]) == (502, "it broke")


async def test_who_goes_leaves_neither_a_session_nor_a_process() -> None:
    engine = Scripted()
    engine.otherwise(Say(sound(3000)), Hang())
    async with client(engine) as made:
        async with made.streamed(await made.session(), "au") as answer:
            await anext(answer.aiter_bytes())
            assert len(children()) == 1
        await made.gateway.sessions.drained()
        assert (engine.stopped, engine.active) == (1, 0)


async def test_more_conversions_than_there_are_places_for_are_refused_and_use_no_session_up() -> None:
    async def hold(release: asyncio.Event) -> None:
        async with made.gateway.conversions.place():
            await release.wait()

    async with client(Scripted(), max_conversions=1) as made, asyncio.TaskGroup() as group:
        session, release = await made.session(), asyncio.Event()
        for _ in range(2):
            group.create_task(hold(release))
        await asyncio.sleep(0)
        assert (made.gateway.conversions.taken, made.gateway.conversions.waiting) == (1, 1)
        answer = await made.file(session, "m4a")
        assert (answer.status_code, answer.json()["code"]) == (503, "overloaded")
        release.set()
        assert (await made.file(session, "m4a")).status_code == 200


@pytest.mark.parametrize("name", ["wav", "mp3", "m4a"])
async def test_a_recording_that_cannot_be_read_any_more_has_no_file(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    async def fail(_: object) -> bytes:
        raise OSError(5, "Input/output error")

    async with client(Scripted()) as made:
        session = await made.session()
        assert (await made.file(session, "pcm16")).content == sound(200)
        monkeypatch.setattr(made.gateway.recordings.shelf, "read", fail)
        answer = await made.file(session, name)
        assert (answer.status_code, answer.json()["code"]) == (404, "unknown_session")


# ---- the conversion alone


def places() -> LocalCapacity:
    return LocalCapacity(1, 0, Clock())


async def said(produce: Any) -> list[Event]:
    events: list[Event] = []

    async def emit(event: Event) -> None:
        events.append(event)

    await converted(produce, M4A, RATE, places())(emit)
    return events


def speaking(*last: Event | VoxwireError) -> Any:
    async def produce(emit: Emit) -> None:
        await emit(Audio(sound(100), 0, 0, RATE // 10))
        for event in last:
            if isinstance(event, VoxwireError):
                raise event
            await emit(event)

    return produce


async def test_the_end_is_said_after_the_whole_file() -> None:
    ended = Ended(0.1, None, 1)
    events = await said(speaking(ended))
    assert events[-1] is ended
    assert [event.sequence for event in events[:-1] if isinstance(event, Audio)] == list(range(len(events) - 1))


@pytest.mark.parametrize("last", [Failed(UnknownSession("cut short")), UnknownSession("cut short")])
async def test_a_failure_of_the_speech_is_raised_as_it_is(last: Event | VoxwireError) -> None:
    with pytest.raises(UnknownSession, match="cut short"):
        await said(speaking(last))
    assert children() == []


async def test_a_failure_of_ffmpeg_is_ours(monkeypatch: pytest.MonkeyPatch) -> None:
    broken = convert.Container("m4a", "audio/mp4", "no_such_muxer", "aac")
    monkeypatch.setitem(globals(), "M4A", broken)
    with pytest.raises(Internal):
        await said(speaking(Ended(0.1, None, 1)))
    assert children() == []


async def test_the_log_says_why_a_file_could_not_be_made(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    async def fail(*_: object, **__: object) -> None:
        raise convert.ConvertError("ffmpeg is missing")

    monkeypatch.setattr("gateway.dialects.conversion.convert", fail)
    with pytest.raises(Internal, match="log has the cause"):
        await said(speaking(Ended(0.1, None, 1)))
    assert [record.getMessage() for record in caplog.records] == ["m4a: ffmpeg is missing"]
