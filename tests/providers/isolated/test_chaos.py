"""Callers who come, go and wait as they like, and a process that ends now and then: by seeds."""

from __future__ import annotations

import asyncio
import gc
import os
import random
import signal
import threading
from contextlib import aclosing

import pytest

from providers.base import PcmChunk, ProviderError, Segment
from providers.registry import Providers
from providers.status import State
from tests.providers.isolated.processes import WILD
from tests.support.processes import descriptors

_CALLERS = 60
_WHOLE = [20, 30, 40, 50]
"""Milliseconds of the chunks of a segment, none of which is like another."""


def threads() -> set[threading.Thread]:
    """Without those of the loop's own pool, which stay."""
    return {thread for thread in threading.enumerate() if not thread.name.startswith("asyncio_")}


@pytest.mark.parametrize("seed", range(3))
async def test_everybody_gets_all_of_his_sound_or_an_error_and_nothing_stays(
    seed: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("providers.backoff._FIRST", 0.01)
    chance = random.Random(seed)
    providers = Providers([WILD], isolated=[WILD])
    await providers.start()
    engine = providers.engine("wild")
    # What other tests have left may go at any time, and what goes by itself goes now.
    gc.collect()
    files, running = len(descriptors()), threads()
    outcomes: list[str] = []

    async def call() -> None:
        await asyncio.sleep(chance.random() * 3)
        await listen(chance.choice((1, 2, 99, 99, 99)))

    async def listen(patience: int = 99) -> None:
        pulled: list[PcmChunk] = []
        try:
            async with providers.hold("wild") as provider:
                segment = Segment(" ".join(map(str, _WHOLE)), engine.voices[0])
                async with aclosing(provider.synthesize(segment)) as chunks:
                    async for chunk in chunks:
                        pulled.append(chunk)
                        if len(pulled) >= patience:
                            outcomes.append("left")
                            return
                        await asyncio.sleep(chance.random() / 50)
        except ProviderError as error:
            outcomes.append(type(error).__name__)
        else:
            # What came to its end came whole, also while the process ended.
            assert [len(chunk.pcm) // 48 for chunk in pulled] == _WHOLE
            outcomes.append("whole")

    async def impatient() -> None:
        try:
            async with asyncio.timeout(chance.random() * 3.2):
                await call()
        except TimeoutError:
            outcomes.append("cancelled")

    async def kill() -> None:
        for _ in range(3):
            await asyncio.sleep(chance.random())
            pid = engine.provider.process if engine.provider else None  # type: ignore[attr-defined]
            if pid is not None:
                os.kill(pid, signal.SIGKILL)

    await asyncio.gather(kill(), *(chance.choice((call, impatient))() for _ in range(_CALLERS)))
    assert len(outcomes) == _CALLERS
    assert set(outcomes) <= {"whole", "left", "cancelled", "EngineFailed", "EngineUnavailable"}
    # Left in peace it serves everybody, once its last loss is known and it may be started again.
    outcomes.clear()
    async with asyncio.timeout(60):
        while "whole" not in outcomes:
            await asyncio.sleep(engine.status.retry_after or 0.0)
            await listen()
    outcomes.clear()
    await asyncio.gather(*(listen() for _ in range(_CALLERS)))
    assert outcomes == ["whole"] * _CALLERS
    async with providers.hold("wild") as provider:
        await provider.settled()  # type: ignore[attr-defined]
        assert [chunk async for chunk in provider.synthesize(Segment("20", engine.voices[0]))]
    assert (engine.state, engine.status.users) == (State.READY, 0)
    assert len(descriptors()) <= files
    assert threads() <= running
    await providers.close()
