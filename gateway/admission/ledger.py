"""What a process holds and waits for in Redis: what is to be said of it, and what the answers mean. No I/O."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import Iterator, Mapping
from typing import Any, Protocol

from gateway.admission.lines import BATCH_SHARE
from gateway.errors import Overloaded


class Known(Protocol):
    """A semaphore as the ledger sees it."""

    name: str
    declared: int
    """How many places there are as far as this process knows."""
    waiting_room: int

    def observe(self, found: Mapping[str, Any]) -> None:
        """``places``, ``taken``, ``waiting``, how many of those are ``batch`` work and, where any was seen, the usual
        ``stay``, as Redis has them now."""

    def refusal(self, *, batch: bool) -> Overloaded: ...


class Ticket:
    """One who wants a place of a semaphore, from the asking to the leaving."""

    __slots__ = ("answered", "batch", "capacity", "held", "id", "since", "tenant", "turn", "weight")

    def __init__(self, number: str, capacity: Known, tenant: str, weight: float, *, batch: bool) -> None:
        loop = asyncio.get_running_loop()
        self.id = number
        self.capacity = capacity
        self.tenant = tenant
        self.weight = weight
        self.batch = batch
        self.held = False
        self.since: str | None = None
        """Redis' time of the asking, which is its place in its tenant's line also after Redis has lost the line."""
        self.answered: asyncio.Future[int | Overloaded] = loop.create_future()
        """The first answer: its position in the queue, or 0 where it has a place at once."""
        self.turn: asyncio.Future[Overloaded | None] = loop.create_future()
        """Done when it has a place, or will get none."""

    def give(self) -> None:
        self.held = True
        _settle(self.answered, 0)
        _settle(self.turn, None)

    def refuse(self, error: Overloaded) -> None:
        _settle(self.answered, error)
        _settle(self.turn, error)


def _settle(future: asyncio.Future[Any], result: Any) -> None:
    if not future.done():
        future.set_result(result)


class Ledger:
    """The tickets of a process, and what has changed since Redis was told of them."""

    def __init__(self) -> None:
        self.process = uuid.uuid4().hex
        self.restored = 0
        """Places that were held and that Redis did not know of (any more)."""
        self._numbers = 0
        self._tickets: dict[str, Ticket] = {}
        self._changes: dict[str, dict[str, Any]] = {}
        """By ticket: of several changes only the last counts."""
        self._touched: dict[str, Known] = {}
        self._known: dict[str, Known] = {}

    # ---- what happens here

    def add(self, capacity: Known) -> None:
        self._known[capacity.name] = capacity
        self.touch(capacity)

    def forget(self, name: str) -> None:
        self._known.pop(name, None)
        self._touched.pop(name, None)

    def touch(self, capacity: Known) -> None:
        """Say how many places it has, and ask how it is, in the next turn."""
        self._touched[capacity.name] = capacity

    def ask(self, capacity: Known, tenant: str, weight: float, *, batch: bool) -> Ticket:
        self._numbers += 1
        ticket = Ticket(f"{self.process}.{self._numbers}", capacity, tenant, weight, batch=batch)
        self._tickets[ticket.id] = ticket
        self._changes[ticket.id] = _asking(ticket)
        self.touch(capacity)
        return ticket

    def leave(self, ticket: Ticket, stay: float | None) -> None:
        """Give the place back after ``stay`` seconds, or give up waiting for one."""
        if self._tickets.pop(ticket.id, None) is None:
            return
        change = {"leave": ticket.id} | _place_in_line(ticket)
        if stay is not None:
            change["stay"] = stay
        self._changes[ticket.id] = change
        self.touch(ticket.capacity)

    def waiting(self, capacity: Known | None = None) -> Iterator[Ticket]:
        """Those without a place, in the order in which they have asked."""
        for ticket in tuple(self._tickets.values()):
            if not ticket.held and (capacity is None or ticket.capacity is capacity):
                yield ticket

    def answer_alone(self) -> None:
        """Redis does not answer: those who wait for its first word are told their position among those here."""
        positions: dict[Known, int] = {}
        for ticket in sorted(self.waiting(), key=lambda ticket: ticket.batch):
            positions[ticket.capacity] = position = positions.get(ticket.capacity, 0) + 1
            _settle(ticket.answered, position)

    def give_up(self, why: str, retry_after: float) -> None:
        """Nobody who waits gets a place."""
        for ticket in self.waiting():
            # An error of his own for each: raising one fills it with where it was raised.
            ticket.refuse(Overloaded(why, retry_after=retry_after))

    # ---- what is said to Redis, and what it says

    def request(self, *, everything: bool) -> dict[str, Any]:
        """What the next turn is to say: what has changed, or everything. It counts as said then."""
        changes, touched = self._changes, self._known if everything else self._touched
        if everything:
            changes = {number: change for number, change in changes.items() if "leave" in change}
            for ticket in self._tickets.values():
                changes[ticket.id] = _holding(ticket) if ticket.held else _asking(ticket)
        self._changes, self._touched = {}, {}
        return {
            "process": self.process,
            "all": everything,
            "share": BATCH_SHARE,
            "names": {name: capacity.declared for name, capacity in touched.items()},
            "changes": list(changes.values()),
        }

    def apply(self, answer: Mapping[str, Any]) -> None:
        """Take what a turn has brought."""
        for name, found in answer["names"].items():
            if name in self._known:
                self._known[name].observe(found)
        self.restored += answer["restored"]
        for number in answer["granted"]:
            self.granted(number)
        for number, outcome in answer["tickets"].items():
            ticket = self._tickets.get(number)
            if ticket is None or ticket.held:
                continue
            if "held" in outcome:
                ticket.give()
            elif "refused" in outcome:
                ticket.refuse(ticket.capacity.refusal(batch=ticket.batch))
            else:
                ticket.since = outcome["since"]
                _settle(ticket.answered, outcome.get("position", 1))

    def granted(self, number: str) -> None:
        """A ticket was given a place. One that has left in the meantime has said so, or will."""
        ticket = self._tickets.get(number)
        if ticket is not None:
            ticket.give()


def _place_in_line(ticket: Ticket) -> dict[str, Any]:
    return {"name": ticket.capacity.name, "tenant": ticket.tenant, "batch": ticket.batch}


def _asking(ticket: Ticket) -> dict[str, Any]:
    change = {"ask": ticket.id, "weight": ticket.weight, "room": ticket.capacity.waiting_room}
    change |= _place_in_line(ticket)
    return change if ticket.since is None else change | {"since": ticket.since}


def _holding(ticket: Ticket) -> dict[str, Any]:
    return {"hold": ticket.id} | _place_in_line(ticket)
