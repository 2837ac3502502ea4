from __future__ import annotations

import pytest

from providers.base import EngineUnavailable, ProviderError
from providers.isolated import messages
from providers.isolated.frames import Nonsense
from tests.support.wild import ERRORS


@pytest.mark.parametrize("name", ERRORS)
def test_an_error_is_of_its_class_and_says_the_same_afterwards(name: str) -> None:
    error = ERRORS[name]
    found = messages.read_error(messages.error(error), "wild")
    assert (str(found), found.code, found.retryable, found.retry_after) == (
        str(error),
        error.code,
        error.retryable,
        error.retry_after,
    )
    assert type(found).__name__ == type(error).__name__ or type(found).__mro__[1] is EngineUnavailable


@pytest.mark.parametrize(
    "said",
    [
        None,
        [],
        {},
        {"kind": "MissingDependency", "fix": 1},
        {"kind": "SystemExit", "message": "", "retry_after": None, "code": "x", "retryable": True},
        {"kind": "EngineBusy", "message": 1, "retry_after": None, "code": "x", "retryable": True},
        {"kind": "EngineBusy", "message": "", "retry_after": "1", "code": "x", "retryable": True},
        {"kind": "EngineBusy", "message": "", "retry_after": 1, "code": "a b", "retryable": True},
        {"kind": "EngineBusy", "message": "a" * 100_000, "retry_after": 1, "code": "x", "retryable": True},
    ],
)
def test_an_error_that_is_none_is_nonsense(said: object) -> None:
    with pytest.raises(Nonsense):
        messages.read_error(said, "wild")


def test_a_message_that_is_too_long_is_cut() -> None:
    found = messages.read_error(messages.error(ProviderError("a" * 100_000)), "wild")
    assert set(str(found)) == {"a"}


@pytest.mark.parametrize(
    "said",
    [
        None,
        {"id": "wild"},
        {"id": "wild", "capabilities": {"max_characters": "many"}, "voices": [], "offers": [], "option_names": []},
        {"id": "wild", "capabilities": {}, "voices": 3, "offers": [], "option_names": []},
        {"id": "wild", "capabilities": {}, "voices": [], "offers": [], "option_names": [], "state": {"places": -1}},
    ],
)
def test_an_engine_that_is_none_is_nonsense(said: object) -> None:
    with pytest.raises(Nonsense):
        messages.read_about(said)


@pytest.mark.parametrize("said", [None, {}, [{"id": "one"}], [{"id": 1}], "voices"])
def test_voices_that_are_none_are_nonsense(said: object) -> None:
    with pytest.raises(Nonsense):
        messages.read_voices(said)
