"""The API of the earlier batch service: every result with its task, one failure alone, and semaphores for the admin."""

from __future__ import annotations

import asyncio
import base64
import io
import json
import random
import wave
from collections.abc import AsyncGenerator, Mapping
from typing import Any, ClassVar

import httpx
import pytest

from providers import base
from providers.base import Capabilities, EngineBusy, EngineFailed, PcmChunk, Segment
from tests.support.asking import client, empty, until
from tests.support.engines import Hang, Mark, Raise, Say, Scripted, Wait, sound
from tests.support.serving import Served, serving

ADMIN = {"Admin-API-Key": "admin-key"}


async def batch(served: Served, *tasks: dict[str, Any], headers: Any = None, **body: Any) -> httpx.Response:
    async with client(served) as http:
        return await http.post("/generate-batch", json={"tasks": list(tasks), **body}, headers=headers)


def data_of(result: dict[str, Any]) -> bytes:
    (file,) = result["generated_files"]
    return base64.b64decode(file["url"].partition("base64,")[2])


class Numbered(Scripted):
    """Says a task's number as the level of its sound, after as many turns of the loop as a seed gives; some fail."""

    def __init__(self, count: int, failing: set[int]) -> None:
        super().__init__()
        self._turns = random.Random(3).choices(range(200), k=count)
        self._failing = failing

    async def synthesize(self, segment: Segment) -> AsyncGenerator[PcmChunk, None]:
        number = int(segment.text.removeprefix("Task ").removesuffix("."))
        for _ in range(self._turns[number]):
            await asyncio.sleep(0)
        if number in self._failing:
            raise EngineFailed(f"engine failed at {number}")
        yield PcmChunk(sound(20, number))


# ---- results


