"""The semaphores of a gateway, by name: one for all sessions, and one for each engine that has only so many places."""

from __future__ import annotations

from collections.abc import Iterator

from gateway.admission.capacity import Capacity
from gateway.clock import Clock


class Capacities:
    """``sessions`` is everybody's; ``engine`` makes an engine's when it is first asked for.

    ``waiting_room`` is how many may wait at each of them.
    """

    def __init__(self, sessions: int, waiting_room: int, clock: Clock) -> None:
        self.sessions = Capacity(sessions, waiting_room, clock)
        self._waiting_room = waiting_room
        self._clock = clock
        self._engines: dict[str, Capacity] = {}

    def engine(self, name: str, places: int) -> Capacity:
        """The places of the engine of that id, which has ``places`` of them now."""
        capacity = self._engines.get(name)
        if capacity is None:
            capacity = self._engines[name] = Capacity(places, self._waiting_room, self._clock)
        elif capacity.places != places:
            capacity.resize(places)
        return capacity

    def engines(self) -> Iterator[tuple[str, Capacity]]:
        """Those that were asked for, by the engine's id."""
        yield from self._engines.items()
