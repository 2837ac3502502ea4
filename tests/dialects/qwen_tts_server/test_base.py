"""Speech with a voice like that of a clip."""

from __future__ import annotations

import asyncio
import json
import re
import uuid
from pathlib import Path
from typing import Any

import httpx
import pytest

from gateway.library.clip import SAMPLE_RATE
from providers.base import BadClip, EngineUnavailable
from tests.dialects.qwen_tts_server.speaking import PREFIX, MakingQwen, events, pcm_of_events
from tests.support.asking import b64, client, empty, pcm_of_wav, post, until, wav_of
from tests.support.engines import Hang, Making, Mark, Raise, Scripted, Wait, sound
from tests.support.serving import Served, serving
from tests.support.sound_files import SECONDS, made

CLONE = f"{PREFIX}/base/clone"
STREAM = f"{PREFIX}/base/clone-stream"
CREATE = f"{PREFIX}/base/create-prompt"
USE = f"{PREFIX}/base/generate-with-prompt"
UPLOAD = f"{PREFIX}/base/upload-ref-audio"
CLIP = b64(made("wav"))
REFERENCE = {"ref_audio_base64": CLIP, "ref_text": "What is said."}
HELLO = {"text": "Hello.", "language": "English", **REFERENCE}
FILE = {"file": ("clip.wav", made("wav"), "audio/wav")}
BODIES: dict[str, dict[str, Any]] = {CLONE: HELLO, STREAM: HELLO, CREATE: REFERENCE}


async def upload(served: Served, data: bytes, field: str = "file", **options: Any) -> httpx.Response:
    return await post(served, UPLOAD, files={field: ("clip.wav", data, "audio/wav")}, **options)


# ---- who makes it


async def test_another_makes_it_where_qwen_is_not_configured_to() -> None:
    qwen, other = MakingQwen(), Making()
    qwen.clones = False
    async with serving(engines=[qwen, other]) as served:
        for path, body in BODIES.items():
            assert (await post(served, path, body)).status_code == 200
    assert (len(qwen.clips), len(other.clips)) == (0, 2)


# ---- what is answered


async def test_the_wav_says_whether_the_voice_was_known() -> None:
    engine = Making()
    async with serving(engines=[engine]) as served:
        answers = [await post(served, CLONE, HELLO) for _ in range(2)]
        assert served.gateway.library.list("") == []
    for answer, known in zip(answers, ("miss", "hit"), strict=True):
        assert (answer.status_code, answer.content) == (200, wav_of(sound(200)))
        assert answer.headers["content-disposition"] == 'attachment; filename="voice_clone.wav"'
        assert (answer.headers["x-sample-rate"], answer.headers["x-audio-duration"]) == ("24000", "0.200")
        assert answer.headers["x-cache-status"] == known
        assert re.fullmatch(
            r"\d+\.\d{3} \d+\.\d{3}", f"{answer.headers['x-generation-time']} {answer.headers['x-rtf']}"
        )
    (clip,) = engine.clips
    assert (len(clip.pcm), clip.sample_rate, clip.transcript) == (
        SECONDS * SAMPLE_RATE * 2,
        SAMPLE_RATE,
        "What is said.",
    )
    prompts = [segment.voice.prompt for segment in engine.segments]
    assert prompts == [(Making.MARK + b"clip %d" % len(clip.pcm)).ljust(1000, b".")] * 2


async def test_the_json_and_the_events_have_the_same_sound() -> None:
    async with serving(engines=[Making(sample_rate=16_000)]) as served:
        packed = (await post(served, CLONE, {**HELLO, "response_format": "base64"})).json()
        streamed = await post(served, STREAM, HELLO)
    assert list(packed) == [
        "audio", "sample_rate", "format", "generation_time", "audio_duration", "rtf", "cache_status",
    ]  # fmt: skip
    assert (packed["audio"], packed["cache_status"]) == (b64(wav_of(sound(200, rate=16_000), 16_000)), "miss")
    assert pcm_of_events(streamed.text, 16_000) == sound(200, rate=16_000)
    assert [name for name, _ in events(streamed.text)] == ["metadata", "audio", "audio", "metadata", "done"]
    assert json.loads(events(streamed.text)[0][1]) == {
        "sample_rate": 16_000, "format": "wav", "provider": "making", "speaker": "clone", "cache_status": "hit",
    }  # fmt: skip


