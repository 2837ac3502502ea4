import pytest

from gateway.admission.auth import Keys, presented
from gateway.errors import Unauthorized


@pytest.mark.parametrize(
    ("headers", "query", "key"),
    [
        ({"authorization": "Bearer abc"}, {}, "abc"),
        ({"authorization": "bearer  abc "}, {}, "abc"),
        ({"authorization": "Token abc"}, {}, "abc"),
        ({"authorization": "Basic abc"}, {}, None),
        ({"authorization": "Bearer "}, {}, None),
        ({"xi-api-key": "abc"}, {}, "abc"),
        ({"x-api-key": "abc"}, {}, "abc"),
        ({}, {"api_key": "abc"}, "abc"),
        ({}, {}, None),
    ],
)
def test_a_key_is_found_wherever_a_client_puts_it(
    headers: dict[str, str], query: dict[str, str], key: str | None
) -> None:
    assert presented(headers, query) == key


def test_without_configured_keys_everybody_may_call() -> None:
    Keys(()).check(None)


def test_each_configured_key_opens() -> None:
    keys = Keys(("one", "two"))
    keys.check("one")
    keys.check("two")


@pytest.mark.parametrize("key", [None, "", "on", "onee", "\u00e9"])
def test_anything_else_is_refused(key: str | None) -> None:
    with pytest.raises(Unauthorized):
        Keys(("one",)).check(key)
