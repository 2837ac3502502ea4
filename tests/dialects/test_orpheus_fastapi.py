"""The API of the earlier Orpheus server: what is answered to the byte, by its own clients, and when things go wrong."""

from __future__ import annotations

import asyncio
import base64
import importlib.util
import io
import json
import os
import re
import shutil
import sys
import wave
from collections.abc import Mapping
from importlib import import_module
from pathlib import Path
from typing import Any, ClassVar

import httpx
import pytest

from gateway import __version__
from gateway.client import AsyncClient
from gateway.dialects.sse import WHOLE
from providers.base import BadOption, EngineFailed, EngineUnavailable, Voice
from tests.support.asking import client, empty, until
from tests.support.chromium import chromium
from tests.support.engines import Broken, Hang, Mark, Raise, Say, Scripted, Wait, sound
from tests.support.scene import after, scene
from tests.support.serving import Served, serving
from tests.support.unread import SpacedByReading
from tests.support.virtual_time import virtual_time

EXAMPLES = Path(__file__).with_name("orpheus_fastapi_examples.txt").read_text()
ROUTING = import_module("gateway.dialects.orpheus_fastapi.routes")
HELLO = {"text": "Hello."}
ROUTES = ("/api/tts", "/api/tts/wav", "/api/tts/stream")


async def post(served: Served, path: str, body: Any = None, **options: Any) -> httpx.Response:
    if "content" not in options:
        options["json"] = HELLO if body is None else body
    async with client(served) as made:
        return await made.post(path, **options)


def events(body: str) -> list[dict[str, Any]]:
    return [json.loads(line.removeprefix("data: ")) for line in body.splitlines() if line]


def pcm_of_events(body: str) -> bytes:
    return b"".join(base64.b64decode(event["audio_base64"]) for event in events(body) if "chunk" in event)


def pcm_of_wav(data: bytes) -> bytes:
    with wave.open(io.BytesIO(data)) as file:
        assert (file.getframerate(), file.getnchannels(), file.getsampwidth()) == (24_000, 1, 2)
        assert len(data) == 44 + file.getnframes() * 2
        return file.readframes(file.getnframes())


# ---- what is answered, to the byte


def b64(data: bytes) -> str:
    return base64.b64encode(data).decode()


@virtual_time
async def test_each_event_is_one_piece_of_2048_bytes() -> None:
    engine = Scripted()
    engine.on("Hello.", after(0.1582), Say(sound(28, 1)), Say(sound(28, 2)), Say(b"\3\0"))
    async with scene(engine) as made:
        status, headers, pieces = await made.ask("POST", "/api/tts/stream", HELLO)
    one, two = b64(sound(28, 1)), b64(sound(28, 2))
    assert (status, headers) == (
        200,
        {"content-type": "text/event-stream; charset=utf-8", "cache-control": "no-cache", "x-accel-buffering": "no"},
    )
    lines = [
        f'{{"chunk":1,"audio_base64":"{one}","samples":672,"duration_ms":28.0,"ttfa_ms":158.2}}',
        f'{{"chunk":2,"audio_base64":"{two}","samples":672,"duration_ms":28.0}}',
        '{"chunk":3,"audio_base64":"AwA=","samples":1,"duration_ms":0.0}',
    ]
    complete = (
        '{"event":"complete","total_chunks":3,"total_samples":1345,"total_duration_s":0.056,"processing_time_ms":175.0}'
    )
    filled = [f"data: {line}".ljust(2048, "\n") for line in lines]
    assert [piece.decode() for piece in pieces] == [*filled, f"data: {complete}\n\n"]


@virtual_time
async def test_the_json_is_a_wav_in_base64_and_its_figures() -> None:
    engine = Scripted()
    engine.on("Hello.", after(0.1582), Say(sound(50, 1)), after(0.2505), Say(sound(50, 2)))
    async with scene(engine) as made:
        status, headers, pieces = await made.ask("POST", "/api/tts", {**HELLO, "stream": False})
    head = bytes.fromhex("52494646e412000057415645666d74201000000001000100c05d000080bb00000200100064617461c0120000")
    file = b64(head + sound(50, 1) + sound(50, 2))
    expected = (
        f'{{"audio_base64":"{file}","duration_seconds":0.1,"sample_rate":24000,'
        '"processing_time_ms":250.5,"ttfa_ms":158.2}'
    )
    assert (status, b"".join(pieces).decode()) == (200, expected)
    assert headers == {"content-type": "application/json", "content-length": str(len(expected))}


