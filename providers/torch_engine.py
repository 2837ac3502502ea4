"""How an engine begins and ends whose models stand on torch, and that has a lane."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Collection
from typing import Any

from providers import torch_runtime
from providers.base import ProviderError
from providers.instances import Instances
from providers.lane import Lane

Models = Collection[Instances[Any]]


async def begin(lane: Lane, warm_up: Callable[[], Awaitable[None]], models: Models) -> None:
    """Open the lane and warm up. Where that raises a ``ProviderError``, close the lane and forget the models."""
    lane.open()
    try:
        await warm_up()
    except ProviderError as error:
        # What was loaded is of no use to anybody, and whoever keeps the error would keep it with the traceback.
        error.__context__ = None
        await lane.close()
        await _forget(lane, models)
        raise error.with_traceback(None) from None


async def end(lane: Lane, models: Models) -> None:
    """Close the lane, and forget what was loaded."""
    await lane.close()
    if any(instances.made for instances in models):
        await _forget(lane, models)


async def _forget(lane: Lane, models: Models) -> None:
    # Whoever forgets a model of gigabytes may take a while.
    releasing = Lane(1, f"{lane.name}-release")
    try:
        await releasing.run(torch_runtime.release, *(instances.clear for instances in models))
    finally:
        await releasing.close()
