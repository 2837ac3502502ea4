"""``GET /health/models``: how every engine is."""

from __future__ import annotations

import asyncio
import json
from typing import Any, ClassVar

from gateway.dialects.qwen_tts_server.engines import models
from providers.base import EngineUnavailable
from tests.dialects.qwen_tts_server.speaking import PREFIX, MakingQwen, Qwen
from tests.support.asking import client, post, until
from tests.support.engines import Hang, Mark, Places, Scripted
from tests.support.scene import scene
from tests.support.serving import serving
from tests.support.virtual_time import virtual_time

ENGINE: dict[str, Any] = {
    "state": "ready", "voices": 2, "designs_voices": False, "clones_voices": False, "load_time": 0.0, "memory": None,
    "isolated": False, "users": 0, "queue": None, "error": None,
}  # fmt: skip


@virtual_time
async def test_every_engine_says_how_it_is_and_when_one_that_failed_is_tried_again() -> None:
    class Slow(Scripted):
        id: ClassVar[str] = "slow"

        async def start(self) -> None:
            await asyncio.sleep(1.5)

    away = MakingQwen()
    away.start_error = EngineUnavailable("engine 'qwen' has no model")
    async with scene(Slow(), away) as made:
        # Failed at the start; the other took a second and a half, and it is tried again five seconds after it failed.
        status, headers, body = await made.told("GET", "/health/models")
    said = json.loads(body)
    for engine in said["engines"].values():
        engine["memory"] = None
    assert (status, headers["content-type"]) == (200, "application/json")
    assert said == {
        "custom_voice_loaded": False,
        "voice_design_loaded": False,
        "base_loaded": False,
        "tokenizer_loaded": True,
        "engines": {
            "slow": {**ENGINE, "load_time": 1.5},
            "qwen": {
                **ENGINE,
                "state": "failed",
                "designs_voices": True,
                "clones_voices": True,
                "load_time": None,
                "error": {"code": "engine_unavailable", "message": "engine 'qwen' has no model", "retry_in": 3.5},
            },
        },
    }


@virtual_time
async def test_the_earlier_servers_four_say_what_is_loaded() -> None:
    found = {}
    for name, engines in {"none": [Scripted()], "qwen": [Qwen()], "all": [MakingQwen()]}.items():
        async with scene(*engines) as made:
            said = json.loads((await made.told("GET", "/health/models"))[2])
            found[name] = "".join("01"[value] for value in said.values() if isinstance(value, bool))
    assert found == {"none": "1001", "qwen": "1001", "all": "1111"}


@virtual_time
async def test_an_engine_says_what_it_makes_as_it_is_configured() -> None:
    engine = MakingQwen()
    engine.designs = False
    async with scene(engine) as made:
        said = json.loads((await made.told("GET", "/health/models"))[2])
    assert (said["voice_design_loaded"], said["base_loaded"]) == (False, True)
    assert (said["engines"]["qwen"]["designs_voices"], said["engines"]["qwen"]["clones_voices"]) == (False, True)


@virtual_time
async def test_an_engine_that_is_not_loaded_is_idle_until_somebody_speaks() -> None:
    async with scene(Qwen(), preload=("none",)) as made:
        said = json.loads((await made.told("GET", "/health/models"))[2])
        assert (said["custom_voice_loaded"], said["engines"]["qwen"]["state"]) == (False, "idle")
        await made.ask("POST", f"{PREFIX}/custom-voice/generate", {"text": "Hello."})
        said = json.loads((await made.told("GET", "/health/models"))[2])
        assert (said["custom_voice_loaded"], said["engines"]["qwen"]["state"]) == (True, "ready")


async def test_users_and_the_queue_are_counted_and_no_key_is_asked_for() -> None:
    engine, begun = Places(), asyncio.Event()
    engine.otherwise(Mark(begun), Hang())
    async with serving(engines=[engine], api_keys=("right",)) as served, client(served) as http:

        async def queue() -> Any:
            said = (await http.get("/health/models")).json()["engines"]["places"]
            return said["users"], said["queue"]

        assert await queue() == (0, {"places": 1, "taken": 0, "waiting": 0})
        key = {"headers": {"x-api-key": "right"}}
        asked = [
            asyncio.create_task(post(served, f"{PREFIX}/custom-voice/generate", {"text": "Hello."}, **key))
            for _ in range(3)
        ]
        await begun.wait()
        await until(lambda: dict(served.gateway.capacities.engines())["places"].waiting == 2)
        assert await queue() == (3, {"places": 1, "taken": 1, "waiting": 2})
        for task in asked:
            task.cancel()
        await asyncio.gather(*asked, return_exceptions=True)
        await served.gateway.sessions.drained()
        assert await queue() == (0, {"places": 1, "taken": 0, "waiting": 0})


async def test_an_engine_in_a_process_of_its_own_says_so_and_what_that_holds() -> None:
    async with serving(engines=["mock_tone"], providers=("mock_tone",), isolated_engines=("mock_tone",)) as served:
        gateway = served.gateway
        engine = models(gateway).engines["mock_tone"]
        assert (engine.state, engine.isolated) == ("ready", True)
        assert engine.memory is not None
        assert engine.memory > 10_000_000
        await gateway.providers.engine("mock_tone").unload()
        engine = models(gateway).engines["mock_tone"]
        assert (engine.state, engine.isolated, engine.memory) == ("idle", True, None)
