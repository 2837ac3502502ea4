"""A process's one conversation with Redis: every place that it holds or waits for, kept alive and kept true.

A single task takes turns: each tells Redis what has changed (``leases.lua``, atomic), and three times a lease one tells
everything, so that whatever was lost on the way (an answer, a release, all of Redis' memory) is put right. A second
connection waits for the places that others' turns have given to somebody here.
"""

from __future__ import annotations

import asyncio
import logging
import random
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from importlib.resources import files
from typing import Any, ClassVar

import orjson
from redis.asyncio import Redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import RedisError

from gateway.admission.ledger import Known, Ledger, Ticket
from gateway.clock import Clock
from gateway.errors import Overloaded

log = logging.getLogger(__name__)

PREFIX = "voxwire:capacity:"
_UNREACHABLE = "the shared places cannot be asked for now; try again later"
_STOPPING = "the gateway is about to stop; try another one"
_FIRST_DELAY = 0.05
_LAST_DELAY = 1.0
"""Seconds between two tries to reach Redis; a sixth of a lease where that is less."""


def client(url: str, patience: float) -> Redis:
    """A client that tries once, for ``patience`` seconds to connect: whoever uses it has his own idea of when to try
    again, and of how long an answer may take."""
    retry = Retry(NoBackoff(), 0)
    return Redis.from_url(
        url,
        retry=retry,
        socket_timeout=None,
        socket_connect_timeout=patience,
        client_name="voxwire",
        decode_responses=True,
    )