@pytest.mark.parametrize(
    ("asked", "transcript"),
    [
        ({"ref_text": "La."}, "La."),
        ({"x_vector_only_mode": True}, None),
        ({"x_vector_only_mode": True, "ref_text": "La."}, None),
    ],
)
async def test_what_is_said_in_the_clip_is_told_unless_the_sound_alone_is_wanted(
    asked: Any, transcript: str | None
) -> None:
    engine = Making()
    async with serving(engines=[engine]) as served:
        assert (await post(served, CLONE, {"text": "Hello.", "ref_audio_base64": CLIP, **asked})).status_code == 200
    assert [clip.transcript for clip in engine.clips] == [transcript]


async def test_a_voice_is_known_by_its_sound_its_words_and_its_owner() -> None:
    engine = Making()
    async with serving(engines=[engine], api_keys=("one:first-key", "two:second-key")) as served:
        for key, change, known in (
            ("first-key", {}, "miss"),
            ("first-key", {"ref_audio_base64": f"data:audio/wav;base64,{CLIP}"}, "hit"),
            ("first-key", {"ref_text": "Something else."}, "miss"),
            ("first-key", {"x_vector_only_mode": True}, "miss"),
            ("first-key", {"ref_audio_base64": b64(made("mp3"))}, "miss"),
            ("second-key", {}, "miss"),
            ("second-key", {}, "hit"),
        ):
            answer = await post(served, CLONE, {**HELLO, **change}, headers={"x-api-key": key})
            assert (answer.status_code, answer.headers["x-cache-status"]) == (200, known)


async def test_only_so_many_bytes_of_voices_are_known_again() -> None:
    engine = Making(prompt=8 * 1024 * 1024)
    async with serving(engines=[engine]) as served:
        known = [
            (await post(served, CLONE, {**HELLO, "ref_text": text})).headers["x-cache-status"]
            for text in ("1", "2", "3", "4", "1", "5", "1", "2")
        ]
    assert known == ["miss", "miss", "miss", "miss", "hit", "miss", "hit", "miss"]


async def test_one_clip_that_many_bring_at_once_is_made_into_a_voice_once() -> None:
    engine, hold = Making(), asyncio.Event()
    engine.making = (Wait(hold),)
    async with serving(engines=[engine]) as served:
        asked = [asyncio.create_task(post(served, CLONE, HELLO)) for _ in range(12)]
        await until(lambda: engine.made == 1)
        hold.set()
        answers = await asyncio.gather(*asked)
    assert [answer.status_code for answer in answers] == [200] * 12
    assert len(engine.clips) == 1


# ---- prompts that are kept


