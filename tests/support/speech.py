"""A text spoken through the pipeline, as a session speaks it."""

from __future__ import annotations

import asyncio
from typing import Any

from gateway.clock import Clock
from gateway.pipeline.synthesis import Limits, Synthesis


async def chunks_heard(engine: Any, text: str, limits: Limits, *, batch: bool = False) -> int:
    """How many chunks are heard of it, in the engine's first voice. Raises what ends it."""
    voice = (await engine.voices())[0]
    clock = Clock(now=asyncio.get_running_loop().time)
    speech = Synthesis(engine, voice, limits=limits, clock=clock, batch=batch)
    speech.text(text)
    speech.end()
    running = asyncio.create_task(speech.run())
    heard = 0
    try:
        while await speech.get() is not None:
            heard += 1
    finally:
        await running
    return heard
