"""Orpheus behind each of the gateway's APIs: what is heard, and what is said when its llama-server fails.

Where it is the gateway that is looked at, llama-server and SNAC are scripted ones without a model.
"""

from __future__ import annotations

import asyncio
import base64
import io
import json
import re
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import aiohttp
import av
import httpx
import pytest
import pytest_asyncio

from gateway import doctor
from gateway.dialects.orpheus_fastapi.speaking import FRAME_MS
from providers.orpheus.engine import Orpheus
from tests.support.asking import client, pcm_of_wav, post, spoken_natively, until
from tests.support.duplex import duplex
from tests.support.fake_llama import Abort, FakeLlama, Hang, Say, Status, Stop, Wait, frame, frames
from tests.support.fake_snac import sound
from tests.support.llama import SLOTS, LlamaServer
from tests.support.orpheus import made, said, scripted
from tests.support.serving import Served, serving

CODES = [tuple((token - 128_266) % 4096 for token in frame(number)) for number in range(100)]
TWO = "This is the first of two sentences. And this, a little longer, is the second one!"
HOSTILE = "Say <|eot_id|> or <custom_token_2> or <|begin_of_text|>, <b>bold</b><laugh> and a<b. "


def events(body: str) -> list[dict[str, Any]]:
    return [json.loads(line.removeprefix("data: ")) for line in body.splitlines() if line]


def pcm_of_events(body: str) -> bytes:
    return b"".join(base64.b64decode(event["audio_base64"]) for event in events(body) if "chunk" in event)


async def metrics(served: Served) -> dict[str, float]:
    """Those of the engine, by their names without labels."""
    async with client(served) as made:
        text = (await made.get("/metrics")).text
    lines = re.findall(r'^(\w+)\{[^}]*provider="orpheus"[^}]*\} (\S+)$', text, re.MULTILINE)
    return {name: float(value) for name, value in lines}


async def engine_state(served: Served) -> dict[str, Any]:
    async with client(served) as made:
        state: dict[str, Any] = (await made.get("/healthz")).json()["engines"]["orpheus"]
        return state


# ---- with a real llama-server and a real SNAC


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def real(llama_server: LlamaServer, snac_folder: Path) -> AsyncIterator[tuple[Served, Orpheus]]:
    engine = made(llama_server, snac_folder, max_tokens=10 * SLOTS)
    async with serving(engines=[engine]) as served:
        yield served, engine


engines = pytest.mark.engines
module_loop = pytest.mark.asyncio(loop_scope="module")


def frames_said(engine: Orpheus) -> int:
    """Whole frames that the model has said since this was asked last."""
    count = sum(len(one.frames()) for one in said(engine))
    said(engine).clear()
    return count


@engines
@module_loop
async def test_every_door_gives_all_that_the_model_said(real: tuple[Served, Orpheus]) -> None:
    served, engine = real
    said(engine).clear()
    lengths = {"native": len(await spoken_natively(served, TWO))}
    made_ = {"native": frames_said(engine)}
    streamed = await post(served, "/api/tts/stream", {"text": TWO})
    lengths["events"], made_["events"] = len(pcm_of_events(streamed.text)), frames_said(engine)
    filed = await post(served, "/api/tts/wav", {"text": TWO})
    lengths["wav"], made_["wav"] = len(pcm_of_wav(filed.content, 24_000)), frames_said(engine)
    packed = await post(served, "/api/tts", {"text": TWO, "stream": False})
    whole = base64.b64decode(packed.json()["audio_base64"])
    lengths["json"], made_["json"] = len(pcm_of_wav(whole, 24_000)), frames_said(engine)
    raw = await post(served, "/v1/audio/speech", {"input": TWO, "model": "orpheus", "response_format": "pcm"})
    lengths["openai"], made_["openai"] = len(raw.content), frames_said(engine)
    assert all(made_.values())
    assert lengths == {door: count * 2048 * 2 for door, count in made_.items()}

    last = events(streamed.text)[-1]
    assert last["event"] == "complete"
    assert last["total_samples"] * 2 == lengths["events"]
    assert events(streamed.text)[0]["ttfa_ms"] <= last["processing_time_ms"]
    assert filed.headers["x-audio-duration-seconds"] == f"{lengths['wav'] / 48_000:.2f}"
    assert 0 < int(filed.headers["x-ttfa-ms"]) <= int(filed.headers["x-processing-time-ms"])
    assert packed.json()["duration_seconds"] == round(lengths["json"] / 48_000, 3)
    counted = await metrics(served)
    assert counted["voxwire_engine_audio_seconds_total"] == pytest.approx(sum(made_.values()) * 2048 / 24_000)
    assert counted["voxwire_engine_places"] == 4
    assert counted["voxwire_engine_places_taken"] == counted["voxwire_sessions_active"] == 0