async def test_result_i_belongs_to_task_i_and_one_failure_fails_alone() -> None:
    count = 200
    failing = set(random.Random(1).sample(range(count), count // 20))
    async with serving(engines=[Numbered(count, failing)]) as served:
        tasks = [{"prompt": f"Task {index}.", "output_filename": f"{index}.pcm"} for index in range(count)]
        answer = await batch(served, *tasks)
        await empty(served)
    assert answer.status_code == 200
    results = answer.json()["results"]
    assert [result["task_index"] for result in results] == list(range(count))
    for index, result in enumerate(results):
        assert (result["prompt"], result["output_filename"]) == (f"Task {index}.", f"{index}.pcm")
        assert result["success"] is (index not in failing)
        if index in failing:
            assert (result["error"], result["error_code"]) == (f"engine failed at {index}", "engine_failed")
            assert result["generated_files"] == []
        else:
            assert data_of(result) == sound(20, index)


async def test_an_answer_of_todays_form_whole() -> None:
    async with serving(engines=[Scripted()]) as served:
        answer = await batch(served, {"prompt": "Hello.", "output_filename": "a.pcm", "voice_type": "two"})
    url = "data:audio/pcm;base64," + base64.b64encode(sound(200)).decode()
    assert answer.json() == {
        "results": [
            {
                "task_index": 0,
                "prompt": "Hello.",
                "output_filename": "a.pcm",
                "generated_files": [{"filename": "a.pcm", "url": url, "format": "pcm"}],
                "success": True,
            }
        ]
    }


async def test_the_older_form_is_answered_in_the_older_form() -> None:
    engine = Scripted()
    engine.on("Bad.", Raise(EngineFailed("it broke")))
    async with serving(engines=[engine]) as served:
        answer = await batch(
            served,
            {"task_id": "test_1", "text": "Hello.", "voice_type": "BV001_streaming", "encoding": "pcm"},
            {"task_id": "test_2", "text": "Bad."},
        )
    assert answer.json() == {
        "results": [
            {"task_id": "test_1", "audio_base64": base64.b64encode(sound(200)).decode()},
            {"task_id": "test_2", "audio_base64": "", "error": "it broke", "error_code": "engine_failed"},
        ]
    }


@pytest.mark.parametrize(
    ("name", "kind", "begins"),
    [
        ("a.mp3", "audio/mp3", b"\xff"),
        (None, "audio/mp3", b"\xff"),
        ("a.WAV", "audio/wav", b"RIFF"),
        ("a.ogg", "audio/ogg", b"OggS"),
        ("a.flac", "audio/flac", b"fLaC"),
        ("a.webm", "audio/webm", b"\x1aE\xdf\xa3"),
    ],
)
async def test_a_file_is_of_the_kind_that_its_name_says(name: str | None, kind: str, begins: bytes) -> None:
    task = {"prompt": "Hello."} | ({} if name is None else {"output_filename": name})
    async with serving(engines=[Scripted()]) as served:
        (result,) = (await batch(served, task)).json()["results"]
    assert result["generated_files"][0]["url"].startswith(f"data:{kind};base64,")
    assert data_of(result).startswith(begins)
    assert result["output_filename"] == (name or "task_0.mp3")


async def test_a_wav_has_the_length_of_its_sound_in_its_header() -> None:
    async with serving(engines=[Scripted()]) as served:
        (result,) = (await batch(served, {"prompt": "Hello.", "output_filename": "a.wav"})).json()["results"]
    with wave.open(io.BytesIO(data_of(result))) as file:
        assert file.readframes(file.getnframes()) == sound(200)


async def test_an_unknown_kind_and_an_unknown_voice_fail_their_tasks_alone() -> None:
    async with serving(engines=[Scripted()]) as served:
        answer = await batch(
            served,
            {"prompt": "Hello.", "output_filename": "a.exe"},
            {"prompt": "Hello.", "voice_type": "nobody"},
            {"prompt": "..."},
            {"prompt": "Hello.", "speed": 9},
            {"prompt": "Hello.", "output_filename": "a.pcm"},
        )
    found = [result.get("error_code") for result in answer.json()["results"]]
    assert found == ["unsupported_format", "unknown_voice", "nothing_to_speak", "bad_request", None]


@pytest.mark.parametrize("accept", ["application/x-ndjson", "text/event-stream"])
async def test_results_can_be_had_as_they_are_finished(accept: str) -> None:
    engine = Scripted()
    gate = asyncio.Event()
    engine.on("Slow.", Wait(gate), Say(sound(20)))
    async with serving(engines=[engine]) as served, client(served) as http:
        body = {"tasks": [{"prompt": "Slow."}, {"prompt": "Quick.", "output_filename": "a.pcm"}]}
        async with http.stream("POST", "/generate-batch", json=body, headers={"accept": accept}) as answer:
            assert answer.headers["content-type"].startswith(accept)
            lines = (json.loads(line.removeprefix("data: ")) async for line in answer.aiter_lines() if line)
            assert (await anext(lines))["task_index"] == 1
            gate.set()
            assert (await anext(lines))["task_index"] == 0
            assert await anext(lines) == {"event": "complete", "total": 2}
        await empty(served)


@pytest.mark.parametrize(
    ("accept", "kind"),
    [
        ("*/*", "application/json"),
        ("Text/Event-Stream", "text/event-stream; charset=utf-8"),
        ("application/json, text/event-stream", "application/json"),
        ("text/event-stream;q=0, application/x-ndjson;q=0.5", "application/x-ndjson"),
    ],
)
async def test_the_form_of_the_answer_is_the_first_that_is_accepted(accept: str, kind: str) -> None:
    async with serving(engines=[Scripted()]) as served:
        answer = await batch(served, {"prompt": "Hello."}, headers={"accept": accept})
    assert answer.headers["content-type"] == kind


async def test_no_more_is_begun_while_much_waits_to_be_sent(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("gateway.session.unsent.HELD_BYTES", 1)
    engine = Scripted()
    gate = asyncio.Event()
    engine.on("First.", Wait(gate), Say(sound(20)))
    async with serving(engines=[engine]) as served, client(served) as http:
        body = {"tasks": [{"prompt": text, "output_filename": "a.pcm"} for text in ("First.", *["More."] * 40)]}
        asked = asyncio.create_task(http.post("/generate-batch", json=body))
        await until(lambda: len(engine.segments) == 16)
        for _ in range(2000):
            await asyncio.sleep(0)
        assert len(engine.segments) == 16
        gate.set()
        assert [result["success"] for result in (await asked).json()["results"]] == [True] * 41


async def test_batches_that_fill_the_memory_of_all_are_made_whole() -> None:
    async with serving(engines=["mock_tone"], batch_memory_bytes=1_048_576) as served, client(served) as http:
        body = {"tasks": [{"prompt": "A dozen words, or nearly. " * 12, "output_filename": "a.pcm"}] * 20}
        answers = await asyncio.gather(*(http.post("/generate-batch", json=body) for _ in range(4)))
        assert [[result["success"] for result in answer.json()["results"]] for answer in answers] == [[True] * 20] * 4
        assert served.gateway.unsent.bytes == 0
        await empty(served)
        with served.gateway.unsent.share() as other:
            other.made(5)
            assert b"voxwire_batch_unsent_bytes 5.0\n" in await served.gateway.scrape()


async def test_what_another_try_may_mend_is_tried_again() -> None:
    class Busy(Scripted):
        left = 2

        async def synthesize(self, segment: Segment) -> AsyncGenerator[PcmChunk, None]:
            if self.left:
                self.left -= 1
                raise EngineBusy("no room", retry_after=0.001)
            yield PcmChunk(sound(20))

    async with serving(engines=[Busy()]) as served:
        (result,) = (await batch(served, {"prompt": "Hello."})).json()["results"]
    assert result["success"]


async def test_speed_volume_and_pitch_reach_the_engine_or_are_refused() -> None:
    class Tuned(Scripted):
        option_names: ClassVar[frozenset[str]] = frozenset({"volume", "pitch"})
        capabilities: ClassVar[Capabilities] = Capabilities(streams=True, speed=True)

        def check(self, options: Mapping[str, Any]) -> Mapping[str, Any]:
            if options["volume"] > 3:
                raise base.BadOption("volume is from 0.5 to 2")
            return options

    engine = Tuned()
    async with serving(engines=[engine]) as served:
        answer = await batch(
            served,
            {"prompt": "One.", "speed": 1.5, "volume": 2, "pitch": 0.5},
            {"prompt": "Two.", "speed_ratio": 0.5, "volume_ratio": 5},
        )
    assert [result.get("error_code") for result in answer.json()["results"]] == [None, "bad_option"]
    (segment,) = engine.segments
    assert (segment.speed, dict(segment.options), segment.batch) == (1.5, {"volume": 2.0, "pitch": -12.0}, True)
    async with serving(engines=[Scripted()]) as served:
        (result,) = (await batch(served, {"prompt": "One.", "volume": 2})).json()["results"]
    assert result["error_code"] == "bad_option"


async def test_an_account_of_the_callers_own_is_what_the_engine_asks_in() -> None:
    class Service(Scripted):
        def __init__(self, account: str = "ours") -> None:
            super().__init__()
            self.account, self.places = account, 1
            self.asked: list[str] = []

        def with_credentials(self, credentials: Mapping[str, str]) -> Service:
            if credentials["volcengine_tts_access_key"] != "right":
                raise base.BadOption("engine 'scripted' cannot use these")
            other = Service(credentials["volcengine_tts_appid"])
            other.asked = self.asked
            return other

        async def synthesize(self, segment: Segment) -> AsyncGenerator[PcmChunk, None]:
            self.asked.append(self.account)
            yield PcmChunk(sound(20))

    def account(key: str) -> dict[str, str]:
        return {"volcengine_tts_appid": "theirs", "volcengine_tts_access_key": key}

    engine = Service()
    async with serving(engines=[engine]) as served:
        theirs = await batch(served, {"prompt": "a"}, credentials=account("right"))
        wrong = await batch(served, {"prompt": "a"}, credentials=account("wrong-secret"))
        ours = await batch(served, {"prompt": "a"})
    assert engine.asked == ["theirs", "ours"]
    assert theirs.json()["results"][0]["success"]
    assert ours.json()["results"][0]["success"]
    assert wrong.json()["results"][0]["error_code"] == "bad_option"
    assert "wrong-secret" not in wrong.text


async def test_a_client_that_vanishes_ends_its_batch() -> None:
    engine = Scripted()
    reached = asyncio.Event()
    engine.otherwise(Mark(reached), Hang())
    async with serving(engines=[engine]) as served:
        asking = asyncio.create_task(batch(served, *({"prompt": f"Task {index}."} for index in range(50))))
        await reached.wait()
        asking.cancel()
        await asyncio.wait([asking])
        await engine.idle()
        await empty(served)


# ---- requests that are refused


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"tasks": []},
        {"tasks": [{}]},
        {"tasks": [{"prompt": "a", "text": "b"}]},
        {"tasks": [{"prompt": "a" * 10_001}]},
        {"tasks": [{"prompt": "a"}] * 1001},
        {"tasks": "a"},
    ],
    ids=range(7),
)
async def test_a_wrong_body_is_422_with_what_is_wrong(body: Any) -> None:
    async with serving(engines=[Scripted()]) as served, client(served) as http:
        answer = await http.post("/generate-batch", json=body)
    assert answer.status_code == 422
    assert answer.json()["detail"][0]["loc"][:2] == ["body", "tasks"]


