from hypothesis import given
from hypothesis import strategies as st

from gateway.pipeline.matching import Matcher


def matcher(*pieces: str) -> Matcher:
    made = Matcher()
    made.extend(pieces)
    return made


def test_words_that_are_the_texts_are_found_one_to_one() -> None:
    assert matcher("Hello, ", "you ", "there.").match(["hello", "you", "there"]) == {
        0: (0, True),
        1: (1, True),
        2: (2, True),
    }


def test_words_of_one_character_fill_a_piece_together() -> None:
    assert matcher("Hi! ", "ok").match(["H", "i", "o"]) == {0: (1, True), 1: (2, False)}


def test_a_number_that_is_spoken_in_words_is_passed_over() -> None:
    found = matcher("It ", "is ", "25 ", "degrees.").match(["it", "is", "twenty", "five", "degrees"])
    assert found == {0: (0, True), 1: (1, True), 3: (4, True)}


def test_what_was_not_spoken_is_passed_over_and_what_follows_is_found() -> None:
    made = matcher("Hello ", "(smiling) ", "there ", "my ", "friend")
    assert made.match(["hello", "there"]) == {0: (0, True), 2: (1, True)}
    assert made.match(["my", "friend"]) == {3: (0, True), 4: (1, True)}


def test_a_word_of_another_text_is_found_nowhere_and_loses_nothing() -> None:
    made = matcher("one ", "two ", "three")
    assert made.match(["xyz"]) == {}
    assert made.match(["one", "two"]) == {0: (0, True), 1: (1, True)}


def test_text_may_come_later() -> None:
    made = matcher("one ")
    assert made.match(["one"]) == {0: (0, True)}
    made.extend(["— ", "two"])
    assert made.match(["two"]) == {2: (0, True)}


@given(st.lists(st.text(max_size=8), max_size=12), st.lists(st.text(max_size=8), max_size=12))
def test_any_words_are_found_in_the_order_of_the_text(pieces: list[str], words: list[str]) -> None:
    found = matcher(*pieces).match(words)
    assert list(found) == sorted(found)
    assert all(0 <= piece < len(pieces) and 0 <= word < len(words) for piece, (word, _) in found.items())
    assert [word for word, _ in found.values()] == sorted(word for word, _ in found.values())
