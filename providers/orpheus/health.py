"""What is known to be wrong with what an engine stands on, and the probe that finds out when it no longer is."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable

from providers.base import EngineFailed, EngineUnavailable, ProviderError
from providers.orpheus.breaker import Breaker

log = logging.getLogger(__name__)

Ask = Callable[[], Awaitable[None]]


class Health:
    """``probe`` returns if llama-server (or a decoder) can serve, and raises a ``ProviderError`` if not; ``glance``
    does the same for less. It is called every ``interval`` seconds while nothing is wrong, so that what nobody has
    asked for is known, and ``soon`` seconds after something went wrong. Without an ``interval`` it is only called then.

    When the breaker opens, a task probes until all is well again. It belongs to whoever calls ``start`` and
    ``close``.
    """

    def __init__(self, breaker: Breaker, probe: Ask, glance: Ask, *, interval: float | None, soon: float) -> None:
        self._breaker = breaker
        self._probe = probe
        self._glance = glance
        self._interval = interval
        self._soon = soon
        self._cause: ProviderError | None = None
        self._stir = asyncio.Event()
        """Wakes the task."""
        self._doubted = False
        self._missed = False
        """The last glance has failed."""
        self.well = asyncio.Event()
        """Set while requests are let through."""
        self.well.set()
        self._task: asyncio.Task[None] | None = None
        self._closed = False

    @property
    def trouble(self) -> ProviderError | None:
        """Why nothing is asked of it now. ``retry_after`` is when it is probed next."""
        if self._breaker.closed or self._cause is None:
            return None
        wait = max(1.0, self._breaker.wait(_now()))
        return EngineUnavailable(str(self._cause), retry_after=wait)

    async def start(self) -> None:
        """Probe once; a failure is kept as the trouble, not raised."""
        try:
            await _try(self._probe)
        except ProviderError as error:
            if self._breaker.closed:
                self._breaker.trip(_now())
            self._told(error)
        if self._task is None and not self._closed:
            self._task = asyncio.create_task(self._watch(), name="watch orpheus")

    async def close(self) -> None:
        """For good. Callable at any time, and twice."""
        self._closed = True
        task, self._task = self._task, None
        if task is not None:
            task.cancel()
            await asyncio.wait((task,))

    def worked(self) -> None:
        self._breaker.succeed()

    def failed(self, error: ProviderError) -> None:
        """A request has failed, and not by the caller's fault."""
        if self._breaker.fail(_now()):
            self._told(error)
        else:
            self.doubt()

    def doubt(self) -> None:
        """Something may be wrong: glance soon. More doubts put that off no further."""
        if not self._doubted:
            self._doubted = True
            self._stir.set()

    def _told(self, error: ProviderError) -> None:
        self._cause = error
        self.well.clear()
        self._stir.set()
        log.warning("engine orpheus takes no requests: %s", error)

    async def _watch(self) -> None:
        while True:
            await self._time_to_look()
            if self._breaker.closed:
                await self._glanced()
            else:
                await self._recover()

    async def _time_to_look(self) -> None:
        while self._breaker.closed:
            try:
                async with asyncio.timeout(self._soon if self._doubted else self._interval):
                    await self._stir.wait()
            except TimeoutError:
                return
            self._stir.clear()

    async def _glanced(self) -> None:
        self._doubted = False
        try:
            await _try(self._glance)
        except ProviderError as error:
            self._missed = True
            self.failed(error)
        else:
            if self._missed:
                self._missed = False
                self._breaker.succeed()

    async def _recover(self) -> None:
        while not self._breaker.closed:
            await asyncio.sleep(self._breaker.wait(_now()))
            if self._breaker.probe(_now()):
                await self._probed()
        self._doubted = self._missed = False
        self._stir.clear()
        self.well.set()
        log.info("engine orpheus takes requests again")

    async def _probed(self) -> None:
        try:
            await _try(self._probe)
        except ProviderError as error:
            self._cause = error
            self._breaker.probed(_now(), ok=False)
        else:
            self._breaker.probed(_now(), ok=True)


def _now() -> float:
    return asyncio.get_running_loop().time()


async def _try(ask: Ask) -> None:
    """Raises a ``ProviderError``, whatever ``ask`` raises: it must not end the task that would notice the recovery."""
    try:
        await ask()
    except ProviderError:
        raise
    except Exception as error:
        log.exception("engine orpheus could not be probed")
        raise EngineFailed("engine 'orpheus' could not be probed") from error
