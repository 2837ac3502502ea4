"""One engine of a running gateway: it is loaded when it is needed, kept while it is used, and has a fate and voices.

idle ──load──> starting ──> ready ──unload──> idle
                  └──> failed ──after a while──> starting

Whoever comes after that while tries a failed start again. One that was to be preloaded, or whose voices nobody knows
yet, tries again by itself: it may be that nobody is sent to a gateway that is not ready.

The process of an engine that has one of its own may end: once, and the engine is idle; again and again, and it failed.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine
from contextlib import asynccontextmanager
from contextvars import Context
from typing import Any, TypeVar

from providers.backoff import Backoff
from providers.base import (
    EngineFailed,
    EngineUnavailable,
    Isolated,
    MissingDependency,
    Provider,
    ProviderError,
    UnknownProvider,
    Voice,
    Watched,
)
from providers.memory import give_back, resident
from providers.status import State, Status

log = logging.getLogger(__name__)

Error = TypeVar("Error", bound=ProviderError)

_LONGEST_CLOSE = 10.0
"""Seconds that an engine has to close. A thread in the middle of a load cannot be stopped, and may never end."""


class Engine:
    """A provider that may not be there yet, or not work: either it can be used, or it has the error that
    says why.

    ``preload``: it is to be loaded before anybody asks. ``start_timeout`` (seconds) bounds a start; ``idle`` is after
    how many seconds without use it is unloaded, 0 for never. Belongs to one event loop.
    """

    def __init__(
        self,
        name: str,
        make: Callable[[], Awaitable[Provider]],
        *,
        preload: bool = True,
        start_timeout: float | None = None,
        idle: float = 0.0,
    ) -> None:
        self.name = name
        self.preload = preload
        self.provider: Provider | None = None
        self.voices: tuple[Voice, ...] = ()
        self.state = State.STARTING
        self._make = make
        self._start_timeout = start_timeout
        self._idle = idle
        self._error: ProviderError | None = None
        self._backoff = Backoff()
        self._lost: ProviderError | None = None
        """Why its process ended while it was starting."""
        self._changing: asyncio.Task[None] | None = None
        self._untidy = False
        """It has failed, and may still hold what it took for its start."""
        self._timer: asyncio.TimerHandle | None = None
        """To unload it, where it is ready; to try again, where it has failed."""
        self._users = 0
        self._load_s: float | None = None
        self._memory: int | None = None
        self._closed = False
        self._given_up = False
        """It did not end when it was closed."""

    @property
    def id(self) -> str:
        return self.provider.id if self.provider else self.name

    @property
    def ready(self) -> bool:
        return self.state is State.READY

    @property
    def usable(self) -> bool:
        """It can speak, now or once it is loaded."""
        return self.state in (State.READY, State.IDLE) and self.trouble is None

    @property
    def trouble(self) -> ProviderError | None:
        """Why it cannot be used now, as far as is known; ``None`` also where it is only not loaded."""
        if self._error is not None:
            return None if self._due else self._error
        return self.provider.trouble if self.ready and isinstance(self.provider, Watched) else None

    @property
    def status(self) -> Status:
        error = self._error or self.trouble
        isolated = self._isolated
        memory = self._memory if isolated is None else isolated.memory
        counted = (self._users, self._load_s, memory, isolated is not None)
        if error is None:
            return Status(self.state, None, None, None, *counted)
        state = State.IDLE if self._due and self.provider is not None else State.FAILED
        return Status(state, error.code, str(error), self._backoff.left(_now()), *counted)

    @property
    def _isolated(self) -> Isolated | None:
        return self.provider if isinstance(self.provider, Isolated) else None

    def use(self) -> Provider:
        """The provider, ready. Raises why it is not."""
        if self._error is not None:
            raise self._told(self._error)
        provider = self.offer()
        if not self.ready:
            raise self._starting()
        return provider

    def offer(self) -> Provider:
        """The provider, ready or to be loaded by ``hold``. Raises why it cannot be used."""
        error = self.trouble
        if error is not None:
            raise self._told(error)
        if self.provider is None:
            raise self._starting()
        return self.provider

    def voice(self, voice: str | None) -> Voice | None:
        """The voice of that id, or the first."""
        return next((known for known in self.voices if voice in (None, known.id)), None)

    # ---- its life

    async def prepare(self) -> None:
        """Make the provider and ask for its voices, but load nothing. Its errors are kept, not raised."""
        if self._changing is None and not self.voices:
            await self._change(self._prepare)

    async def start(self) -> None:
        """Load the engine and warm it up, unless it is ready. Its errors are kept, not raised."""
        while self._changing is not None and not self._closed:
            failures = self._backoff.failures
            await asyncio.wait([self._changing])
            if self._backoff.failures > failures:
                # What was waited for has failed: that is this caller's answer, too.
                return
        if not self.ready:
            await self._change(self._load)

    async def unload(self) -> bool:
        """Give the engine's memory back, unless somebody speaks with it. Says whether it is unloaded now."""
        if self._changing is None:
            await self._change(self._unload)
        return self.state is State.IDLE

    @asynccontextmanager
    async def hold(self) -> AsyncIterator[Provider]:
        """The provider, loaded, for one utterance. All who wait for it wait for the same start.

        Raises why it cannot be used; a start that has failed is tried again by the first who comes after a while.
        """
        self._users += 1
        try:
            if self.ready:
                self._stop_timer()
            else:
                self.offer()
                await self.start()
            yield self.use()
        finally:
            self._users -= 1
            self._unload_later()

    async def close(self) -> None:
        """Close the provider, if there is one. What it raises is logged, and it is not waited for for ever."""
        if self._given_up:
            return
        self._closed = True
        self._stop_timer()
        self.state, self._error = State.FAILED, EngineUnavailable(f"engine {self.id!r} is closed")
        self._backoff.forget()
        if (changing := self._changing) is not None:
            changing.cancel()
            await asyncio.wait([changing], timeout=_LONGEST_CLOSE)
        self._given_up = not await self._close_provider()

    # ---- changes, one at a time

    async def _change(self, work: Callable[[], Coroutine[Any, Any, None]]) -> None:
        """Run ``work`` and wait for it. A task of its own does it, so that one caller who is cancelled does not take it
        from the others who wait for the same."""
        if not self._closed:
            await asyncio.wait([self._begin_change(work)])

    def _begin_change(self, work: Callable[[], Coroutine[Any, Any, None]]) -> asyncio.Task[None]:
        # Not on behalf of the session that happened to ask: what the engine does and logs from now on is nobody's.
        self._changing = asyncio.create_task(work(), name=f"engine {self.name}", context=Context())
        self._changing.add_done_callback(self._changed)
        return self._changing

    def _changed(self, task: asyncio.Task[None]) -> None:
        self._changing = None
        if not task.cancelled() and (error := task.exception()) is not None:
            log.error("engine %s: %r", self.name, error, exc_info=error)
        if self._untidy and not self._closed:
            # A change of its own: whoever waited for the start need not wait for this.
            self._begin_change(self._tidy)

    async def _prepare(self) -> None:
        if await self._attempt(self._meet) and not self._closed:
            self.state, self._error = State.IDLE, None
            self._backoff.succeeded(_now())

    async def _load(self) -> None:
        self._stop_timer()
        self._error, self._lost, self.state = None, None, State.STARTING
        began, before = _now(), resident()
        if await self._attempt(self._begin) and not self._closed:
            self.state = State.READY
            self._backoff.succeeded(_now())
            self._load_s = _now() - began
            self._memory = max(0, resident() - before) or None
            self._unload_later()

    async def _attempt(self, work: Callable[[], Awaitable[object]]) -> bool:
        """Whether ``work`` succeeds; what it raises becomes what the engine says of itself."""
        try:
            async with asyncio.timeout(self._start_timeout) as limit:
                await work()
        except ProviderError as error:
            self._failed(error)
            log.warning("engine %s cannot start: %s", self.id, error)
        except BaseException as error:
            if _means_us(error):
                raise
            if limit.expired() and isinstance(error, TimeoutError):
                self._failed(EngineUnavailable(f"{self._named} did not start within {self._start_timeout:g} seconds"))
                log.warning("%s", self._error)
            else:
                self._failed(EngineFailed(f"{self._named} failed to start"))
                log.exception("%s failed to start", self._named)
        else:
            return True
        return False

    @property
    def _named(self) -> str:
        return f"engine {self.id!r}"

    async def _begin(self) -> None:
        provider = await self._meet()
        await provider.start()
        self.voices = tuple(await provider.voices())
        if not self.voices:
            raise EngineUnavailable(f"engine {self.id!r} has no voice")
        if self._lost is not None:
            raise self._lost

    async def _meet(self) -> Provider:
        """Make it, and learn its voices: before the start too, so that a voice of an engine that fails is known."""
        if self.provider is None:
            self.provider = await self._make()
            if self._isolated is not None:
                self._isolated.when_lost(self._process_lost)
        self.voices = tuple(await self.provider.voices())
        return self.provider

    async def _unload(self) -> None:
        if self._users or not self.ready:
            return
        self._stop_timer()
        self.state = State.IDLE
        log.info("engine %s is unloaded", self.id)
        if not await self._close_provider():
            self._failed(EngineUnavailable(f"{self._named} did not unload within {_LONGEST_CLOSE:g} seconds"))
            self._untidy = False
        await asyncio.to_thread(give_back)

    async def _tidy(self) -> None:
        """A start that failed half-way has taken memory, and may have threads that still work on it."""
        self._untidy = False
        await self._close_provider()
        await asyncio.to_thread(give_back)

    async def _close_provider(self) -> bool:
        """False where it does not end: then it is left to itself."""
        try:
            async with asyncio.timeout(_LONGEST_CLOSE) as limit:
                if self.provider is not None:
                    await self.provider.close()
        except BaseException as error:
            if _means_us(error):
                raise
            if limit.expired() and isinstance(error, TimeoutError):
                log.error("%s did not close within %g seconds", self._named, _LONGEST_CLOSE)
                return False
            log.exception("engine %s failed to close", self.id)
        return True

    def _failed(self, error: ProviderError) -> None:
        """Remember why it did not start, and for how long nobody is to try again."""
        wait = self._backoff.failed(_now())
        if self._closed:
            self._backoff.forget()
            return
        # What was on the stack when it was raised may be the gigabytes of a model.
        error.__traceback__ = error.__cause__ = error.__context__ = None
        self.state, self._error = State.FAILED, error
        self._untidy = self.provider is not None
        if (self.preload or not self.voices) and not isinstance(error, MissingDependency | UnknownProvider):
            self._call_later(wait, self._retry)

    def _process_lost(self, error: ProviderError) -> None:
        """The next who asks for it starts it again. Where it is lost soon after that once more, after a while only."""
        if self.state is State.STARTING:
            self._lost = error
        if self.state is not State.READY:
            return
        self._stop_timer()
        if self._backoff.lost(_now()):
            self.state = State.IDLE
        else:
            self._failed(error)
            self._untidy = False

    @property
    def _due(self) -> bool:
        return not self._closed and self._backoff.due(_now())

    def _told(self, error: Error) -> Error:
        """One error is told to many. Each gets one of his own: in one that all share, the traceback of the one would
        grow with the other's, and keep alive whoever was told last."""
        own = type(error).__new__(type(error), *error.args)
        own.__dict__.update(error.__dict__)
        if own.retryable and own.retry_after is None and (left := self._backoff.left(_now())) is not None:
            own.retry_after = max(1.0, left)
        return own

    def _starting(self) -> EngineUnavailable:
        how = "not loaded" if self.state is State.IDLE else "starting"
        return EngineUnavailable(f"engine {self.id!r} is {how}", retry_after=1.0)

    # ---- what it does by itself

    def _unload_later(self) -> None:
        if self.ready:
            self._stop_timer()
            if self._idle and not self._users and not self._closed:
                self._call_later(self._idle, lambda: self._begin_change(self._unload))

    def _retry(self) -> None:
        if self._error is not None:
            self._begin_change(self._load if self.preload else self._prepare)

    def _call_later(self, seconds: float, change: Callable[[], object]) -> None:
        def now(_: object = None) -> None:
            self._timer = None
            if self._closed:
                return
            if self._changing is not None:
                self._changing.add_done_callback(now)
            else:
                change()

        self._stop_timer()
        # In nobody's name: it would keep what the session has that happened to come last.
        self._timer = asyncio.get_running_loop().call_later(seconds, now, context=Context())

    def _stop_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None


def _means_us(error: BaseException) -> bool:
    """It stops this task or the process, and is nothing of the engine's."""
    task = asyncio.current_task()
    cancelled = isinstance(error, asyncio.CancelledError) and task is not None and task.cancelling() > 0
    return cancelled or isinstance(error, KeyboardInterrupt)


def _now() -> float:
    return asyncio.get_running_loop().time()
