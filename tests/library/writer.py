"""A process that keeps voices in a folder or in Redis, one after the other, and says which are kept: to be killed.

    python -m tests.library.writer FOLDER_OR_URL FIRST [STEP]

With ``STEP`` it stops for good in that step of writing its second voice, and says so.
"""

from __future__ import annotations

import asyncio
import os
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

from gateway.library.disk import DiskStore
from gateway.library.redis_store import RedisStore
from gateway.library.store import Store
from tests.library.records import ROOM, a_prompt, a_voice

SIZE = 300_000
MOST = 30
"""Voices that a process keeps; then it waits for its end. However late that comes, there is room for the next one's."""
STEPS = ("open", "fsync 1", "replace", "fsync 2")
"""Before the file has something in it; before it is synced; before it has its name; before the folder is synced."""


def say(what: str) -> None:
    sys.stdout.write(what + "\n")
    sys.stdout.flush()


def stop_at(step: str) -> None:
    """Have the process stop for good before the first such call from now on."""
    name, _, number = step.partition(" ")
    left = int(number or 1)

    def stopping(real: Callable[..., Any]) -> Callable[..., Any]:
        def call(*arguments: Any, **options: Any) -> Any:
            nonlocal left
            # The lock is opened too.
            if name != "open" or str(arguments[0]).endswith(".unfinished"):
                left -= 1
                if left == 0:
                    say(f"stopped at {step}")
                    threading.Event().wait()
            return real(*arguments, **options)

        return call

    owner: Any = Path if name == "replace" else os
    setattr(owner, name, stopping(getattr(owner, name)))


async def main(where: str, first: int, step: str | None) -> None:
    store: Store = RedisStore(where, prefix="killed:") if "://" in where else DiskStore(Path(where))
    await store.open()
    for number in range(first, first + MOST):
        if step is not None and number == first + 1:
            stop_at(step)
        prompt = a_prompt(SIZE, number)
        await store.add(a_voice(f"v{number}", prompt=prompt), prompt, ROOM)
        say(f"v{number}")
    await asyncio.Event().wait()


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], int(sys.argv[2]), sys.argv[3] if len(sys.argv) > 3 else None))
