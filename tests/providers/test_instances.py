"""Models that are lent out: one for each who wants one at once, no more than that, and loaded one at a time."""

from __future__ import annotations

import threading

import pytest

from providers.instances import Instances


class Model:
    pass


def test_one_that_came_back_is_lent_again() -> None:
    instances = Instances(Model)
    with instances.take() as first:
        pass
    with instances.take() as second, instances.take() as third:
        assert second is first
        assert third is not first
    assert instances.made == 2


def test_one_comes_back_from_who_failed() -> None:
    instances = Instances(Model)
    with pytest.raises(ValueError, match="x"), instances.take() as first:
        raise ValueError("x")
    with instances.take() as second:
        assert second is first


def test_one_that_cannot_be_made_is_tried_again() -> None:
    tries: list[int] = []

    def make() -> Model:
        tries.append(1)
        if len(tries) == 1:
            raise OSError("no such file")
        return Model()

    instances = Instances(make)
    with pytest.raises(OSError, match="no such file"), instances.take():
        pass
    with instances.take():
        assert instances.made == 1


def test_after_a_clear_there_are_none() -> None:
    instances = Instances(Model)
    with instances.take() as first:
        pass
    instances.clear()
    assert instances.made == 0
    with instances.take() as second:
        assert second is not first


def test_who_waits_for_one_that_loads_takes_one_that_came_back_meanwhile() -> None:
    loading, gate = threading.Event(), threading.Event()
    first_of_all = Model()
    made = iter((first_of_all, None))

    def make() -> Model:
        model = next(made)
        if model is None:
            loading.set()
            gate.wait()
            return Model()
        return model

    instances = Instances(make)
    taken: list[Model] = []

    def use() -> None:
        with instances.take() as model:
            taken.append(model)

    with instances.take():
        loader = threading.Thread(target=use)
        loader.start()
        loading.wait()
    # The first is back; whoever comes now takes it, and the loader still has its own.
    use()
    assert taken == [first_of_all]
    gate.set()
    loader.join()
    assert instances.made == 2
