"""The semaphores of a gateway, by name: one for all sessions, and one for each engine that has only so many places."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from gateway.admission.capacity import Capacity
from gateway.admission.local import LocalCapacity
from gateway.clock import Clock


class Capacities:
    """``sessions`` is everybody's; ``engine`` makes an engine's when it is first asked for.

    ``waiting_room`` is how many may wait at each of them, ``weights`` those of tenants that have another one than 1.
    """

    def __init__(
        self, sessions: int, waiting_room: int, clock: Clock, *, weights: Mapping[str, float] | None = None
    ) -> None:
        self._waiting_room = waiting_room
        self._clock = clock
        self._weights = weights
        self.sessions: Capacity = self._local(sessions)
        self._engines: dict[str, Capacity] = {}
        self._accounts: dict[str, Capacity] = {}

    def engine(self, name: str, places: int, account: str | None = None) -> Capacity:
        """The places of the engine of that id, which has ``places`` of them now. They are its account's, and shared
        with the other engines that use it, where it has one."""
        capacity = self._engines.get(name)
        if capacity is None:
            capacity = self._local(places) if account is None else self._account(account, places)
            self._engines[name] = capacity
        capacity.resize(places)
        return capacity

    def engines(self) -> Iterator[tuple[str, Capacity]]:
        """Those that were asked for, by the engine's id."""
        yield from self._engines.items()

    def _account(self, account: str, places: int) -> Capacity:
        if account not in self._accounts:
            self._accounts[account] = self._local(places)
        return self._accounts[account]

    def _local(self, places: int) -> Capacity:
        return LocalCapacity(places, self._waiting_room, self._clock, self._weights)
