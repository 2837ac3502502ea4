"""A loop's clock that a test puts ahead: what waits for a time that is over then comes at once, and until then the
test is as slow as its machine.

For tests with processes or threads of their own; the others have ``virtual_time``.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import pytest


def clock_ahead(patch: pytest.MonkeyPatch) -> Callable[[float], None]:
    """What puts the running loop's clock ahead, by so many seconds, until ``patch`` is undone."""
    loop = asyncio.get_running_loop()
    real, ahead = loop.time, 0.0

    def put(seconds: float) -> None:
        nonlocal ahead
        ahead += seconds

    patch.setattr(loop, "time", lambda: real() + ahead)
    return put
