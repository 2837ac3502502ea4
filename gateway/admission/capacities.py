"""The semaphores of a gateway, by name: one for all sessions, one for each engine that has only so many places, and
those that were made while it runs."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING

from gateway.admission.capacity import Capacity
from gateway.admission.definitions import Definition, Definitions, LocalDefinitions
from gateway.admission.local import LocalCapacity
from gateway.clock import Clock
from gateway.errors import BadRequest

if TYPE_CHECKING:
    from gateway.admission.leases import Leases
    from gateway.admission.shared_definitions import SharedDefinitions

PREFIX = "voxwire:capacity:"
"""What the keys in Redis begin with."""
_MADE = "external:"
"""What the names of those begin with that were made while the gateways run."""
_ACCOUNT = "account:"
MOST_NAMED = 1000
"""Semaphores that are remembered though nobody uses them now."""
MOST_PLACES = 1_000_000
LONGEST_NAME = 200


class Capacities:
    """``sessions`` is everybody's, and the process's own; so are the places of an engine that has no account.

    ``waiting_room`` is how many may wait at each of them, ``weights`` those of tenants that have another one than 1.
    With a ``redis_url`` the places of accounts, and of the semaphores that were made, are those of all gateways on
    that Redis; a place whose holder is not heard of for ``lease`` seconds is then given to another.
    """

    def __init__(
        self,
        sessions: int,
        waiting_room: int,
        clock: Clock,
        *,
        weights: Mapping[str, float] | None = None,
        redis_url: str | None = None,
        lease: float = 10.0,
        prefix: str = PREFIX,
    ) -> None:
        self._waiting_room = waiting_room
        self._clock = clock
        self._weights = weights
        self._engines: dict[str, Capacity] = {}
        self._named: dict[str, Capacity] = {}
        self._make: Callable[[str, int], Capacity] = self._local
        self._definitions: Definitions = LocalDefinitions()
        self._shared_definitions: SharedDefinitions | None = None
        self.leases: Leases | None = None
        """The conversation with Redis, where there is one."""
        if redis_url is not None:
            self._share(redis_url, lease, prefix)
        self.sessions: Capacity = self._local("sessions", sessions)

    def _share(self, url: str, lease: float, prefix: str) -> None:
        from gateway.admission.leases import Leases, client
        from gateway.admission.shared import SharedCapacity
        from gateway.admission.shared_definitions import SharedDefinitions

        patience = lease / 4
        leases = self.leases = Leases(lambda: client(url, patience), lease, self._clock, prefix)
        self._definitions = self._shared_definitions = SharedDefinitions(client(url, patience), prefix, _MADE, patience)

        def make(name: str, places: int) -> Capacity:
            return SharedCapacity(name, places, self._waiting_room, leases, self._clock, weights=self._weights)

        self._make = make

    async def start(self) -> None:
        """Begin to talk with Redis. One that is away keeps nobody from starting."""
        if self.leases is not None:
            await self.leases.start()

    async def close(self) -> None:
        """Give back everything that is held in Redis. Callable at any time, and twice."""
        if self.leases is not None:
            await self.leases.close()
        if self._shared_definitions is not None:
            await self._shared_definitions.close()

    # ---- engines

    def engine(self, name: str, places: int, account: str | None = None) -> Capacity:
        """The places of the engine of that id, which has ``places`` of them now. They are its account's, and shared
        with the other engines that use it, where it has one."""
        if account is None:
            if name not in self._engines:
                self._engines[name] = self._local(name, places)
            capacity = self._engines[name]
        else:
            capacity = self._name(f"{_ACCOUNT}{account}", places)
            self._engines.setdefault(name, capacity)
            self._forget_accounts()
        capacity.resize(places)
        return capacity

    def _forget_accounts(self) -> None:
        """Callers may bring accounts of their own, as many as they like."""
        if len(self._named) <= MOST_NAMED:
            return
        kept = set(self._engines.values())
        for name, capacity in list(self._named.items())[:-1]:
            if name.startswith(_ACCOUNT) and capacity not in kept and not (capacity.taken or capacity.waiting):
                del self._named[name]
                if self.leases is not None:
                    self.leases.forget(name)

    def engines(self) -> Iterator[tuple[str, Capacity]]:
        """Those that were asked for, by the engine's id; of several accounts of an engine the first."""
        yield from self._engines.items()

    # ---- semaphores that are made while the gateway runs

    async def define(self, name: str, places: int, description: str = "") -> Definition:
        """Make a semaphore of that name, or change the one that there is; those who hold and wait keep what they
        have. Raises ``BadRequest``, and ``Overloaded`` where it would be kept in Redis and that is away."""
        if not 1 <= places <= MOST_PLACES:
            raise BadRequest(f"a semaphore has from 1 to {MOST_PLACES} places")
        if not 1 <= len(name) <= LONGEST_NAME:
            raise BadRequest(f"a semaphore's name has from 1 to {LONGEST_NAME} characters")
        definition = Definition(name, places, description)
        await self._definitions.put(definition)
        self._defined(definition)
        return definition

    async def get(self, name: str) -> Capacity | None:
        """The semaphore that was made with that name, if there is one. Raises ``Overloaded``, as above."""
        definition = await self._definitions.find(name)
        return None if definition is None else self._defined(definition)

    async def remove(self, name: str) -> bool:
        """Unmake one: it is not found any more. Those who hold and wait keep what they have. False where there was
        none. Raises ``Overloaded``, as above."""
        return await self._definitions.remove(name)

    async def list(self) -> Sequence[Definition]:
        """Those that were made, by name. Raises ``Overloaded``, as above."""
        return await self._definitions.all()

    def _defined(self, definition: Definition) -> Capacity:
        capacity = self._name(_MADE + definition.name, definition.places)
        capacity.resize(definition.places)
        return capacity

    def _name(self, name: str, places: int) -> Capacity:
        if name not in self._named:
            self._named[name] = self._make(name, places)
        return self._named[name]

    def _local(self, _: str, places: int) -> Capacity:
        return LocalCapacity(places, self._waiting_room, self._clock, self._weights)
