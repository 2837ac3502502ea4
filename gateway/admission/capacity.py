"""Places for sessions: a bounded number speak, a bounded number wait in order, everyone else is told when to come.

To be refused at once is better for a caller than to be served too slowly, and better for those who are being served.
This is the contract. `local` keeps it within a process, `shared` among all the gateways on one Redis, and one suite
of tests runs over both.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Awaitable, Callable
from contextlib import AbstractAsyncContextManager

from gateway.errors import Overloaded

OnWait = Callable[[int, float | None], Awaitable[None]]
"""Called with the position (1 is next) and the estimated seconds until a place is free, where known."""


class Capacity(ABC):
    """A semaphore with a waiting room: those whom somebody listens to before batch work (`lines` has the rule), fair
    among tenants, first-in, first-out within one. ``async with capacity.place(): ...``"""

    def __init__(self, places: int, waiting_room: int) -> None:
        self.places = places
        """How many there are. More may be taken for a while: after a ``resize``, or after a lease was lost."""
        self.waiting_room = waiting_room
        """How many may wait. Batch work may not take the room of those who are listened to; they may take its."""
        self.refused = 0
        """How many were told to come later."""

    @property
    @abstractmethod
    def taken(self) -> int:
        """Places that are held."""

    @property
    @abstractmethod
    def waiting(self) -> int:
        """How many wait for one."""

    @property
    @abstractmethod
    def waiting_batch(self) -> int:
        """How many of them are batch work."""

    @property
    @abstractmethod
    def usual_stay(self) -> float | None:
        """Seconds for which a place is held, usually; ``None`` before any was given back."""

    @abstractmethod
    def check(self, *, batch: bool = False) -> None:
        """Raises ``Overloaded`` with a ``retry_after`` when one more would find neither a place nor room to wait.

        For a caller who has not been given anything yet. It costs next to nothing, and promises nothing: ``place``
        decides.
        """

    @abstractmethod
    def place(
        self, on_wait: OnWait | None = None, *, tenant: str = "", batch: bool = False
    ) -> AbstractAsyncContextManager[None]:
        """Hold a place. ``on_wait`` is called at most once, where there is none at once. ``batch`` is for what nobody
        listens to.

        Raises ``Overloaded`` with a ``retry_after`` when the waiting room is full too.
        """

    @abstractmethod
    def resize(self, places: int) -> None:
        """Change how many places there are. Those that are held stay held; fewer are given out until it fits."""

    def eta(self, position: int) -> float | None:
        """Seconds until the one at ``position`` of the queue gets a place; ``None`` before any stay was seen."""
        stay = self.usual_stay
        return None if stay is None else stay * position / self.places

    def _in_the_room(self, batch: bool) -> int:
        """How many wait, as far as they take the room of one who comes."""
        return self.waiting if batch else self.waiting - self.waiting_batch

    def _refusal(self, batch: bool) -> Overloaded:
        """What one is told who is refused; he is counted."""
        self.refused += 1
        waiting = self._in_the_room(batch)
        return Overloaded(
            f"all {self.places} places are taken and {waiting} wait; try again later",
            retry_after=max(1.0, self.eta(waiting + 1) or 1.0),
        )