async def test_half_of_an_account_is_400() -> None:
    async with serving(engines=[Scripted()]) as served:
        answer = await batch(served, {"prompt": "a"}, credentials={"volcengine_tts_appid": "x"})
    assert (answer.status_code, answer.json()["error_code"]) == (400, "MISSING_CREDENTIALS")


async def test_a_wrong_admin_key_is_401_and_a_right_one_needs_no_other() -> None:
    settings: dict[str, Any] = {"admin_api_key": "admin-key", "api_keys": ("secret-key",)}
    async with serving(engines=[Scripted()], **settings) as served:
        wrong = await batch(served, {"prompt": "a"}, headers={"Admin-API-Key": "guess"})
        none = await batch(served, {"prompt": "a"})
        key = await batch(served, {"prompt": "a"}, headers={"X-API-Key": "secret-key"})
        admin = await batch(served, {"prompt": "a"}, headers=ADMIN)
    assert [answer.status_code for answer in (wrong, none, key, admin)] == [401, 401, 200, 200]
    assert wrong.json() == {
        "detail": "Authentication failed. Provide 'Admin-API-Key' in headers or complete credentials in payload.",
        "error_code": "AUTH_FAILED",
        "suggested_action": "Check your Admin-API-Key header or credentials in payload",
    }


# ---- semaphores


