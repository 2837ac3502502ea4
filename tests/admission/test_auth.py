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


def test_a_named_key_opens_with_and_without_its_name_and_its_tenant_is_the_name() -> None:
    keys = Keys(("web:0123456789", "web:9876543210", "batch:abcdefgh"))
    assert keys.check("0123456789") == keys.check("web:0123456789") == keys.check("9876543210") == "web"
    assert keys.check("abcdefgh") == "batch"


@pytest.mark.parametrize("entry", ["plainkey1", "short:1234567", "not a name:0123456789", ":0123456789", "name:"])
def test_a_key_without_a_name_opens_whole_and_its_tenant_is_a_hash_that_does_not_say_it(entry: str) -> None:
    keys = Keys((entry, "another"))
    tenant = keys.check(entry)
    assert len(tenant) == 12
    assert tenant not in entry
    assert tenant != keys.check("another")
    if ":" in entry:
        with pytest.raises(Unauthorized):
            keys.check(entry.partition(":")[2])


def test_without_keys_all_are_one_tenant() -> None:
    assert Keys(()).check("whatever") == ""
