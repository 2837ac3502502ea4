"""One who is listened to beside a long batch of the same caller, wherever only one of them can speak: he is next."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from typing import Any, ClassVar

import pytest

from providers.base import Segment
from tests.support.asking import empty, post, until
from tests.support.engines import Say, Scripted, Wait, sound
from tests.support.redis_server import redis_server
from tests.support.serving import serving

BATCH = [f"Number {number}." for number in range(60)]
BODIES: dict[str, dict[str, Any]] = {
    "/generate-batch": {"tasks": [{"prompt": text, "output_filename": "a.wav"} for text in BATCH]},
    "/api/v1/custom-voice/batch": {"texts": BATCH},
}


class Counting(Scripted):
    """The first of the batch speaks until it is let go."""

    id: ClassVar[str] = "counting"

    def __init__(self) -> None:
        super().__init__()
        self.over = asyncio.Event()
        self.most = 0
        self.otherwise(Say(sound(20)))
        self.on(BATCH[0], Wait(self.over), Say(sound(20)))

    def _begin(self, segment: Segment) -> None:
        super()._begin(segment)
        self.most = max(self.most, self.active)


class OnePlace(Counting):
    places = 1


class OneAccount(OnePlace):
    account = "one"


@pytest.fixture(scope="module")
def redis_url() -> Iterator[str]:
    with redis_server() as server:
        yield server.url


@pytest.mark.parametrize("door", BODIES)
@pytest.mark.parametrize("scarce", ["an engine's places", "an account's on Redis", "all sessions"])
async def test_one_who_is_listened_to_comes_next(door: str, scarce: str, request: pytest.FixtureRequest) -> None:
    engine, settings = {
        "an engine's places": (OnePlace, {}),
        "an account's on Redis": (OneAccount, {"lease_s": 5.0}),
        "all sessions": (Counting, {"max_sessions": 1}),
    }[scarce]
    if engine is OneAccount:
        settings["redis_url"] = request.getfixturevalue("redis_url")
    spoken = engine()
    async with serving(engines=[spoken], **settings) as served:
        capacities = served.gateway.capacities
        asked = asyncio.create_task(post(served, door, BODIES[door]))
        await until(lambda: spoken.active == 1)
        scarce_places = capacities.sessions if engine is Counting else dict(capacities.engines())["counting"]
        await until(lambda: scarce_places.waiting == 15)
        listened = asyncio.create_task(post(served, "/synthesize", {"text": "Listened to."}))
        await until(lambda: scarce_places.waiting == 16)
        spoken.over.set()
        assert (await listened).status_code == 200
        answer = await asked
        assert answer.status_code == 200
        assert spoken.texts[:3] == [BATCH[0], "Listened to.", BATCH[1]]
        assert sorted(spoken.texts) == sorted([*BATCH, "Listened to."])
        assert spoken.most == 1
        await empty(served)
