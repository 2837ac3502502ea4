"""Which phonemes belong to which word. The readings are espeak-ng's own, written down; needs no Piper."""

from __future__ import annotations

import pytest

from providers.piper.words import Place, places

READINGS = {
    "It": "ɪt",
    "costs": "kˈɔsts",
    "25": "twˈɛnti fˈaɪv",
    "of": "ˈʌv",
    "the": "ðə",
    "dollars.": "dˈɑːlɚz.",
    "Hello,": "həlˈoʊ",
    "world!": "wˈɜːld!",
    "one.two": "wˈʌn. tˈuː",
    "Bon": "bɔ̃",
    "vin": "vˈɛ̃",
}


def read(text: str) -> list[list[str]]:
    """As espeak-ng does: a sentence for each paragraph, and one more where a word has an end of a sentence in it."""
    return [list(part) for word in text.split("\n\n") if word for part in READINGS[word].split(". ")]


def found(words: list[str], *sentences: str) -> list[str | None]:
    """For each word the phonemes that were found for it."""
    placed = places(words, [list(sentence) for sentence in sentences], read)
    assert placed is not None
    return [place and sentences[place.sentence][place.start : place.stop] for place in placed]


def test_words_are_read_one_to_one() -> None:
    assert found(["Hello,", "world!"], "həlˈoʊ, wˈɜːld!") == ["həlˈoʊ", "wˈɜːld"]


def test_a_number_has_all_its_words() -> None:
    spoken = found(["It", "costs", "25", "dollars."], "ɪt kˈɔsts twˈɛnti fˈaɪv dˈɑːlɚz.")
    assert spoken == ["ɪt", "kˈɔsts", "twˈɛnti fˈaɪv", "dˈɑːlɚz"]


def test_two_words_that_are_read_as_one_are_parted() -> None:
    assert found(["costs", "of", "the", "world!"], "kˈɔsts ʌvðə wˈɜːld!") == ["kˈɔsts", "ʌv", "ðə", "wˈɜːld"]


def test_numbers_and_joined_words_in_one_sentence() -> None:
    spoken = found(["It", "costs", "25", "of", "the", "dollars."], "ɪt kˈɔsts twˈɛnti fˈaɪv ʌvðə dˈɑːlɚz.")
    assert spoken == ["ɪt", "kˈɔsts", "twˈɛnti fˈaɪv", "ʌv", "ðə", "dˈɑːlɚz"]


def test_marks_alone_are_not_spoken() -> None:
    assert found(["Hello,", "—", "world!"], "həlˈoʊ; wˈɜːld!") == ["həlˈoʊ", None, "wˈɜːld"]


def test_words_of_several_sentences() -> None:
    assert found(["Hello,", "world!", "It", "costs"], "həlˈoʊ, wˈɜːld!", "ɪt kˈɔsts") == [
        "həlˈoʊ",
        "wˈɜːld",
        "ɪt",
        "kˈɔsts",
    ]


def test_a_word_over_an_end_of_a_sentence_ends_with_the_first() -> None:
    assert found(["one.two", "world!"], "wˈʌn.", "tˈuː wˈɜːld!") == ["wˈʌn", "wˈɜːld"]


def test_marks_on_letters_belong_to_them() -> None:
    assert found(["Bon", "vin"], "bɔ̃ vˈɛ̃.") == ["bɔ̃", "vˈɛ̃"]


def test_phonemes_of_two_characters_are_found() -> None:
    placed = places(["Hello,", "world!"], [["h", "ə", "l", "ˈ", "oʊ", ",", " ", "w", "ˈ", "ɜː", "l", "d"]], read)
    assert placed == [Place(0, 0, 5), Place(0, 7, 12)]


def test_a_reading_of_something_else_tells_nothing() -> None:
    assert places(["Hello,", "world!"], [list("kˈɔsts twˈɛnti fˈaɪv ʌvðə")], read) is None


def test_a_page_of_numbers_is_not_laid_beside_its_reading_for_seconds() -> None:
    words, looks = ["25", "of"] * 200, 0

    def long(text: str) -> list[list[str]]:
        nonlocal looks
        looks += 1
        return read(text)

    assert places(words, [list("twˈɛnti fˈaɪv ʌv" * 200)], long) is None
    assert looks == 1


@pytest.mark.parametrize("words", [[], ["—"], ["...", "?!"]])
def test_without_words_there_is_nothing_to_find(words: list[str]) -> None:
    assert places(words, [], read) == [None] * len(words)