async def test_a_prompt_is_a_voice_of_the_library_and_its_makers_alone() -> None:
    engine = Making()
    settings: dict[str, Any] = {"api_keys": ("one:first-key", "two:second-key")}
    async with serving(engines=[engine], **settings) as served:
        mine, theirs = ({"headers": {"x-api-key": key}} for key in ("first-key", "second-key"))
        answer = await post(served, CREATE, REFERENCE, **mine)
        said = answer.json()
        assert (answer.status_code, list(said), said["message"]) == (
            200, ["prompt_id", "message"], "Prompt created successfully",
        )  # fmt: skip
        prompt = said["prompt_id"]
        assert str(uuid.UUID(prompt)) == prompt
        spoken = await post(served, USE, {"text": "Hello.", "prompt_id": prompt}, **mine)
        assert (spoken.status_code, spoken.content) == (200, wav_of(sound(200)))
        assert spoken.headers["content-disposition"] == 'attachment; filename="voice_clone_prompt.wav"'
        assert "x-cache-status" not in spoken.headers
        packed = await post(
            served, USE, {"text": "Hello.", "prompt_id": prompt, "response_format": "base64", "speed": 2}, **mine
        )
        assert packed.json()["audio"] == b64(wav_of(sound(200)))
        # As any voice of the library, it is a speaker too.
        as_speaker = await post(
            served, f"{PREFIX}/custom-voice/generate", {"text": "Hello.", "speaker": prompt}, **mine
        )
        assert as_speaker.status_code == 200
        async with client(served) as http:
            listed = (await http.get(f"{PREFIX}/custom-voice/speakers", **mine)).json()["speakers"]
            assert [one["name"] for one in listed] == ["One", "Two", prompt]
            hidden = (await http.get(f"{PREFIX}/custom-voice/speakers", **theirs)).json()["speakers"]
            assert [one["name"] for one in hidden] == ["One", "Two"]
        refused = await post(served, USE, {"text": "Hello.", "prompt_id": prompt}, **theirs)
        assert (refused.status_code, refused.json()["code"]) == (404, "voice_not_found")
    assert len(engine.clips) == 1
    assert {segment.voice.id for segment in engine.segments} == {prompt}
    assert all(segment.voice.prompt for segment in engine.segments)
    assert [segment.speed for segment in engine.segments] == [1.0, 2.0, 1.0]


async def test_a_prompt_outlives_the_gateway_that_made_it(tmp_path: Path) -> None:
    async with serving(engines=[Making()], voices_dir=tmp_path / "voices") as served:
        prompt = (await post(served, CREATE, {**REFERENCE, "name": "Mine"})).json()["prompt_id"]
    async with serving(engines=[Making()], voices_dir=tmp_path / "voices") as served:
        assert (await post(served, USE, {"text": "Hello.", "prompt_id": prompt})).status_code == 200
        assert [(kept.id, kept.name) for kept in served.gateway.library.list("")] == [(prompt, "Mine")]


# ---- clips


async def test_an_upload_is_given_back_in_base64_once_it_is_known_to_be_sound() -> None:
    file = made("flac")
    async with serving(engines=[Scripted()]) as served:
        answer = await upload(served, file)
        assert (answer.status_code, answer.json()) == (
            200,
            {
                "filename": "clip.wav",
                "content_type": "audio/wav",
                "audio_base64": b64(file),
                "duration": SECONDS,
                "message": "File uploaded and encoded successfully",
            },
        )


@pytest.mark.parametrize(
    ("data", "field", "code"),
    [
        (b"no sound", "file", "bad_clip"),
        (b"", "file", "bad_clip"),
        (wav_of(bytes(96_000)), "file", "bad_clip"),
        (wav_of(sound(500)), "file", "bad_clip"),
        (made("wav"), "clip", "bad_request"),
        (bytes(4_400_000), "file", "bad_message"),
    ],
    ids=["no sound", "empty", "silent", "short", "another field", "large"],
)
async def test_what_cannot_be_uploaded(data: bytes, field: str, code: str) -> None:
    async with serving(engines=[Scripted()]) as served:
        answer = await upload(served, data, field)
        assert (answer.status_code, answer.json()["code"]) == (400, code)
        assert served.gateway.uploads.taken == 0


async def test_an_upload_is_a_form_with_a_file() -> None:
    async with serving(engines=[Scripted()]) as served:
        for options in ({"json": {}}, {"content": b"x"}, {"files": {"file": (None, "a field")}}):
            answer = await post(served, UPLOAD, **options)
            assert (answer.status_code, answer.json()["code"]) in ((400, "bad_message"), (400, "bad_request"))


