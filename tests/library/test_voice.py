import re

import pytest
from pydantic import ValidationError

from gateway.library.voice import MAX_DESCRIPTION, MAX_PROMPT, MAX_RECORD, Making, Wish, id_of
from providers.base import Voice
from tests.library.records import a_prompt, a_voice

IDS = {
    "Anna": "anna",
    "My Voice": "my-voice",
    "  Dr. Müller & Söhne! ": "dr-muller-sohne",
    "Zoë 2": "zoe-2",
    "x" * 100: "x" * 64,
    "a" * 63 + " b": "a" * 63,
    "../../etc/passwd": "etc-passwd",
}


@pytest.mark.parametrize("name", IDS)
def test_an_id_is_made_from_a_name(name: str) -> None:
    assert id_of(name) == IDS[name]


@pytest.mark.parametrize("name", ["小明", "…", "🙂"])
def test_a_name_without_latin_letters_gets_an_id_of_its_own(name: str) -> None:
    assert re.fullmatch(r"voice-[0-9a-f]{8}", id_of(name))
    assert id_of(name) != id_of(name)


@pytest.mark.parametrize("id", ["", "-a", ".a", "a b", "a/b", "a\n", "ä", "a" * 65])
def test_an_id_is_short_and_plain(id: str) -> None:
    with pytest.raises(ValidationError):
        Wish(name="Anna", id=id)


@pytest.mark.parametrize(
    "wrong",
    [
        {"token": "x"},
        {"token": "../../../../../../../../etc/pas"},
        {"owner": "web\nphone"},
        {"id": "a b"},
        {"provider": ""},
        {"kind": "stolen"},
        {"sample_rate": 0},
        {"created": float("nan")},
        {"size": 0},
        {"size": MAX_PROMPT + 1},
        {"digest": "0"},
    ],
    ids=str,
)
def test_a_record_is_checked(wrong: dict[str, object]) -> None:
    with pytest.raises(ValidationError):
        a_voice(**wrong)


def test_the_longest_record_can_be_kept() -> None:
    # Four bytes a character.
    longest = a_voice(
        "i" * 64,
        "o" * 256,
        name="\U0001f642" * 100,
        provider="\U0001f642" * 256,
        description="\U0001f642" * MAX_DESCRIPTION,
        language="l" * 64,
        gender="\U0001f642" * 64,
    )
    assert len(longest.model_dump_json().encode()) <= MAX_RECORD


def test_a_voice_is_kept_as_its_engine_made_it_and_as_its_owner_called_it() -> None:
    made = Voice("x", "X", "en-GB", 22050, "female", "calm", a_prompt())
    kept = Making("web", "anna", Wish(name="Anna"), "making", None).made(made, 5.0)
    assert kept.spoken(a_prompt()) == Voice("anna", "Anna", "en-GB", 22050, "female", "calm", a_prompt())
    assert (kept.kind, kept.owner, kept.created) == ("cloned", "web", 5.0)
    described = Making("web", "anna", Wish(name="Anna", language="de"), "making", "old").made(made, 5.0)
    assert (described.kind, described.language, described.description) == ("designed", "de", "old")
    assert described.token != kept.token


def test_another_prompt_is_not_taken_for_a_voices_own() -> None:
    voice = a_voice()
    assert voice.holds(a_prompt())
    assert not voice.holds(a_prompt()[:-1])
    assert not voice.holds(a_prompt(seed=1))
