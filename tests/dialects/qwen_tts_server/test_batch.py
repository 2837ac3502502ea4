"""What the batches share."""

from __future__ import annotations

from gateway.dialects.qwen_tts_server.batch import DEFAULT_RATE, common_rate
from gateway.dialects.qwen_tts_server.speaking import Wanted
from gateway.errors import BadRequest
from gateway.session.session import Plan
from tests.dialects.test_batch import turning


async def test_many_texts_without_a_rate_leave_the_loop_to_others() -> None:
    seen: set[int] = set()

    def plan(_: Wanted) -> Plan:
        seen.add(turns[0])
        raise BadRequest("there is no such voice")

    with turning() as turns:
        assert await common_rate([Wanted("Hello.")] * 100, plan) == DEFAULT_RATE
    assert len(seen) >= 99
