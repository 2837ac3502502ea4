"""Volcano Engine's speech service as its documents and its clients know it, under a test's control.

    async with serving() as service:
        service.account("key", quota=2)
        service.next(Plan(refuse=Refusal(45000292, "quota exceeded for types: concurrency")))
        ...
        await service.until(lambda: service.live == 0)

It keeps the rules of the real one (one session at a time on a connection, ids that are never used again, quotas,
what each endpoint says and how it says no) and speaks a tone of 60 ms a character. ``python -m tests.support.volcano``
runs it as a process.
"""

from tests.support.volcano.accounts import Account
from tests.support.volcano.plans import Plan, Refusal
from tests.support.volcano.service import Record, VolcanoService, serving

__all__ = ["Account", "Plan", "Record", "Refusal", "VolcanoService", "serving"]