async def test_semaphores_are_made_shown_used_and_removed() -> None:
    engine = Scripted()
    gate = asyncio.Event()
    engine.otherwise(Wait(gate), Say(sound(20)))
    async with serving(engines=[engine], admin_api_key="admin-key") as served, client(served, headers=ADMIN) as http:
        # As the earlier service's own example sends it: JSON that is called a form.
        made = await http.post(
            "/external-semaphores",
            content='{"semaphore_id": "test-pool", "max_concurrent": 2}',
            headers={"content-type": "application/x-www-form-urlencoded"},
        )
        whole = {
            "semaphore_id": "test-pool",
            "max_concurrent": 2,
            "available_slots": 2,
            "waiting": 0,
            "description": "",
        }
        assert made.json() == {**whole, "status": "created"}
        assert (await http.get("/external-semaphores")).json() == {"external_semaphores": [whole], "total_count": 1}
        again = await http.post("/external-semaphores", json={"semaphore_id": "test-pool", "max_concurrent": 3})
        assert (again.status_code, again.json()["error_code"]) == (409, "SEMAPHORE_EXISTS")

        tasks = [{"prompt": f"Task {index}."} for index in range(5)]
        asking = asyncio.create_task(batch(served, *tasks, external_semaphore_id="test-pool"))
        await until(lambda: engine.active == 2)
        shown = (await http.get("/external-semaphores/test-pool")).json()
        assert (shown["available_slots"], shown["waiting"]) == (0, 3)
        assert engine.active == 2
        gate.set()
        assert all(result["success"] for result in (await asking).json()["results"])

        removed = await http.delete("/external-semaphores/test-pool")
        assert removed.json() == {"semaphore_id": "test-pool", "status": "deleted"}
        assert (await http.delete("/external-semaphores/test-pool")).status_code == 404
        assert (await http.get("/external-semaphores/test-pool")).status_code == 404


