import pytest

from gateway.errors import IllegalMove
from gateway.session.state import FINAL, Machine, Move, State


def test_the_usual_life() -> None:
    machine = Machine()
    moves = (Move.TEXT, Move.ADMIT, Move.TEXT, Move.END, Move.FINISH)
    assert [machine.move(move) for move in moves] == [
        State.QUEUED,
        State.SPEAKING,
        State.SPEAKING,
        State.DRAINING,
        State.ENDED,
    ]


def test_all_text_may_come_before_there_is_a_place() -> None:
    machine = Machine()
    for move in (Move.TEXT, Move.END, Move.ADMIT, Move.FINISH):
        machine.move(move)
    assert machine.state is State.ENDED


@pytest.mark.parametrize("state", sorted(FINAL, key=lambda state: state.name))
@pytest.mark.parametrize("move", list(Move))
def test_nothing_happens_after_the_end(state: State, move: Move) -> None:
    machine = Machine()
    machine.state = state
    with pytest.raises(IllegalMove, match="over"):
        machine.move(move)
    assert machine.state is state


def test_an_illegal_move_is_refused_with_what_was_expected() -> None:
    machine = Machine()
    machine.move(Move.ADMIT)
    machine.move(Move.END)
    with pytest.raises(IllegalMove) as refused:
        machine.move(Move.TEXT)
    assert refused.value.message == (
        "'text' may not come now: the context is speaking the last of its text; expected cancel"
    )


@pytest.mark.parametrize("state", [state for state in State if state not in FINAL])
@pytest.mark.parametrize("move", [Move.CANCEL, Move.FAIL])
def test_a_running_context_can_always_be_cancelled_and_can_always_fail(state: State, move: Move) -> None:
    machine = Machine()
    machine.state = state
    machine.move(move)
    assert machine.over
