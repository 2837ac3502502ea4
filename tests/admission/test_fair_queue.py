"""The fair queue, whatever is pushed, taken and given up, in whatever order."""

from __future__ import annotations

from collections import deque
from fractions import Fraction

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from gateway.admission.fair_queue import FairQueue

TENANTS = ("a", "b", "c", "d")


class Queueing(RuleBasedStateMachine):
    """Every item is in the model until it is taken or has given up; what is given is compared between tenants for
    as long as both of them wait without a break."""

    @initialize(weights=st.tuples(*[st.sampled_from((1, 2, 3, 5, 0.5))] * len(TENANTS)))
    def begin(self, weights: tuple[float, ...]) -> None:
        self.queue: FairQueue[int] = FairQueue()
        self.weights = dict(zip(TENANTS, weights, strict=True))
        self.model: dict[str, deque[int]] = {tenant: deque() for tenant in TENANTS}
        self.given = dict.fromkeys(TENANTS, 0)
        self.together: dict[tuple[str, str], tuple[int, int]] = {}
        """For two tenants that both wait: what each had been given when that began."""
        self.latest: dict[int, float] = {}
        """For each item, how many may have been taken at the latest when it is, whoever comes after it."""
        self.next = 0

    def _watch(self) -> None:
        for one in TENANTS:
            for other in TENANTS:
                if one < other:
                    if self.model[one] and self.model[other]:
                        self.together.setdefault((one, other), (self.given[one], self.given[other]))
                    else:
                        self.together.pop((one, other), None)

    @rule(tenant=st.sampled_from(TENANTS), count=st.integers(1, 12))
    def push(self, tenant: str, count: int) -> None:
        for _ in range(count):
            self.queue.push(self.next, tenant, self.weights[tenant])
            before = len(self.model[tenant])
            rounds = (before + 1) / self.weights[tenant]
            others = sum(rounds * self.weights[other] + 1 for other in TENANTS if other != tenant)
            self.latest[self.next] = sum(self.given.values()) + 1 + before + others
            self.model[tenant].append(self.next)
            self.next += 1
        self._watch()

    def _waiting(self) -> bool:
        return any(self.model.values())

    @precondition(_waiting)
    @rule(count=st.integers(1, 8))
    def pop(self, count: int) -> None:
        for _ in range(min(count, len(self.queue))):
            item, tenant = self.queue.first()
            assert self.queue.position(item, tenant) == 1
            assert self.queue.pop() == item
            assert item == self.model[tenant].popleft(), "first in, first out within a tenant"
            self.given[tenant] += 1
            assert sum(self.given.values()) <= self.latest[item] + 1e-9, "nobody starves"
            self._bound()
            self._watch()

    def _bound(self) -> None:
        for (one, other), (one_then, other_then) in self.together.items():
            share = Fraction(self.given[one] - one_then) / Fraction(self.weights[one])
            share -= Fraction(self.given[other] - other_then) / Fraction(self.weights[other])
            bound = 1 / self.weights[one] + 1 / self.weights[other]
            assert abs(share) <= bound + 1e-9, f"{one} and {other} were not served by their weights"

    @precondition(_waiting)
    @rule(data=st.data())
    def give_up(self, data: st.DataObject) -> None:
        tenant = data.draw(st.sampled_from([tenant for tenant in TENANTS if self.model[tenant]]))
        item = data.draw(st.sampled_from(list(self.model[tenant])))
        self.model[tenant].remove(item)
        assert self.queue.remove(item, tenant)
        assert not self.queue.remove(item, tenant)
        self._watch()

    @precondition(_waiting)
    @rule(data=st.data())
    def positions_come_true(self, data: st.DataObject) -> None:
        """Emptied without anybody coming, the queue gives everybody the place that it had told, and loses nobody."""
        told = {
            self.queue.position(item, tenant): (item, tenant) for tenant, line in self.model.items() for item in line
        }
        assert sorted(told) == list(range(1, len(self.queue) + 1))
        taken = data.draw(st.integers(1, len(self.queue)))
        for position in range(1, taken + 1):
            item, tenant = told[position]
            assert self.queue.pop() == item
            self.model[tenant].popleft()
            self.given[tenant] += 1
            self._bound()
            self._watch()

    @invariant()
    def nobody_is_lost(self) -> None:
        assert len(self.queue) == sum(map(len, self.model.values()))


class TestQueueing(Queueing.TestCase):
    settings = settings(max_examples=150, stateful_step_count=40, deadline=None)


def tenants(queue: FairQueue[str]) -> list[str]:
    """Take everybody; whose they were, in that order."""
    taken = []
    while len(queue):
        taken.append(queue.first()[1])
        queue.pop()
    return taken


def pushed(queue: FairQueue[str], item: str, count: int, weight: float = 1.0) -> None:
    """``count`` items of the tenant of the same letter, numbered by repetition."""
    for number in range(count):
        queue.push(item * (number + 1), item, weight)


def test_one_of_a_quiet_tenant_goes_before_the_many_of_a_busy_one() -> None:
    queue: FairQueue[int | str] = FairQueue()
    for number in range(100):
        queue.push(number, "busy")
    for _ in range(10):
        queue.pop()
    queue.push("quiet", "quiet")
    assert queue.position("quiet", "quiet") <= 2
    assert "quiet" in {queue.pop(), queue.pop()}


def test_three_to_one_is_three_to_one() -> None:
    queue: FairQueue[str] = FairQueue()
    pushed(queue, "x", 9, weight=3)
    pushed(queue, "y", 3, weight=1)
    taken = tenants(queue)
    for begin in (0, 4, 8):
        assert sorted(taken[begin : begin + 4]) == ["x", "x", "x", "y"]


def test_many_who_give_up_do_not_cost_their_tenant_its_turn() -> None:
    queue: FairQueue[int | str] = FairQueue()
    queue.push("other", "b")
    for number in range(1000):
        queue.push(number, "a")
    for number in range(1000):
        assert queue.remove(number, "a")
    queue.push("a", "a")
    assert queue.position("a", "a") == 2


def test_a_tenant_who_leaves_and_comes_again_gets_its_share_and_no_more() -> None:
    queue: FairQueue[str] = FairQueue()
    queue.push("a", "a")
    pushed(queue, "b", 10)
    taken = ""
    for number in range(10):
        item = queue.pop()
        taken += item[0]
        if item[0] == "a":
            queue.push(f"a{number}", "a")
    assert taken.count("a") == 5
    assert "bbb" not in taken


def test_a_new_weight_counts_from_now_on() -> None:
    queue: FairQueue[str] = FairQueue()
    pushed(queue, "x", 4)
    pushed(queue, "y", 4)
    queue.push("last", "x", 3.0)
    assert tenants(queue)[:5].count("x") >= 3


def test_an_empty_queue_has_no_first() -> None:
    with pytest.raises(IndexError):
        FairQueue[str]().pop()