@pytest.mark.parametrize("path", BODIES)
@pytest.mark.parametrize(
    ("change", "code", "said"),
    [
        ({"ref_audio_base64": None}, "bad_request", "Either ref_audio_url or ref_audio_base64 must be provided"),
        ({"ref_audio_base64": ""}, "bad_request", "Either ref_audio_url or ref_audio_base64 must be provided"),
        (
            {"ref_audio_url": "https://example.org/a.wav"},
            "bad_request",
            "send ref_audio_url or ref_audio_base64, and not both",
        ),
        ({"ref_text": None}, "bad_request", "ref_text is required when x_vector_only_mode is False"),
        ({"ref_text": ""}, "bad_request", "ref_text is required when x_vector_only_mode is False"),
        ({"ref_audio_base64": "!"}, "bad_clip", "the clip is not base64"),
        ({"ref_audio_base64": b64(b"no sound")}, "bad_clip", None),
        ({"ref_audio_base64": None, "ref_audio_url": "http://127.0.0.1/a.wav"}, "bad_url", None),
        ({"ref_audio_base64": None, "ref_audio_url": "file:///etc/passwd"}, "bad_url", None),
    ],
)
async def test_a_clip_that_cannot_be_heard_is_400(path: str, change: Any, code: str, said: str | None) -> None:
    engine = Making()
    async with serving(engines=[engine]) as served:
        answer = await post(served, path, {**BODIES[path], **change})
        assert (answer.status_code, answer.json()["code"]) == (400, code)
        assert said in (None, answer.json()["detail"])
        assert (engine.clips, served.gateway.uploads.taken) == ([], 0)
        await empty(served)


@pytest.mark.parametrize("path", [CLONE, STREAM])
@pytest.mark.parametrize(
    ("change", "kind", "field"),
    [
        ({"text": ""}, "string_too_short", "text"),
        ({"speed": 0.4}, "greater_than_equal", "speed"),
        ({"ref_text": "x" * 2001}, "string_too_long", "ref_text"),
        ({"ref_audio_url": "x" * 2049}, "string_too_long", "ref_audio_url"),
        ({"x_vector_only_mode": "maybe"}, "bool_parsing", "x_vector_only_mode"),
    ],
)
async def test_a_wrong_field_is_422_and_the_clip_is_not_repeated(path: str, change: Any, kind: str, field: str) -> None:
    async with serving(engines=[Making()]) as served:
        answer = await post(served, path, {**HELLO, **change})
    assert [(one["type"], one["loc"]) for one in answer.json()["detail"]] == [(kind, ["body", field])]
    assert (answer.status_code, CLIP[:100] in answer.text) == (422, False)


async def test_a_clip_of_more_than_4_mib_is_not_taken_as_json() -> None:
    async with serving(engines=[Making()], max_text_characters=1000, max_message_bytes=1024) as served:
        answer = await post(served, CLONE, {**HELLO, "ref_audio_base64": "A" * 6_400_000})
        assert (answer.status_code, answer.json()["code"]) == (400, "bad_message")


@pytest.mark.parametrize("path", [CLONE, STREAM])
@pytest.mark.parametrize(
    ("change", "code"),
    [({"language": "Klingonese"}, "bad_request"), ({"text": "..."}, "nothing_to_speak")],
)
async def test_what_cannot_be_spoken_is_400(path: str, change: Any, code: str) -> None:
    async with serving(engines=[Making()]) as served:
        answer = await post(served, path, {**HELLO, **change})
        assert (answer.status_code, answer.json()["code"]) == (400, code)
        await empty(served)


# ---- engines that cannot


@pytest.mark.parametrize("path", BODIES)
async def test_without_an_engine_that_clones_it_is_501_and_the_clip_is_not_looked_at(path: str) -> None:
    async with serving(engines=[Scripted()]) as served:
        answer = await post(served, path, {**BODIES[path], "ref_audio_base64": b64(b"no sound")})
        assert (answer.status_code, answer.json()) == (
            501,
            {
                "detail": "no engine of this gateway makes voices from clips",
                "code": "not_implemented",
                "retryable": False,
            },
        )
        unknown = await post(served, USE, {"text": "Hello.", "prompt_id": "nobody's"})
        assert (unknown.status_code, unknown.json()["code"]) == (404, "voice_not_found")


@pytest.mark.parametrize("path", BODIES)
async def test_an_engine_that_would_clone_and_is_away_says_why(path: str) -> None:
    away = MakingQwen()
    away.start_error = EngineUnavailable("engine 'qwen' has no model")
    async with serving(engines=[away, Scripted()]) as served:
        answer = await post(served, path, BODIES[path])
    assert (answer.status_code, answer.json()["detail"]) == (502, "engine 'qwen' has no model")


