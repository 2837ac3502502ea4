"""What every engine with a lane promises where its model does one thing at a time: nothing overlaps, taking turns costs
next to nothing, an error is nobody else's, and everybody is served in the order of asking.

Overhead is counted in turns, and not in seconds, which are the machine's: a turn costs 50 to 70 microseconds.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from providers.base import EngineFailed, Provider, Segment
from tests.providers import arrange
from tests.support.turns import Turns

pytestmark = pytest.mark.asyncio(loop_scope="module")

TEXTS = ["Hello there.", "The morning train leaves the station at seven.", "No.", "How are you today? I am fine."]


@pytest_asyncio.fixture(scope="module", loop_scope="module", params=arrange.names())
async def engine(request: pytest.FixtureRequest) -> AsyncIterator[Provider]:
    """A started engine on a lane of one place."""
    async with arrange.fresh(request.param, request) as provider:
        if not hasattr(provider, "lane"):
            pytest.skip("it has no lane")
        provider.lane = Turns(provider.id)
        await provider.start()
        yield provider
        await provider.close()


@pytest.fixture
def lane(engine: Provider) -> Turns:
    lane: Turns = engine.lane  # type: ignore[attr-defined]
    lane.turns = lane.most = lane.segments = 0
    return lane


async def chunks(engine: Provider, text: str, heard: list[str] | None = None) -> list[bytes]:
    """The PCM of ``text``; its name goes to ``heard`` with the first of it."""
    voice = (await engine.voices())[0]
    made = []
    async for chunk in engine.synthesize(Segment(text, voice)):
        if heard is not None and not made:
            heard.append(text)
        made.append(chunk.pcm)
    return made


async def test_at_width_one_nothing_overlaps(engine: Provider, lane: Turns) -> None:
    await asyncio.gather(*(chunks(engine, text) for text in TEXTS))
    assert lane.most == 1


async def test_a_model_that_an_utterance_has_to_itself_speaks_one_segment_at_a_time(
    engine: Provider, lane: Turns
) -> None:
    if engine.capabilities.segments_at_once > 1:
        pytest.skip("its segments take turns")
    await asyncio.gather(*(chunks(engine, text) for text in TEXTS))
    assert lane.segments == 1


async def test_a_segment_takes_at_most_one_turn_a_chunk_and_one_to_end(engine: Provider, lane: Turns) -> None:
    made = await asyncio.gather(*(chunks(engine, text) for text in TEXTS))
    assert len(TEXTS) < lane.turns <= sum(map(len, made)) + len(TEXTS)


async def test_turns_at_the_same_time_are_as_many_as_one_after_the_other(engine: Provider, lane: Turns) -> None:
    if not engine.capabilities.deterministic:
        pytest.skip("its segments are not of the same length each time")
    for text in TEXTS:
        await chunks(engine, text)
    alone, lane.turns = lane.turns, 0
    await asyncio.gather(*(chunks(engine, text) for text in TEXTS))
    assert lane.turns == alone


async def test_an_error_blocks_nobody(engine: Provider, lane: Turns) -> None:
    before = asyncio.create_task(chunks(engine, TEXTS[1]))
    while not lane.turns:  # noqa: ASYNC110 - until it has its turn
        await asyncio.sleep(0)
    lane.fail_next = True
    failing, behind = (asyncio.create_task(chunks(engine, text)) for text in TEXTS[2:4])
    done = await asyncio.gather(before, failing, behind, return_exceptions=True)
    assert isinstance(done[1], EngineFailed)
    assert done[0]
    assert done[2]
    await lane.idle()
    assert (lane.busy, lane.waiting) == (0, 0)


async def test_everybody_is_served_in_the_order_of_asking(engine: Provider, lane: Turns) -> None:
    asked, heard = [f"This is number {number}." for number in range(6)], list[str]()
    made = await asyncio.gather(*(chunks(engine, text, heard) for text in asked))
    assert all(made)
    assert heard == asked
    assert lane.most == 1
