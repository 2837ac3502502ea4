"""What espeak-ng makes of text for the model, beside what the library makes of it."""

from __future__ import annotations

import logging
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from providers.kokoro.phonemes import Phonemes
from tests.support.required import required

pytestmark = pytest.mark.engines


@pytest.fixture(scope="module")
def tokenizer() -> Any:
    """The library's. Making it tells phonemizer where espeak-ng is."""
    return required("engines", "kokoro_onnx").Tokenizer()


@pytest.fixture(scope="module")
def phonemes(tokenizer: Any) -> Phonemes:
    return Phonemes(tokenizer.vocab)


@pytest.mark.parametrize(
    ("text", "language"),
    [("The train (from Leeds) leaves at 7:05!", "en-us"), ("Hello. How are you? “Fine”; thanks…", "en-gb")],
)
def test_it_is_what_the_library_makes(phonemes: Phonemes, tokenizer: Any, text: str, language: str) -> None:
    assert phonemes.of(text, language) == " ".join(tokenizer.phonemize(text, language).split())


@pytest.mark.parametrize(
    ("text", "language"),
    [
        ("Le meeting de Google est super.", "fr-fr"),
        ("मैं Google पर हूँ", "hi"),
        ("我 love 你", "cmn"),
        ("私は Windows を使う", "ja"),
    ],
)
def test_a_change_of_language_is_not_said(
    phonemes: Phonemes, text: str, language: str, caplog: pytest.LogCaptureFixture
) -> None:
    made = phonemes.of(text, language)
    assert made
    assert "(" not in made
    assert not [one for one in caplog.records if one.levelno >= logging.WARNING]


def test_brackets_of_the_text_stay(phonemes: Phonemes) -> None:
    assert phonemes.of("El (en) software.", "es").count("(") == 1


@pytest.mark.parametrize(
    ("text", "language", "marks"),
    [("你好，我！", "cmn", ",!"), ("हाँ। ठीक है?", "hi", ".?"), ("はい、そう。", "ja", ",.")],
)
def test_the_marks_of_other_scripts_part_sentences(phonemes: Phonemes, text: str, language: str, marks: str) -> None:
    assert "".join(one for one in phonemes.of(text, language) if one in ",.!?") == marks


@pytest.mark.parametrize(
    ("text", "language", "sound", "count"),
    [
        ("7 " * 200, "en-us", "ɛvən", 200),
        ("7" * 400, "en-us", "ɛvən", 400),
        ("9000007 " * 50, "en-us", "mˈɪliən", 50),
        ("好" * 400, "cmn", "χ", 400),
        ("the train " * 40, "en-us", "tɹˈeɪn", 40),
        ("ba" * 200, "en-us", "b", 200),
    ],
)
def test_nothing_of_a_long_text_without_marks_is_lost(
    phonemes: Phonemes, text: str, language: str, sound: str, count: int
) -> None:
    assert phonemes.of(text, language).count(sound) == count


def test_threads_do_not_mix(phonemes: Phonemes) -> None:
    texts = [(f"Number {at} goes to {at * 7}.", ("en-us", "es", "it", "fr-fr")[at % 4]) for at in range(24)]
    alone = [phonemes.of(*one) for one in texts]
    with ThreadPoolExecutor(4) as pool:
        assert list(pool.map(lambda one: phonemes.of(*one), texts)) == alone
