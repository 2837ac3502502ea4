"""A server that does anything, and callers who come and leave at any time: nobody hears what was not said, nobody waits
for ever, nothing is left behind. In virtual time, by seeds."""

from __future__ import annotations

import asyncio
import random
from contextlib import aclosing
from typing import Any

import pytest

from providers.base import ProviderError, Segment
from providers.orpheus.engine import Orpheus
from providers.orpheus.prompt import VOICES
from providers.orpheus.settings import OrpheusSettings
from tests.support.fake_llama import Abort, FakeLlama, Hang, Raw, Say, Status, Step, Stop, event, frame, frames
from tests.support.fake_snac import FakeDecoder, sound
from tests.support.virtual_time import virtual_time

_ALL = sound(*[tuple((token - 128_266) % 4096 for token in frame(number)) for number in range(64)])
_PAGES = [
    b"<html>",
    b"data: {",
    b'data: {"error":{}}\n\n',
    b": ping\n\n",
    b"data: null\n\n",
    b"\xff\n",
    event(tokens=[17]),
]
_STATUS = [200, 301, 400, 401, 404, 429, 500, 502, 503]


def script(dice: random.Random) -> list[Step]:
    """Whole frames from the first on, then nothing but trouble or the end."""
    if dice.random() < 0.15:
        return [Status(dice.choice(_STATUS), b"<html>" if dice.random() < 0.5 else b"{}")]
    count = dice.choice([0, 0, 1, 3, 8, 40])
    said = frames(count) + frame(count)[: dice.randrange(7)]
    steps: list[Step] = [Say(said)] if dice.random() < 0.5 else [Raw(b"".join(event(tokens=[one]) for one in said))]
    if dice.random() < 0.2:
        steps.append(Raw(dice.choice(_PAGES)))
    steps.append(dice.choice([Stop(), Stop(), Stop(), Stop("limit"), Abort(), Hang(), Raw(b"")]))
    return steps


async def listen(engine: Orpheus, dice: random.Random) -> tuple[bytes, str]:
    """Take some or all of an utterance, slowly or at once, after a while."""
    await asyncio.sleep(dice.uniform(0, 20))
    heard, pieces = b"", dice.choice([0, 1, 3, 1000, 1000, 1000])
    segment = Segment("Hello there.", VOICES["tara"], options={"max_tokens": 400})
    try:
        async with aclosing(engine.synthesize(segment)) as chunks:
            async for chunk in chunks:
                heard += chunk.pcm
                pieces -= 1
                if pieces <= 0:
                    return heard, "left"
                await asyncio.sleep(dice.choice([0, 0, 0.2, 3]))
    except ProviderError as error:
        return heard, error.code
    return heard, "ended"


async def leave(task: asyncio.Task[Any], dice: random.Random) -> None:
    await asyncio.sleep(dice.uniform(0, 40))
    task.cancel()


@pytest.mark.parametrize("seed", range(8))
@virtual_time
async def test_whatever_happens_all_come_to_an_end_and_nothing_is_left(seed: int) -> None:
    dice = random.Random(seed)
    async with FakeLlama(slots=3) as fake:
        given = OrpheusSettings(_env_file=None, url=fake.url, attempts=2, check_interval=5.0)
        engine = Orpheus(given, decoder=lambda _: FakeDecoder())  # type: ignore[arg-type, return-value]
        await engine.start()
        for _ in range(60):
            fake.next(*script(dice))
        listeners = [asyncio.create_task(listen(engine, dice)) for _ in range(40)]
        leaving = [asyncio.create_task(leave(task, dice)) for task in listeners if dice.random() < 0.2]
        async with asyncio.timeout(1000):
            outcomes = await asyncio.gather(*listeners, return_exceptions=True)
            await asyncio.gather(*leaving)
        for outcome in outcomes:
            if isinstance(outcome, BaseException):
                assert isinstance(outcome, asyncio.CancelledError), outcome
            else:
                assert _ALL.startswith(outcome[0])
                assert outcome[1] in {"left", "ended", "engine_failed", "engine_unavailable"}
                assert outcome[0] or outcome[1] != "ended"
        assert fake.most_active <= 3
        assert (engine.slots.taken, engine.slots.waiting) == (0, 0)
        assert not engine.decoder.open_streams  # type: ignore[attr-defined]
        # Whatever it was, it is over: the next one is served, as soon as the server is known to be well.
        fake.forget()
        await engine.health.well.wait()
        assert (await listen(engine, random.Random(6)))[1] in {"ended", "left"}
        await engine.close()
        await fake.until_active(0)
