"""Those who are listened to before batch work, whatever is pushed, taken and given up, in whatever order."""

from __future__ import annotations

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from gateway.admission.fair_queue import FairQueue
from gateway.admission.lines import BATCH_SHARE, Lines
from providers.lane import _BATCH_SHARE

TENANTS = ("a", "b", "c")


class Lining(RuleBasedStateMachine):
    """Each line alone is a fair queue; between the two, batch work gets what is left and its share, and no more."""

    @initialize()
    def begin(self) -> None:
        self.lines: Lines[int] = Lines()
        self.queues: tuple[FairQueue[int], FairQueue[int]] = (FairQueue(), FairQueue())
        self.tenants: dict[int, tuple[str, bool]] = {}
        self.left_out = 0
        """Places that were handed on past batch work since its last one, or since the first of it came."""
        self.next = 0

    @rule(tenant=st.sampled_from(TENANTS), batch=st.booleans(), count=st.integers(1, 40))
    def push(self, tenant: str, batch: bool, count: int) -> None:
        for _ in range(count):
            self.lines.push(self.next, tenant, batch=batch)
            self.queues[batch].push(self.next, tenant)
            self.tenants[self.next] = (tenant, batch)
            self.next += 1

    def _waiting(self) -> bool:
        return bool(self.tenants)

    @precondition(_waiting)
    @rule(count=st.integers(1, 40))
    def pop(self, count: int) -> None:
        for _ in range(min(count, len(self.lines))):
            self._take()

    def _take(self) -> int:
        listened, batch_waits = map(bool, self.queues)
        item, tenant, batch = self.lines.first()
        assert self.lines.position(item, tenant, batch=batch) == 1
        assert self.lines.pop() == item
        assert (tenant, batch) == self.tenants.pop(item)
        assert item == self.queues[batch].pop(), "fair among tenants, in each line"
        if batch:
            assert not listened or self.left_out == BATCH_SHARE - 1, "it has its share and what is left"
        self.left_out = self.left_out + 1 if batch_waits and not batch else 0
        assert self.left_out < BATCH_SHARE, "it is not left out for good"
        return item

    @precondition(_waiting)
    @rule(data=st.data())
    def give_up(self, data: st.DataObject) -> None:
        item = data.draw(st.sampled_from(list(self.tenants)))
        tenant, batch = self.tenants.pop(item)
        assert not self.lines.remove(item, tenant, batch=not batch)
        assert self.lines.remove(item, tenant, batch=batch)
        assert not self.lines.remove(item, tenant, batch=batch)
        self.queues[batch].remove(item, tenant)
        if not self.queues[True]:
            self.left_out = 0

    @precondition(_waiting)
    @rule(data=st.data())
    def positions_come_true(self, data: st.DataObject) -> None:
        told = {self.lines.position(item, tenant, batch=batch): item for item, (tenant, batch) in self.tenants.items()}
        assert sorted(told) == list(range(1, len(self.lines) + 1))
        for position in range(1, data.draw(st.integers(1, len(self.lines))) + 1):
            assert self._take() == told[position]

    @invariant()
    def nobody_is_lost(self) -> None:
        assert len(self.lines) == len(self.tenants)
        assert self.lines.batch == sum(batch for _, batch in self.tenants.values())


class TestLining(Lining.TestCase):
    settings = settings(max_examples=150, stateful_step_count=40, deadline=None)


def test_one_in_sixteen_is_batch_work_while_both_wait_and_all_of_it_comes_when_nobody_else_does() -> None:
    lines: Lines[int] = Lines()
    for number in range(40):
        lines.push(number, batch=True)
        lines.push(100 + number)
    taken = "".join("b" if lines.pop() < 100 else "i" for _ in range(80))
    assert taken == ("i" * 15 + "b") * 2 + "i" * 10 + "b" * 38


def test_a_newcomer_who_is_listened_to_has_nobody_of_batch_work_before_him_but_for_its_share() -> None:
    lines: Lines[int] = Lines()
    for number in range(100):
        lines.push(number, batch=True)
    told = []
    for number in range(100, 132):
        lines.push(number)
        told.append(lines.position(number))
    assert told == [*range(1, 16), *range(17, 32), *range(33, 35)]
    assert lines.position(0, batch=True) == 16
    assert lines.position(99, batch=True) == 132


def test_an_engine_hands_on_its_workers_by_the_same_share() -> None:
    assert BATCH_SHARE == _BATCH_SHARE


def test_empty_lines_have_no_first() -> None:
    with pytest.raises(IndexError):
        Lines[str]().pop()