@virtual_time
async def test_the_wav_comes_with_its_times_in_the_headers() -> None:
    engine = Scripted()
    engine.on("Hello.", after(0.1582), Say(sound(100, 1)), after(0.2505), Say(sound(400, 2)))
    async with scene(engine) as made:
        status, headers, pieces = await made.ask("POST", "/api/tts/wav", HELLO)
    assert (status, pcm_of_wav(b"".join(pieces))) == (200, sound(100, 1) + sound(400, 2))
    assert headers == {
        "content-type": "audio/wav",
        "content-length": "24044",
        "content-disposition": 'attachment; filename="tts_output.wav"',
        "x-processing-time-ms": "250",
        "x-ttfa-ms": "158",
        "x-audio-duration-seconds": "0.50",
    }


@virtual_time
async def test_health_and_the_index_say_what_these_clients_read() -> None:
    async with scene(Scripted()) as made:
        status, _, pieces = await made.ask("GET", "/health")
        assert (status, json.loads(b"".join(pieces))) == (
            200,
            {
                "status": "healthy",
                "version": __version__,
                "timestamp": "2025-06-15T15:06:40+00:00",
                "client_initialized": True,
            },
        )
        made.gateway.ready = False
        status, _, pieces = await made.ask("GET", "/health")
        said = json.loads(b"".join(pieces))
        assert (status, said["status"], said["client_initialized"]) == (503, "unhealthy", False)
        status, _, pieces = await made.ask("GET", "/")
        index = json.loads(b"".join(pieces))
        assert (status, index["status"], index["version"]) == (200, "healthy", __version__)
        assert index["endpoints"] == {
            "tts": "/api/tts",
            "tts_wav": "/api/tts/wav",
            "tts_stream": "/api/tts/stream",
            "voices": "/api/voices",
            "health": "/health",
        }


@virtual_time
async def test_orpheus_voices_are_listed_first() -> None:
    async with scene(Scripted(voices=("one",)), Orpheus()) as made:
        status, headers, pieces = await made.ask("GET", "/api/voices")
    assert (status, headers["content-type"]) == (200, "application/json")
    assert b"".join(pieces).decode() == (
        '{"voices":['
        '{"id":"tara","name":"Tara","description":"Conversational","language":"en-US","provider":"orpheus"},'
        '{"id":"leo","name":"Leo","description":"Speaks en-US","language":"en-US","provider":"orpheus"},'
        '{"id":"one","name":"One","description":"Speaks en-US","language":"en-US","provider":"scripted"}]}'
    )


# ---- one sound, whichever way


async def spoken_natively(served: Served, text: str) -> bytes:
    async with (
        AsyncClient(served.http) as native,
        native.speak(text, format="pcm16", sample_rate=24_000, pace="burst") as speech,
    ):
        return await speech.read()