@engines
@module_loop
async def test_what_the_earlier_servers_clients_may_set_reaches_the_model(real: tuple[Served, Orpheus]) -> None:
    served, engine = real
    said(engine).clear()
    body = {"text": TWO, "voice": "leo", "temperature": 0.5, "max_tokens": 64}
    answer = await post(served, "/api/tts/stream", body)
    assert answer.status_code == 200
    assert [one.prompt for one in said(engine)] == [
        "leo: This is the first of two sentences.",
        "leo: And this, a little longer, is the second one!",
    ]
    for one in said(engine):
        assert (one.request["temperature"], one.request["n_predict"]) == (0.5, 64)
        assert len(one.frames()) <= 64 // SLOTS
    async with client(served) as made_:
        voices = (await made_.get("/api/voices")).json()["voices"]
        health = await made_.get("/health")
    assert [voice["id"] for voice in voices] == ["tara", "leah", "jess", "leo", "dan", "mia", "zac", "zoe"]
    assert {voice["provider"] for voice in voices} == {"orpheus"}
    assert (health.status_code, health.json()["status"]) == (200, "healthy")


@engines
@module_loop
@pytest.mark.parametrize("kind", ["mp3", "opus", "flac", "wav"])
async def test_encoded_speech_is_as_long_as_what_was_said(real: tuple[Served, Orpheus], kind: str) -> None:
    served, engine = real
    said(engine).clear()
    answer = await post(served, "/v1/audio/speech", {"input": "Hello there.", "response_format": kind})
    assert answer.status_code == 200
    seconds = frames_said(engine) * 2048 / 24_000
    with av.open(io.BytesIO(answer.content)) as file:
        decoded = sum(one.samples / one.sample_rate for one in file.decode(audio=0))
    # An encoder's own delay, and the rest of its last packet.
    assert seconds - 0.001 <= decoded <= seconds + 0.12


@engines
@module_loop
async def test_no_text_that_comes_letter_by_letter_is_more_to_the_model_than_text(
    real: tuple[Served, Orpheus], llama_server: LlamaServer
) -> None:
    served, engine = real
    said(engine).clear()
    async with duplex(served.ws) as listener:
        heard = await listener.speak(
            "a", iter(HOSTILE * 6), provider="orpheus", pace="burst", options={"max_tokens": 64}
        )
        await heard.over.wait()
        assert heard.last["type"] == "ended"
    assert len(said(engine)) > 4
    async with aiohttp.ClientSession() as session:
        for one in said(engine):
            body = {"content": one.prompt, "add_special": False, "parse_special": True}
            async with session.post(f"{llama_server.url}/tokenize", json=body) as response:
                assert all(token < 128_000 for token in (await response.json())["tokens"]), one.prompt
    assert any("<laugh>" in one.prompt for one in said(engine))