async def test_a_semaphore_that_is_not_there_is_404_with_those_that_are() -> None:
    async with serving(engines=[Scripted()], admin_api_key="admin-key") as served:
        for name in ("premium-pool", "default-pool"):
            await served.gateway.capacities.define(name, 5)
        answer = await batch(served, {"prompt": "a"}, external_semaphore_id="shared-pool")
    assert answer.status_code == 404
    body = answer.json()
    assert body["error_code"] == "SEMAPHORE_NOT_FOUND"
    assert body["available_semaphores"] == ["default-pool", "premium-pool"]


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("POST", "/external-semaphores"),
        ("GET", "/external-semaphores"),
        ("GET", "/external-semaphores/a"),
        ("DELETE", "/external-semaphores/a"),
    ],
)
async def test_semaphores_are_the_admins_alone_and_nobodys_where_there_is_none(method: str, path: str) -> None:
    body = {"semaphore_id": "a", "max_concurrent": 2}
    async with serving(engines=[Scripted()], admin_api_key="admin-key") as served, client(served) as http:
        nobody = await http.request(method, path, json=body)
        wrong = await http.request(method, path, json=body, headers={"Admin-API-Key": "guess"})
        assert await served.gateway.capacities.list() == []
    async with serving(engines=[Scripted()]) as served, client(served) as http:
        unset = await http.request(method, path, json=body)
        none = await http.request(method, path, json=body, headers={"Admin-API-Key": "None"})
    assert [answer.status_code for answer in (nobody, wrong, unset, none)] == [403, 401, 403, 401]
    assert nobody.json()["error_code"] == "ADMIN_REQUIRED"


@pytest.mark.parametrize("key", ["", "  "])
async def test_a_key_that_is_set_to_nothing_opens_nothing(key: str) -> None:
    async with serving(engines=[Scripted()], admin_api_key=key, api_keys="user-key") as served, client(served) as http:
        for given in ("", "None"):
            headers = {"Admin-API-Key": given}
            assert (await http.get("/external-semaphores", headers=headers)).status_code == 401
            body = {"tasks": [{"prompt": "Hello."}]}
            assert (await http.post("/generate-batch", json=body, headers=headers)).status_code == 401
        index = (await http.get("/")).json()
    assert index["authentication"]["admin_api_key"] == "not configured"


async def test_a_key_may_be_of_any_alphabet() -> None:
    async with serving(engines=[Scripted()], admin_api_key="schlüssel-鑰匙") as served, client(served) as http:
        answer = await http.get("/external-semaphores", headers=[(b"Admin-API-Key", "schlüssel-鑰匙".encode())])
    assert answer.status_code == 200


async def test_the_index_says_how_full_it_is() -> None:
    async with serving(engines=[Scripted()], max_sessions=7) as served, client(served) as http:
        index = (await http.get("/")).json()
    assert (index["status"], index["authentication"]["admin_api_key"]) == ("healthy", "not configured")
    assert index["concurrency_status"] == {
        "global_concurrency_limit": 7,
        "current_available_slots": 7,
        "external_semaphores_count": 0,
    }


async def test_the_index_shows_the_places_of_the_engine_also_before_anybody_has_spoken() -> None:
    class Few(Scripted):
        id: ClassVar[str] = "volcano"
        places = 4

    async with serving(engines=[Scripted(), Few()], max_sessions=7) as served, client(served) as http:
        index = (await http.get("/")).json()
    assert index["concurrency_status"]["global_concurrency_limit"] == 4
