"""One engine of a running gateway: its start, its fate, its voices."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from enum import StrEnum

from providers.base import EngineFailed, EngineUnavailable, Provider, ProviderError, Voice, Watched

log = logging.getLogger(__name__)


class State(StrEnum):
    STARTING = "starting"
    READY = "ready"
    FAILED = "failed"
    """It did not start, or says that it cannot serve now."""


@dataclass(frozen=True, slots=True)
class Status:
    """How an engine is; ``code`` and ``message`` say why where it failed."""

    state: State
    code: str | None = None
    message: str | None = None


class Engine:
    """A provider that may not be there yet, or not work: either it can be used, or it has the error that
    says why.
    """

    def __init__(self, name: str, make: Callable[[], Awaitable[Provider]]) -> None:
        self.name = name
        self.provider: Provider | None = None
        self.voices: tuple[Voice, ...] = ()
        self.ready = False
        self._make = make
        self._error: ProviderError | None = None

    @property
    def id(self) -> str:
        return self.provider.id if self.provider else self.name

    @property
    def status(self) -> Status:
        error = self._error or self._trouble
        if error is not None:
            return Status(State.FAILED, error.code, str(error))
        return Status(State.READY if self.ready else State.STARTING)

    def use(self) -> Provider:
        """The provider, ready. Raises why it is not."""
        error = self._error or self._trouble
        if error is not None:
            # One error is raised for every caller; without this its traceback would grow with each.
            raise error.with_traceback(None)
        if self.provider is None or not self.ready:
            raise EngineUnavailable(f"engine {self.id!r} is starting", retry_after=1.0)
        return self.provider

    @property
    def _trouble(self) -> ProviderError | None:
        return self.provider.trouble if self.ready and isinstance(self.provider, Watched) else None

    def voice(self, voice: str | None) -> Voice | None:
        """The voice of that id, or the first."""
        return next((known for known in self.voices if voice in (None, known.id)), None)

    async def start(self, limit: float | None = None) -> None:
        """Load and start the provider, in ``limit`` seconds, unless it is ready. Its errors are kept, not raised."""
        if self.ready:
            return
        self._error = None
        try:
            async with asyncio.timeout(limit):
                await self._start()
            self.ready = True
        except TimeoutError:
            self._error = EngineUnavailable(f"engine {self.id!r} did not start within {limit:g} seconds")
            log.warning("engine %s did not start within %g seconds", self.id, limit)
        except ProviderError as error:
            self._error = error
            log.warning("engine %s cannot start: %s", self.id, error)
        except Exception:
            self._error = EngineFailed(f"engine {self.id!r} failed to start")
            log.exception("engine %s failed to start", self.id)

    async def _start(self) -> None:
        if self.provider is None:
            self.provider = await self._make()
        # Asked for before the start too, so that a voice of an engine that fails is known to be its.
        self.voices = tuple(await self.provider.voices())
        await self.provider.start()
        self.voices = tuple(await self.provider.voices())
        if not self.voices:
            raise EngineUnavailable(f"engine {self.id!r} has no voice")

    async def close(self) -> None:
        """Close the provider, if there is one. What it raises is logged."""
        self.ready = False
        self._error = EngineUnavailable(f"engine {self.id!r} is closed")
        try:
            if self.provider is not None:
                await self.provider.close()
        except Exception:
            log.exception("engine %s failed to close", self.id)
