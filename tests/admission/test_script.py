"""The script in Redis against the rule in memory, turn by turn: who is next, and what he was told."""

from __future__ import annotations

import itertools
import random
from typing import Any

import orjson
import pytest

from gateway.admission import lines
from gateway.admission.leases import Leases, client
from gateway.admission.lines import Lines
from tests.admission.gateways import fresh_prefix
from tests.support.redis_server import RedisServer

WEIGHTS = {"a": 1.0, "b": 3.0, "c": 0.7, "d": 1.0}


@pytest.mark.parametrize("share", [2, 3, 16])
@pytest.mark.parametrize("seed", range(3))
async def test_the_script_is_the_rule(
    redis: RedisServer, monkeypatch: pytest.MonkeyPatch, seed: int, share: int
) -> None:
    monkeypatch.setattr(lines, "BATCH_SHARE", share)
    chance = random.Random(seed)
    connection = client(redis.url, 5.0)
    script = connection.register_script(Leases.script)
    prefix = await fresh_prefix(redis)
    rule: Lines[str] = Lines()
    waiting: dict[str, dict[str, Any]] = {}
    numbers = itertools.count()

    async def turn(change: dict[str, Any]) -> dict[str, Any]:
        request = {"process": "p", "lease": 60_000, "share": share, "all": False}
        request |= {"names": {"s": 1}, "changes": [change]}
        answer: dict[str, Any] = orjson.loads(await script(keys=[prefix], args=[orjson.dumps(request)]))
        assert answer["names"]["s"]["taken"] == 1
        assert (answer["names"]["s"]["waiting"], answer["names"]["s"]["batch"]) == (len(rule), rule.batch)
        return answer

    def one() -> tuple[str, dict[str, Any]]:
        ticket = f"p.{next(numbers)}"
        return ticket, {"name": "s", "tenant": chance.choice("abcd"), "batch": chance.random() < 0.5}

    inside, its = one()
    await turn({"ask": inside, "weight": 1.0, "room": 1000, **its})
    crowd = 0
    for step in range(1500):
        if step % 100 == 0:
            # Now nearly nobody, so that lines end and begin anew, now as many as make them long.
            crowd = chance.choice([2, 6, 12, 40])
        draw = chance.random()
        if draw < (0.6 if len(rule) < crowd else 0.05):
            ticket, place = one()
            waiting[ticket] = place
            weight = WEIGHTS[place["tenant"]]
            rule.push(ticket, place["tenant"], weight, batch=place["batch"])
            answer = await turn({"ask": ticket, "weight": weight, "room": 1000, **place})
            told = answer["tickets"][ticket]["position"]
            assert told == rule.position(ticket, place["tenant"], batch=place["batch"])
        elif waiting and draw < 0.65:
            ticket = chance.choice(list(waiting))
            place = waiting.pop(ticket)
            rule.remove(ticket, place["tenant"], batch=place["batch"])
            assert not (await turn({"leave": ticket, **place}))["granted"]
        elif waiting:
            leaving = {"leave": inside, **its}
            inside = rule.pop()
            its = waiting.pop(inside)
            assert (await turn(leaving))["granted"] == [inside]
    await connection.aclose()