@pytest.mark.parametrize("path", BODIES)
async def test_a_clip_that_the_engine_refuses_is_400(path: str) -> None:
    engine = Making()
    engine.making = (Raise(BadClip("engine 'making' hears three speakers in it")),)
    async with serving(engines=[engine]) as served:
        answer = await post(served, path, BODIES[path])
        assert (answer.status_code, answer.json()["code"]) == (400, "bad_clip")
        assert served.gateway.metrics.errors.labels("qwen_tts_server", "bad_clip")._value.get() == 1
        await empty(served)


# ---- who may, and how many


@pytest.mark.parametrize("path", [*BODIES, USE, UPLOAD])
async def test_a_key_is_asked_for_and_requests_are_counted(path: str) -> None:
    async with serving(engines=[Making()], api_keys=("right",), rate_limit_requests=1) as served:
        options: dict[str, Any] = (
            {"files": {"file": ("a.wav", made("wav"))}}
            if path == UPLOAD
            else {"json": {**BODIES.get(path, {"text": "Hello.", "prompt_id": "none"})}}
        )
        assert (await post(served, path, **options)).status_code == 401
        answers = [await post(served, path, **options, headers={"x-api-key": "right"}) for _ in range(2)]
    assert [answer.status_code for answer in answers] == [404 if path == USE else 200, 429]


@pytest.mark.parametrize("path", [CLONE, STREAM])
async def test_a_full_gateway_says_when_to_come_back(path: str) -> None:
    engine, begun = Making(), asyncio.Event()
    async with serving(engines=[engine], max_sessions=1, max_waiting=0) as served:
        await post(served, path, HELLO)
        engine.on("First.", Mark(begun), Hang())
        first = asyncio.create_task(post(served, path, {**HELLO, "text": "First."}))
        await begun.wait()
        refused = await post(served, path, HELLO)
        assert (refused.status_code, refused.json()["code"]) == (503, "overloaded")
        assert refused.headers["retry-after"] == "1"
        first.cancel()
        await asyncio.gather(first, return_exceptions=True)
        await empty(served)


async def test_only_so_many_clips_are_looked_at_at_a_time_and_wait_for_that() -> None:
    async with serving(engines=[Making()], voice_uploads=1) as served:
        uploads = served.gateway.uploads
        async with uploads.place():
            waiting = [asyncio.create_task(post(served, CLONE, HELLO)) for _ in range(uploads.waiting_room)]
            await until(lambda: uploads.waiting == uploads.waiting_room)
            for path, options in (
                *((path, {"json": body}) for path, body in BODIES.items()),
                (UPLOAD, {"files": FILE}),
            ):
                refused = await post(served, path, **options)
                assert (refused.status_code, refused.json()["code"]) == (503, "overloaded")
        assert [answer.status_code for answer in await asyncio.gather(*waiting)] == [200] * len(waiting)


@pytest.mark.parametrize("path", [CLONE, STREAM])
async def test_who_goes_while_the_voice_is_being_made_ends_that(path: str) -> None:
    engine, begun = Making(), asyncio.Event()
    engine.making = (Mark(begun), Hang())
    async with serving(engines=[engine]) as served:
        asked = asyncio.create_task(post(served, path, HELLO))
        await begun.wait()
        asked.cancel()
        await asyncio.gather(asked, return_exceptions=True)
        await until(lambda: engine.made == 0)
        await empty(served)
        assert engine.segments == []
        engine.making = ()
        assert pcm_of_wav((await post(served, CLONE, HELLO)).content) == sound(200)


async def test_what_is_spoken_is_counted_by_engine_and_api() -> None:
    async with serving(engines=[Making()]) as served:
        for path in (CLONE, STREAM):
            await post(served, path, HELLO)
        counted = served.gateway.metrics.sessions.labels("making", "pcm16", "qwen_tts_server", "ended")
        assert counted._value.get() == 2
