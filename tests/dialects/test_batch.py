"""Many texts in one request, whoever asks for them."""

from __future__ import annotations

import pytest

from gateway.dialects.batch import Made, run
from gateway.errors import ListenerGone, VoxwireError


@pytest.mark.parametrize("ordered", [True, False])
async def test_what_goes_wrong_while_an_outcome_is_said_is_raised_as_it_is(ordered: bool) -> None:
    async def make(_: int) -> Made:
        return Made(b"", 0.0)

    async def say(index: int, _: Made | VoxwireError) -> None:
        if index == 3:
            raise ListenerGone

    with pytest.raises(ListenerGone):
        await run(range(100), make, say, ordered=ordered)