@pytest.mark.parametrize(
    "text",
    [
        "Hello world",
        "Is it one? It is two! And then, after a while, there came a third one, which was by far the longest of them.",
        "Zwölf Boxkämpfer… “naïve”, said 3 of them. 😀",
    ],
)
async def test_events_wav_json_and_the_native_protocol_give_the_same_sound(text: str) -> None:
    async with serving(engines=["hibari"]) as served:
        streamed = await post(served, "/api/tts/stream", {"text": text})
        filed = await post(served, "/api/tts/wav", {"text": text})
        packed = await post(served, "/api/tts", {"text": text, "stream": False})
        pcm = pcm_of_events(streamed.text)
        assert len(pcm) > 24_000
        assert pcm == pcm_of_wav(filed.content)
        assert pcm == pcm_of_wav(base64.b64decode(packed.json()["audio_base64"]))
        assert pcm == await spoken_natively(served, text)
        last = events(streamed.text)[-1]
        assert (last["total_samples"], last["total_chunks"]) == (len(pcm) // 2, len(events(streamed.text)) - 1)
        assert packed.json()["duration_seconds"] == last["total_duration_s"] == round(len(pcm) / 48_000, 3)


@pytest.mark.parametrize("rate", [8000, 22_050, 24_000, 48_000])
async def test_it_is_24_khz_whatever_the_engine_speaks(rate: int) -> None:
    async with serving(engines=[Scripted(sample_rate=rate)]) as served:
        pcm = pcm_of_wav((await post(served, "/api/tts/wav")).content)
        assert len(pcm) == 2 * 24_000 // 5
        assert pcm == pcm_of_events((await post(served, "/api/tts/stream")).text)
        assert pcm == await spoken_natively(served, "Hello.")


@pytest.mark.parametrize("stream", [None, True])
async def test_tts_streams_unless_it_is_told_not_to(stream: bool | None) -> None:
    async with serving(engines=[Scripted()]) as served:
        body = HELLO if stream is None else {**HELLO, "stream": stream}
        answer = await post(served, "/api/tts", body)
        assert answer.headers["content-type"] == "text/event-stream; charset=utf-8"
        assert pcm_of_events(answer.text) == sound(200)


async def test_an_event_comes_while_the_rest_is_still_being_made() -> None:
    engine, hold = Scripted(), asyncio.Event()
    engine.on("Hello.", Say(sound(28, 1)), Wait(hold), Say(sound(28, 2)))
    async with (
        serving(engines=[engine]) as served,
        client(served) as made,
        made.stream("POST", "/api/tts/stream", json=HELLO) as answer,
    ):
        pieces, first = answer.aiter_text(), ""
        while len(first) < WHOLE:
            first += await anext(pieces)
        hold.set()
        assert pcm_of_events(first) == sound(28, 1)
        assert pcm_of_events("".join([piece async for piece in pieces])) == sound(28, 2)


# ---- its own clients


def example(language: str, served: Served, **replaced: str) -> str:
    """A client of the README, with nothing changed but the address and what ``replaced`` says."""
    found = re.search(rf"```{language}\n(.*?)```", EXAMPLES, re.DOTALL)
    assert found
    code = found[1].replace("http://localhost:9100", served.http)
    for old, new in replaced.items():
        assert old in code
        code = code.replace(old, new)
    return code


async def run(*command: str, **options: Any) -> str:
    process = await asyncio.create_subprocess_exec(
        *command, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE, **options
    )
    try:
        output, errors = await asyncio.wait_for(process.communicate(), 60)
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    assert process.returncode == 0, errors.decode()
    return output.decode()


SCIPY = """
import wave

class wavfile:
    @staticmethod
    def write(name, rate, samples):
        with wave.open(name, "wb") as file:
            file.setparams((1, 2, rate, 0, "NONE", ""))
            file.writeframes(samples.tobytes())
"""
"""What the example needs of a library that is large, and of no other use here."""


async def test_the_python_client_saves_what_was_spoken(tmp_path: Path) -> None:
    environment = dict(os.environ)
    if importlib.util.find_spec("scipy") is None:
        (tmp_path / "scipy").mkdir()
        (tmp_path / "scipy/__init__.py").touch()
        (tmp_path / "scipy/io.py").write_text(SCIPY)
        environment["PYTHONPATH"] = str(tmp_path)
    async with serving(engines=["hibari"]) as served:
        output = await run(sys.executable, "-c", example("python", served), cwd=tmp_path, env=environment)
        expected = await spoken_natively(served, "Hello, this is a test!")
    assert pcm_of_wav((tmp_path / "output.wav").read_bytes()) == expected
    chunks = -(-len(expected) // 1344)
    assert output.splitlines() == [
        *(f"Received chunk {number}" for number in range(1, chunks + 1)),
        f"Saved {len(expected) / 48_000:.2f}s audio to output.wav",
    ]


FOX = "The quick brown fox jumps over the lazy dog. "
LONG = FOX * 12
"""More than the 2 MiB of events that a browser keeps for a page before it begins again at the start of its memory."""


def samples_played(encoded: str) -> bytes:
    return base64.b64decode(encoded.strip().splitlines()[-1])


NODE = """
globalThis.AudioContext = class {
    createBuffer(channels, length, rate) {
        this.data = new Float32Array(length);
        return { getChannelData: () => this.data };
    }
    createBufferSource() {
        const start = () => {
            process.stdout.write(Buffer.from(Int16Array.from(this.data, (x) => x * 32768).buffer).toString("base64"));
        };
        return { connect() {}, start };
    }
};
"""
"""The loudspeaker that Node lacks: it prints what it is given."""


async def test_the_javascript_client_plays_what_was_spoken(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    node = shutil.which("node")
    if node is None:
        pytest.skip("node is not installed; the test in a browser shows the same")
    async with serving(engines=["mock_tone"]) as served:
        monkeypatch.setattr(ROUTING, "spaced", SpacedByReading(served))
        script = tmp_path / "client.mjs"
        script.write_text(NODE + example("javascript", served, **{"Hello, this is a streaming test!": FOX * 3}))
        output = await run(node, str(script))
        expected = pcm_of_wav((await post(served, "/api/tts/wav", {"text": FOX * 3})).content)
    assert "Stream complete:" in output
    assert samples_played(output) == expected


BROWSER = """
window.played = new Promise((resolve) => {
    AudioBufferSourceNode.prototype.start = function () {
        const bytes = new Uint8Array(Int16Array.from(this.buffer.getChannelData(0), (x) => x * 32768).buffer);
        const url = new FileReader();
        url.onload = () => resolve(url.result.split(",")[1]);
        url.readAsDataURL(new Blob([bytes]));
    };
});
"""


@pytest.mark.browser
@pytest.mark.timeout(400)
async def test_the_javascript_client_plays_it_in_a_browser(monkeypatch: pytest.MonkeyPatch) -> None:
    async with serving(engines=["mock_tone"]) as served, chromium() as browser:
        monkeypatch.setattr(ROUTING, "spaced", SpacedByReading(served))
        page = await browser.new_page()
        errors: list[str] = []
        page.on("pageerror", lambda error: errors.append(str(error)))
        await page.goto(f"{served.http}/healthz")
        await page.add_script_tag(content=BROWSER)
        await page.add_script_tag(content=example("javascript", served, **{"Hello, this is a streaming test!": LONG}))
        played = await page.evaluate("Promise.race([window.played, new Promise(r => setTimeout(r, 300000, ''))])")
        expected = pcm_of_wav((await post(served, "/api/tts/wav", {"text": LONG})).content)
    assert errors == []
    assert samples_played(played) == expected


# ---- who speaks, and how


class Orpheus(Scripted):
    """An engine with options and with the voices of Orpheus."""

    id: ClassVar[str] = "orpheus"
    option_names: ClassVar[frozenset[str]] = frozenset({"temperature", "max_tokens", "seed"})

    def __init__(self, voices: tuple[str, ...] = ("tara", "leo")) -> None:
        super().__init__(voices=voices)
        first, *others = self._voices
        self._voices = (Voice(first.id, first.name, first.language, 24_000, None, "Conversational"), *others)

    def check(self, options: Mapping[str, Any]) -> Mapping[str, Any]:
        if options.get("temperature") == 2.0:
            raise BadOption("temperature is too high for this engine")
        return dict(options)


class Warm(Scripted):
    """An engine that knows of one of the options."""

    id: ClassVar[str] = "warm"
    option_names: ClassVar[frozenset[str]] = frozenset({"temperature"})

    def check(self, options: Mapping[str, Any]) -> Mapping[str, Any]:
        return dict(options)


@pytest.mark.parametrize(
    ("voices", "asked", "spoken"),
    [
        (("one", "two"), {}, "one"),
        (("one", "two"), {"voice": "tara"}, "one"),
        (("one", "two"), {"voice": "two"}, "two"),
        (("one", "tara"), {}, "tara"),
    ],
)
async def test_tara_is_the_default_voice_where_nobody_is_called_so(
    voices: tuple[str, ...], asked: dict[str, str], spoken: str
) -> None:
    engine = Scripted(voices=voices)
    async with serving(engines=[engine]) as served:
        assert (await post(served, "/api/tts/wav", {**HELLO, **asked})).status_code == 200
        assert [segment.voice.id for segment in engine.segments] == [spoken]


@pytest.mark.parametrize(("voice", "speaker"), [("tara", "orpheus"), ("leo", "orpheus"), ("one", "scripted")])
async def test_orpheus_is_asked_first(voice: str, speaker: str) -> None:
    engines = {"scripted": Scripted(voices=("one", "tara", "leo")), "orpheus": Orpheus()}
    async with serving(engines=list(engines.values())) as served:
        assert (await post(served, "/api/tts/wav", {**HELLO, "voice": voice})).status_code == 200
        assert [name for name, engine in engines.items() if engine.segments] == [speaker]


async def test_where_orpheus_is_away_another_engine_with_that_voice_speaks() -> None:
    away, other = Orpheus(), Scripted(voices=("one", "tara"))
    away.start_error = EngineUnavailable("engine 'orpheus' has no server")
    async with serving(engines=[away, other]) as served:
        assert (await post(served, "/api/tts/wav")).status_code == 200
        assert [segment.voice.id for segment in other.segments] == ["tara"]
        refused = await post(served, "/api/tts/wav", {**HELLO, "voice": "leo"})
        assert (refused.status_code, refused.json()["detail"]) == (502, "engine 'orpheus' has no server")


@pytest.mark.parametrize("path", ROUTES)
@pytest.mark.parametrize(
    ("sent", "options"),
    [
        ({}, {}),
        ({"temperature": 0.3}, {"temperature": 0.3}),
        ({"max_tokens": 512, "seed": 7}, {"max_tokens": 512}),
        ({"temperature": 1, "max_tokens": 2048}, {"temperature": 1.0, "max_tokens": 2048}),
    ],
)
async def test_an_engine_gets_the_options_that_were_sent(
    path: str, sent: dict[str, Any], options: dict[str, Any]
) -> None:
    engine = Orpheus()
    async with serving(engines=[engine]) as served:
        assert (await post(served, path, {**HELLO, **sent})).status_code == 200
        assert [dict(segment.options) for segment in engine.segments] == [options]


@pytest.mark.parametrize(("engine", "options"), [(Scripted, {}), (Warm, {"temperature": 0.3})])
async def test_an_engine_gets_no_option_that_it_does_not_know(engine: type[Scripted], options: dict[str, Any]) -> None:
    made = engine()
    async with serving(engines=[made]) as served:
        sent = {**HELLO, "voice": "tara", "temperature": 0.3, "max_tokens": 512, "stream": False}
        assert (await post(served, "/api/tts", sent)).status_code == 200
        assert [dict(segment.options) for segment in made.segments] == [options]


# ---- errors


@pytest.mark.parametrize("path", ROUTES)
@pytest.mark.parametrize(
    ("body", "kind", "field"),
    [
        ({}, "missing", "text"),
        ({"text": ""}, "string_too_short", "text"),
        ({"text": "x" * 5001}, "string_too_long", "text"),
        ({"text": 7}, "string_type", "text"),
        ({**HELLO, "voice": None}, "string_type", "voice"),
        ({**HELLO, "temperature": -0.1}, "greater_than_equal", "temperature"),
        ({**HELLO, "temperature": 2.1}, "less_than_equal", "temperature"),
        ({**HELLO, "max_tokens": 63}, "greater_than_equal", "max_tokens"),
        ({**HELLO, "max_tokens": 2049}, "less_than_equal", "max_tokens"),
        ({**HELLO, "max_tokens": 64.5}, "int_from_float", "max_tokens"),
        ({**HELLO, "stream": "maybe"}, "bool_parsing", "stream"),
    ],
)
async def test_a_wrong_field_is_422_and_named(path: str, body: Any, kind: str, field: str) -> None:
    async with serving(engines=[Scripted()]) as served:
        answer = await post(served, path, body)
        detail = answer.json()["detail"]
        assert (answer.status_code, [(one["type"], one["loc"]) for one in detail]) == (422, [(kind, ["body", field])])
        assert "input" not in detail[0]
        await empty(served)


async def test_five_thousand_characters_are_spoken() -> None:
    async with serving(engines=[Scripted()]) as served:
        answer = await post(served, "/api/tts/wav", {"text": "Well. " * 833 + "We"})
        assert answer.status_code == 200


@pytest.mark.parametrize("path", ROUTES)
@pytest.mark.parametrize(
    ("body", "status", "said"),
    [
        ({**HELLO, "voice": "nobody"}, 400, "there is no such voice; there are: tara, leo"),
        ({**HELLO, "temperature": 2}, 400, "temperature is too high for this engine"),
        ({"text": " ?! "}, 400, "the text has nothing that can be spoken"),
    ],
)
async def test_what_cannot_be_served_is_a_detail(path: str, body: Any, status: int, said: str) -> None:
    async with serving(engines=[Orpheus()]) as served:
        answer = await post(served, path, {"stream": False, **body})
        assert answer.status_code == status
        assert answer.json()["detail"].startswith(said)
        await empty(served)


@pytest.mark.parametrize("path", ROUTES)
async def test_a_body_that_is_no_json_is_refused(path: str) -> None:
    async with serving(engines=[Scripted()]) as served:
        answer = await post(served, path, content=b"text=Hello")
        assert (answer.status_code, answer.json()["code"]) == (400, "bad_message")


@pytest.mark.parametrize("path", ROUTES)
@pytest.mark.parametrize(
    ("error", "status", "code"),
    [
        (EngineFailed("it broke"), 502, "engine_failed"),
        (EngineUnavailable("it is away", retry_after=2.2), 502, "engine_unavailable"),
        (ValueError("a secret"), 502, "engine_failed"),
    ],
)
async def test_an_engine_that_fails_before_its_first_sound_is_a_status(
    path: str, error: Exception, status: int, code: str
) -> None:
    engine = Scripted()
    engine.otherwise(Raise(error))
    async with serving(engines=[engine]) as served:
        answer = await post(served, path)
        assert (answer.status_code, answer.json()["code"]) == (status, code)
        assert "secret" not in answer.text
        assert served.gateway.metrics.errors.labels("orpheus_fastapi", code)._value.get() == 1
        await empty(served)


@pytest.mark.parametrize(("path", "body"), [("/api/tts/wav", HELLO), ("/api/tts", {**HELLO, "stream": False})])
async def test_an_engine_that_fails_later_is_a_status_too_where_the_whole_is_awaited(path: str, body: Any) -> None:
    engine = Scripted()
    engine.otherwise(Say(sound(500)), Raise(EngineFailed("it broke")))
    async with serving(engines=[engine]) as served:
        answer = await post(served, path, body)
        assert (answer.status_code, answer.json()["detail"]) == (502, "it broke")
        assert served.gateway.recordings.size == 0
        await empty(served)


async def test_events_say_what_failed_before_the_transfer_breaks() -> None:
    engine = Scripted()
    engine.otherwise(Say(sound(28)), Raise(EngineFailed("it broke; wörtlich")))
    async with serving(engines=[engine]) as served, client(served) as made:
        pieces: list[bytes] = []

        async def read() -> None:
            async with made.stream("POST", "/api/tts/stream", json=HELLO) as answer:
                async for piece in answer.aiter_raw():
                    pieces.append(piece)  # noqa: PERF401 - kept when the transfer breaks

        with pytest.raises(httpx.RemoteProtocolError):
            await read()
        body = b"".join(pieces)
        assert body.isascii()
        assert events(body.decode())[-1] == {
            "event": "error",
            "error": "it broke; wörtlich",
            "code": "engine_failed",
            "retryable": False,
        }
        await empty(served)


@pytest.mark.parametrize("path", [*ROUTES, "/api/voices"])
async def test_a_key_is_asked_for_where_there_are_keys(path: str) -> None:
    async with serving(engines=[Scripted()], api_keys=("right",)) as served, client(served) as made:
        method = "GET" if path == "/api/voices" else "POST"
        refused = await made.request(method, path, json=HELLO)
        assert (refused.status_code, refused.json()["code"]) == (401, "unauthorized")
        for headers in ({"authorization": "Bearer right"}, {"x-api-key": "right"}):
            assert (await made.request(method, path, json=HELLO, headers=headers)).status_code == 200


async def test_one_address_may_ask_so_often() -> None:
    async with serving(engines=[Scripted()], rate_limit_requests=2) as served:
        answers = [await post(served, path) for path in ROUTES]
        assert [answer.status_code for answer in answers] == [200, 200, 429]
        assert int(answers[2].headers["retry-after"]) > 0


@pytest.mark.parametrize("path", ROUTES)
async def test_a_full_gateway_says_when_to_come_back(path: str) -> None:
    engine, begun = Scripted(), asyncio.Event()
    engine.on("First.", Mark(begun), Hang())
    async with serving(engines=[engine], max_sessions=1, max_waiting=0) as served:
        first = asyncio.create_task(post(served, path, {"text": "First."}))
        await begun.wait()
        refused = await post(served, path)
        assert (refused.status_code, refused.json()["code"]) == (503, "overloaded")
        assert refused.headers["retry-after"] == "1"
        first.cancel()
        await asyncio.gather(first, return_exceptions=True)
        await empty(served)


async def test_no_engine_at_all_is_an_error_and_ill_health() -> None:
    async with serving(engines=[Broken()]) as served, client(served) as made:
        assert (await post(served, "/api/tts/wav")).status_code == 502
        assert (await made.get("/health")).status_code == 503
        assert (await made.get("/api/voices")).json() == {"voices": []}


# ---- clients that go, and what is kept


@pytest.mark.parametrize("path", ROUTES)
async def test_a_client_that_goes_before_the_first_sound_stops_the_engine(path: str) -> None:
    engine, begun = Scripted(), asyncio.Event()
    engine.otherwise(Mark(begun), Hang())
    async with serving(engines=[engine]) as served:
        asked = asyncio.create_task(post(served, path))
        await begun.wait()
        asked.cancel()
        await asyncio.gather(asked, return_exceptions=True)
        await empty(served)
        assert (engine.stopped, engine.active) == (1, 0)


async def test_a_client_that_goes_in_the_middle_stops_the_engine() -> None:
    engine = Scripted()
    engine.otherwise(Say(sound(200)), Hang())
    async with serving(engines=[engine]) as served, client(served) as made:
        async with made.stream("POST", "/api/tts/stream", json=HELLO) as answer:
            await anext(answer.aiter_bytes())
        await empty(served)
        assert (engine.stopped, engine.active) == (1, 0)


@pytest.mark.parametrize(("path", "body"), [("/api/tts/wav", HELLO), ("/api/tts", {**HELLO, "stream": False})])
async def test_a_client_that_goes_before_the_end_stops_the_engine_and_nothing_is_kept(path: str, body: Any) -> None:
    engine, begun = Scripted(), asyncio.Event()
    engine.otherwise(Say(sound(2000)), Mark(begun), Hang())
    async with serving(engines=[engine]) as served:
        asked = asyncio.create_task(post(served, path, body))
        await begun.wait()
        await until(lambda: served.gateway.recordings.size > 0)
        asked.cancel()
        await asyncio.gather(asked, return_exceptions=True)
        await empty(served)
        await until(lambda: served.gateway.recordings.size == 0)
        assert (engine.stopped, engine.active) == (1, 0)


@pytest.mark.parametrize(("path", "body"), [("/api/tts/wav", HELLO), ("/api/tts", {**HELLO, "stream": False})])
async def test_a_speech_that_there_is_no_room_for_is_refused_and_its_engine_stopped(path: str, body: Any) -> None:
    engine = Scripted()
    engine.otherwise(*[Say(sound(500))] * 8)
    async with serving(engines=[engine], recording_bytes=400_000) as served:
        answer = await post(served, path, body)
        assert (answer.status_code, answer.json()["code"], answer.json()["retryable"]) == (503, "overloaded", True)
        await empty(served)
        assert (engine.finished, served.gateway.recordings.size) == (0, 0)
        assert (await post(served, "/api/tts/stream")).status_code == 200


async def test_what_does_not_fit_into_memory_waits_on_the_disk() -> None:
    engine = Scripted()
    engine.otherwise(*[Say(sound(1000, level)) for level in range(1, 101)])
    memory = 1_048_576
    async with serving(engines=[engine], recording_memory_bytes=memory) as served:
        answer = await post(served, "/api/tts/wav")
        assert pcm_of_wav(answer.content) == b"".join(sound(1000, level) for level in range(1, 101))
        shelf = served.gateway.recordings.shelf
        assert (shelf.in_memory, shelf.on_disk, served.gateway.recordings.size) == (0, 0, 0)
