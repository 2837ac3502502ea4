"""What is written out for espeak-ng. Needs no Piper."""

from __future__ import annotations

import pytest

from providers.piper.text import words, written_out


def read(text: str, *, english: bool = True) -> str:
    return " ".join(written_out(words(text), english=english))


@pytest.mark.parametrize(
    ("text", "written"),
    [
        ("Dr. Smith met Mr. Jones.", "Dr Smith met Mr Jones."),
        ("I saw the Dr.", "I saw the Dr."),
        ("It is $3.50, or £1!", "It is 3 dollars 50, or 1 pound!"),
        ("(€1,000.00)", "(1,000 euros)"),
        ("$3 million and $3.5 billion.", "$3 million and $3.5 billion."),
        ("$5k or $A", "$5k or $A"),
    ],
)
def test_titles_and_money_are_written_out(text: str, written: str) -> None:
    assert read(text) == written


def test_other_languages_are_left_as_they_are() -> None:
    assert read("Dr. Schmidt zahlt $3.50.", english=False) == "Dr. Schmidt zahlt $3.50."


def test_a_word_stays_one() -> None:
    text = words("Dr. Smith paid $3.50 on 3 May.")
    assert len(written_out(text, english=True)) == len(text)


@pytest.mark.parametrize(
    ("text", "kept"),
    [
        ("a\x00b\x1b[31m", "a b [31m"),
        ("half\ud800", "half"),
        ("Great! 😀👍🏽 👩‍👩‍👧 ➡️ 1️⃣", "Great! 1"),
        ("20° № 5 ™", "20° № 5 ™"),
        ("x² + ④", "x2 + 4"),
        ("[[ həloʊ ]]", "[ həloʊ ]"),
        (" \n\t ", ""),
    ],
)
def test_what_no_voice_can_say_is_left_out(text: str, kept: str) -> None:
    assert read(text) == kept
