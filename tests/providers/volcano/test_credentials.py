import pytest

from providers.base import BadOption
from providers.volcano.credentials import Credentials

BOTH = {"X-Api-App-Id": "app", "X-Api-App-Key": "app", "X-Api-Access-Key": "secret"}


@pytest.mark.parametrize(
    ("given", "headers"),
    [
        ({"api_key": "secret"}, {"X-Api-Key": "secret"}),
        ({"app_id": "app", "access_key": "secret"}, BOTH),
        ({"volcengine_tts_appid": "app", "volcengine_tts_access_key": "secret"}, BOTH),
        ({"appid": "app", "access_token": " secret "}, BOTH),
    ],
)
def test_credentials_are_read_by_the_names_that_are_in_use(given: dict[str, str], headers: dict[str, str]) -> None:
    assert Credentials.read(given).headers == headers


@pytest.mark.parametrize(
    "given",
    [
        {},
        {"app_id": "app"},
        {"access_key": "secret"},
        {"api_key": ""},
        {"api_key": "secret\r\nX-Other: 1"},
        {"api_key": "秘密"},
        {"api_key": "secret" * 100},
        {"api_key": 5},
        {"password": "secret"},
    ],
)
def test_what_is_none_is_refused_and_not_shown(given: dict[str, str]) -> None:
    with pytest.raises(BadOption) as raised:
        Credentials.read(given)
    assert "secret" not in str(raised.value)
    assert "秘密" not in str(raised.value)


def test_an_account_has_one_name_whoever_asks_and_no_secret_in_it() -> None:
    one, again = Credentials("", "app", "one key"), Credentials("", "app", "another key")
    assert one.account == again.account != Credentials("", "other", "one key").account
    key = Credentials("secret")
    assert key.account == Credentials("secret").account
    assert "secret" not in key.account
    assert "app" not in one.account


def test_they_are_not_in_their_representation_nor_in_what_the_service_says_of_them() -> None:
    credentials = Credentials("a-secret", "an-app", "an-access")
    assert not any(secret in repr(credentials) for secret in ("a-secret", "an-app", "an-access"))
    assert credentials.censor("key a-secret of an-app is unknown") == "key *** of *** is unknown"