@engines
async def test_the_doctor_starts_it_and_says_what_it_found(
    llama_server: LlamaServer, snac_folder: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("VOXWIRE_ORPHEUS_URL", llama_server.url)
    monkeypatch.setenv("VOXWIRE_ORPHEUS_WEIGHTS", str(snac_folder))
    monkeypatch.setenv("VOXWIRE_ORPHEUS_BACKEND", "onnx")
    check = await doctor.check_engine("orpheus", 60)
    assert check.ok
    assert "4 places; SNAC: ONNX Runtime" in check.found
    assert "voices: tara, leah, jess, leo, dan, mia and 2 more" in check.found
    monkeypatch.setenv("VOXWIRE_ORPHEUS_URL", "http://127.0.0.1:1")
    check = await doctor.check_engine("orpheus", 60)
    assert not check.ok
    assert check.found.startswith("llama-server does not answer; SNAC: ONNX Runtime")
    monkeypatch.setenv("VOXWIRE_ORPHEUS_URL", "127.0.0.1:8090")
    check = await doctor.check_engine("orpheus", 60)
    assert "VOXWIRE_ORPHEUS_URL is wrong: write an address such as" in check.found


# ---- with scripted ones


async def test_a_server_that_is_down_is_a_clear_error_at_every_door_until_it_is_back() -> None:
    fake = FakeLlama()
    await fake.start()
    await fake.stop()
    engine = scripted(fake)
    async with serving(engines=[engine]) as served:
        assert await engine_state(served) == {
            "state": "failed",
            "code": "engine_unavailable",
            "message": "llama-server does not answer",
        }
        for path, body in [
            ("/api/tts", {"text": "Hello."}),
            ("/api/tts/wav", {"text": "Hello."}),
            ("/v1/audio/speech", {"input": "Hello."}),
        ]:
            answer = await post(served, path, body)
            assert answer.status_code == 502, path
            assert int(answer.headers["retry-after"]) >= 1
            assert "llama-server does not answer" in answer.text
            assert "127.0.0.1" not in answer.text
        async with client(served) as made_:
            assert (await made_.get("/readyz")).status_code == 503
        async with duplex(served.ws) as listener:
            heard = await listener.start("a", provider="orpheus")
            await heard.over.wait()
            assert (heard.last["code"], heard.last["retryable"]) == ("engine_unavailable", True)
            assert heard.last["retry_after_ms"] >= 1000
            async with fake:
                await engine.health.well.wait()
                assert await engine_state(served) == {"state": "ready"}
                heard = await listener.speak("b", "Hello.", provider="orpheus", pace="burst")
                await heard.over.wait()
                assert bytes(heard.sound) == sound(*CODES[:3])
                assert pcm_of_events((await post(served, "/api/tts", {"text": "Hello."})).text) == sound(*CODES[:3])


async def broken_off(answer: httpx.Response, gate: asyncio.Event) -> bytes:
    """What came of an answer before it broke off, so that nobody takes it for whole. ``gate`` is set by its first
    piece."""
    came = b""
    with pytest.raises(httpx.RemoteProtocolError):  # noqa: PT012
        async for piece in answer.aiter_bytes():
            came += piece
            gate.set()
    return came


def nearly_all(heard: bytes, frame_ms: int) -> bool:
    """All of the five frames but what would have gone into the next frame of the answer."""
    whole = sound(*CODES[:5])
    return whole.startswith(heard) and 0 <= len(whole) - len(heard) < frame_ms * 48


async def test_a_server_that_breaks_off_is_an_error_behind_the_sound_at_every_door() -> None:
    async with FakeLlama() as fake:
        engine = scripted(fake, attempts=1, failures=10)
        async with serving(engines=[engine]) as served, client(served) as made_:
            gate = asyncio.Event()
            fake.otherwise(Say(frames(5)), Wait(gate), Abort())

            async with made_.stream("POST", "/api/tts/stream", json={"text": "Hello."}) as answer:
                body = (await broken_off(answer, gate)).decode()
            assert nearly_all(pcm_of_events(body), FRAME_MS)
            last = events(body)[-1]
            assert (last["event"], last["code"], last["retryable"]) == ("error", "engine_unavailable", True)
            assert last["error"] == "llama-server broke off in the middle"

            gate.clear()
            request = {"input": "Hello.", "response_format": "pcm"}
            async with made_.stream("POST", "/v1/audio/speech", json=request) as answer:
                assert nearly_all(await broken_off(answer, gate), 100)

            gate.clear()
            filing = asyncio.create_task(post(served, "/api/tts/wav", {"text": "Hello."}))
            await fake.until_active(1)
            gate.set()
            assert (await filing).status_code == 502


async def test_who_waits_for_a_slot_knows_the_position_and_the_operator_how_many_there_are() -> None:
    async with FakeLlama() as fake, AsyncExitStack() as sockets:
        engine = scripted(fake)
        served = await sockets.enter_async_context(serving(engines=[engine]))
        gate = asyncio.Event()
        fake.otherwise(Say(frames(3)), Wait(gate), Say(frames(2, 3)), Stop())
        listeners = [await sockets.enter_async_context(duplex(served.ws)) for _ in range(7)]
        heard = [await one.speak("a", "Hello.", provider="orpheus", pace="burst") for one in listeners[:4]]
        await fake.until_active(4)
        for number, one in enumerate(listeners[4:], 1):
            heard.append(await one.speak("a", "Hello.", provider="orpheus", pace="burst"))
            await until(lambda: heard[-1].messages != [])
            assert (heard[-1].last["type"], heard[-1].last["position"]) == ("queued", number)
        counted = await metrics(served)
        assert counted["voxwire_engine_places"] == counted["voxwire_engine_places_taken"] == 4
        assert counted["voxwire_engine_places_waiting"] == 3
        assert (engine.slots.taken, engine.slots.waiting) == (4, 0)
        await listeners[5].send("cancel", context="a")
        await heard[5].over.wait()
        gate.set()
        for one in heard:
            await one.over.wait()
        assert [one.last["type"] for one in heard] == ["ended"] * 5 + ["cancelled", "ended"]
        assert [bytes(one.sound) for one in heard if one.sound] == [sound(*CODES[:5])] * 6
        assert fake.most_active == 4
        assert len(fake.requests) == 6


async def test_many_contexts_of_one_socket_can_be_cancelled_in_one_moment() -> None:
    async with FakeLlama(slots=32) as fake:
        engine = scripted(fake)
        fake.otherwise(Say(frames(3)), Hang())
        async with serving(engines=[engine]) as served, duplex(served.ws) as listener:
            names = [f"c{number}" for number in range(40)]
            heard = [await listener.speak(name, "Hello.", provider="orpheus", pace="burst") for name in names]
            await fake.until_active(32)
            for name in names:
                await listener.send("cancel", context=name)
            for one in heard:
                await one.over.wait()
            assert {one.last["type"] for one in heard} == {"cancelled"}
            async with asyncio.timeout(60):
                await fake.until_active(0)
            assert (engine.slots.taken, engine.slots.waiting) == (0, 0)
            fake.otherwise(Say(frames(3)), Stop())
            again = await listener.speak("again", "Hello.", provider="orpheus", pace="burst")
            await again.over.wait()
            assert bytes(again.sound) == sound(*CODES[:3])


@pytest.mark.parametrize("text", ["<b></b>", "😀👍", "<|eot_id|>", "\u200b\u200d", "... !", "< >"])
async def test_a_text_with_nothing_to_say_is_asked_of_nobody_and_the_callers_fault(text: str) -> None:
    async with FakeLlama() as fake, serving(engines=[scripted(fake)]) as served:
        assert (await post(served, "/v1/audio/speech", {"input": text})).status_code == 400
        assert (await post(served, "/api/tts/wav", {"text": text})).status_code in {400, 422}
        assert fake.requests == []


@pytest.mark.parametrize(
    "text", ["z" * 10_000, "\u05e9\u05dc\u05d5\u05dd " * 300, "a\u0301\u200d" * 2000], ids=["long", "rtl", "marks"]
)
async def test_a_text_of_any_kind_is_spoken_in_segments_that_the_model_can_take(text: str) -> None:
    async with FakeLlama() as fake, serving(engines=[scripted(fake)]) as served:
        pcm = await spoken_natively(served, text)
        assert len(pcm) == len(fake.requests) * 3 * 4096
        prompts = [request["prompt"][2].removeprefix("tara: ") for request in fake.requests]
        assert all(0 < len(prompt) <= 300 for prompt in prompts)
        letters = "".join(filter(str.isalnum, text))
        assert "".join(filter(str.isalnum, "".join(prompts))) == letters


async def test_a_model_that_says_no_speech_is_the_engines_failure_at_every_door() -> None:
    async with FakeLlama() as fake, serving(engines=[scripted(fake, attempts=1)]) as served:
        fake.otherwise(Say([17] * 100), Stop())
        for path, body in [("/v1/audio/speech", {"input": "Hello."}), ("/api/tts/wav", {"text": "Hello."})]:
            answer = await post(served, path, body)
            assert answer.status_code in {500, 502}, path
            assert "no speech" in answer.text
        fake.otherwise(Status(400))
        assert (await post(served, "/v1/audio/speech", {"input": "Hello."})).status_code in {500, 502}
