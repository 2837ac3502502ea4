import pytest

from gateway.errors import Overloaded
from gateway.events import SpeechRequest
from gateway.session import sessions
from tests.support.engines import Scripted
from tests.support.rig import gateway
from tests.support.virtual_time import virtual_time


@virtual_time
async def test_the_text_of_sessions_that_wait_for_a_listener_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sessions, "MAX_PREPARED_CHARACTERS", 100)
    async with gateway(Scripted(), session_ttl=60.0) as made:
        plan = made.sessions.plan(SpeechRequest())
        first = made.sessions.prepare(plan, "x" * 60)
        with pytest.raises(Overloaded):
            made.sessions.prepare(plan, "x" * 41)
        made.sessions.take(first.token)
        made.sessions.prepare(plan, "x" * 100)
        made.sessions.expire(made.clock.now() + 61.0)
        made.sessions.prepare(plan, "x" * 100)