class Leases:
    """``lease`` is for how many seconds Redis believes what it was told last; ``connect`` makes a client."""

    script: ClassVar[str] = (files(__package__) / "leases.lua").read_text()
    """What a turn runs. Gateways of two versions run two, over the same keys, while one takes the other's place."""

    def __init__(self, connect: Callable[[], Redis], lease: float, clock: Clock, prefix: str = PREFIX) -> None:
        self.up = False
        """Redis has answered the last turn."""
        self.failed = 0
        """Turns that Redis did not answer, tries to reach it among them."""
        self._connect = connect
        self._lease = lease
        self._clock = clock
        self._prefix = prefix
        self._ledger = Ledger()
        self._patience = lease / 4
        self._down_since = clock.now()
        self._sent = float("-inf")
        """When the last turn that was answered was sent: a lease later others may have what was held here."""
        self._stale = False
        """What Redis has said in between is not to be believed."""
        self._closing = False
        self._work = asyncio.Event()
        self._tried = asyncio.Event()
        self._task: asyncio.Task[None] | None = None

    @property
    def restored(self) -> int:
        """Places that were held here and that Redis had to be told of again."""
        return self._ledger.restored

    async def start(self) -> None:
        """Begin the conversation. Returns when Redis has answered, or has not; it is tried for again then."""
        self._closing = False
        self._task = asyncio.create_task(self._run(), name="leases")
        await self._tried.wait()

    async def close(self) -> None:
        """Say goodbye, so that everything held here is free at once. Callable at any time, and twice."""
        self._closing = True
        self._work.set()
        if self._task is not None:
            await asyncio.wait([self._task], timeout=self._patience)
            self._task.cancel()
            await asyncio.wait([self._task])
        self._ledger.give_up(_STOPPING, 1.0)

    # ---- for the semaphores

    def add(self, capacity: Known) -> None:
        self._ledger.add(capacity)
        self._work.set()

    def forget(self, name: str) -> None:
        """Speak no more of a semaphore that nobody here holds or waits for."""
        self._ledger.forget(name)

    def touch(self, capacity: Known) -> None:
        """Say how many places it has, and ask how it is."""
        self._ledger.touch(capacity)
        self._work.set()

    def renew(self) -> None:
        """Tell Redis everything now, and not only when it is time."""
        self._stale = True
        self._work.set()

    def ask(self, capacity: Known, tenant: str, weight: float, *, batch: bool) -> Ticket:
        ticket = self._ledger.ask(capacity, tenant, weight, batch=batch)
        if not self.up:
            self._ledger.answer_alone()
        self._work.set()
        return ticket

    def leave(self, ticket: Ticket, stay: float | None) -> None:
        self._ledger.leave(ticket, stay)
        self._work.set()

    def waiting(self, capacity: Known) -> Iterator[Ticket]:
        return self._ledger.waiting(capacity)

    def check(self) -> None:
        """Raises ``Overloaded`` once Redis has been away for a lease, and at the end. Until then one waits for it."""
        if self._closing:
            raise Overloaded(_STOPPING, retry_after=1.0)
        if self._unreachable:
            raise Overloaded(_UNREACHABLE, retry_after=self._lease)

    @property
    def _unreachable(self) -> bool:
        return not self.up and self._clock.now() - self._down_since >= self._lease

    # ---- the conversation

    async def _run(self) -> None:
        delay = _FIRST_DELAY
        while not self._closing:
            try:
                await self._converse()
            except* (RedisError, OSError, TimeoutError) as errors:
                self._lost(_first(errors))
            except* Exception:
                # A defect of ours; whoever holds and waits is not to suffer more from it than from an outage.
                log.exception("the conversation with Redis failed")
                self._lost(None)
            if self._closing:
                break
            delay = _FIRST_DELAY if self.up else min(delay * 2, _LAST_DELAY, self._lease / 6)
            self._went_down()
            with suppress(TimeoutError):
                # Not all at once, when a Redis that many have lost comes back.
                async with asyncio.timeout(delay * random.uniform(0.5, 1.0)):
                    while not self._closing:
                        self._work.clear()
                        await self._work.wait()

    def _lost(self, error: BaseException | None) -> None:
        self.failed += 1
        if error is not None and (self.up or not self._tried.is_set()):
            # The address may carry a password, and errors may carry the address.
            log.warning("Redis does not answer (%s); sessions that hold a place go on", type(error).__name__)

    def _went_down(self) -> None:
        if self.up:
            self._down_since = self._clock.now()
            self.up = False
        self._tried.set()
        self._ledger.answer_alone()
        if self._unreachable:
            self._ledger.give_up(_UNREACHABLE, self._lease)

    async def _converse(self) -> None:
        redis = self._connect()
        try:
            async with asyncio.TaskGroup() as group:
                listening = group.create_task(self._listen(redis))
                await self._take_turns(redis)
                listening.cancel()
        finally:
            await redis.aclose()

    async def _take_turns(self, redis: Redis) -> None:
        script = redis.register_script(self.script)
        everything = True
        while True:
            self._work.clear()
            request = self._ledger.request(everything=everything) | {"lease": round(self._lease * 1000)}
            if self._closing:
                request["bye"] = True
            sent = self._clock.now()
            async with asyncio.timeout(self._patience):
                answer = orjson.loads(await script(keys=[self._prefix], args=[orjson.dumps(request)]))
            if "bye" in request:
                return
            if self._clock.now() - sent >= self._lease:
                # This process was stopped for so long that the answer may be true no more.
                everything = True
                continue
            self._heard(sent, answer)
            everything = await self._due(answer.get("next"))

    def _heard(self, sent: float, answer: Mapping[str, Any]) -> None:
        if not self.up:
            log.info("Redis answers; the places of accounts are shared")
        self.up = True
        self._sent = sent
        self._ledger.apply(answer)
        self._tried.set()

    async def _due(self, free: float | None) -> bool:
        """Wait until there is something to say; True when it is time to say everything: for a renewal, or because
        in ``free`` milliseconds a place may come free without anybody giving it back."""
        now = self._clock.now()
        due = self._sent + self._lease / 3
        if free is not None and any(self._ledger.waiting()):
            due = min(due, now + free / 1000 + 0.001)
        with suppress(TimeoutError):
            async with asyncio.timeout(due - now):
                await self._work.wait()
        stale, self._stale = self._stale, False
        return stale or self._clock.now() >= due

    async def _listen(self, redis: Redis) -> None:
        """Take the places that were given to somebody here in the turns of other processes."""
        key = f"{self._prefix}wake:{self._ledger.process}"
        pause = self._lease / 3
        while True:
            try:
                async with asyncio.timeout(pause + self._patience):
                    found = await redis.blpop([key], timeout=pause)
            except (RedisError, OSError) as error:
                # Whether Redis is there is for the turns to find out; one of them tells what was missed here.
                log.info("what other gateways give to this one is not heard (%s)", type(error).__name__)
                self.renew()
                await asyncio.sleep(self._patience)
                continue
            if found is None:
                continue
            if self._clock.now() - self._sent >= self._lease:
                # Given to one who has been away for a lease, and perhaps taken from him since: Redis is asked.
                self.renew()
            else:
                self._ledger.granted(str(found[1]))


def _first(errors: BaseExceptionGroup[BaseException]) -> BaseException:
    error: BaseException = errors
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    return error
