"""A text in parts that XTTS can read: nothing in it fails the tokenizer, and no part becomes too long in words."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from providers.coqui.reader import Reader

pytestmark = pytest.mark.engines

TOKENS = 402
LANGUAGES = ["en", "de", "fr", "es", "it", "pt", "pl", "ar", "cs", "ru", "nl", "tr", "hu", "ko", "hi"]


@pytest.fixture(scope="module")
def tokenizer(coqui_models: Path) -> Any:
    from TTS.tts.layers.xtts.tokenizer import VoiceBpeTokenizer

    return VoiceBpeTokenizer(vocab_file=str(coqui_models / "xtts" / "vocab.json"))


def parts(tokenizer: Any, text: str, language: str) -> list[str]:
    return list(Reader(tokenizer, TOKENS).parts(text, language))


def test_a_text_without_numbers_is_as_it_was(tokenizer: Any) -> None:
    assert parts(tokenizer, "a [en] b [STOP]", "en") == ["a (en) b (STOP)"]
    assert [len(part) for part in parts(tokenizer, "ha " * 200, "de")] == [197, 197, 197, 5]


@pytest.mark.parametrize("language", LANGUAGES)
def test_every_number_can_be_read(tokenizer: Any, language: str) -> None:
    numbers = ["12", "V roce 2024.", "a 3. b", "3rd", "$5", "5 €", "1,5", "1.000", "9" * 150, "1º", "5%", "3:20", "-4"]
    for text in [*numbers, "+49 30 901820, " * 13, "123456789 " * 20]:
        found = parts(tokenizer, text, language)
        assert found
        for part in found:
            assert len(tokenizer.encode(part.lower(), language)) < TOKENS, (text, part)


def test_no_part_is_longer_in_words_than_was_taught(tokenizer: Any) -> None:
    text = "Call +49 30 901820, or 1234567, or 7654321, and again 1234567, or else 7654321 or 1237654."
    found = parts(tokenizer, text, "en")
    assert " ".join(found) == text
    assert 1 < len(found) < 6
    assert max(len(tokenizer.preprocess_text(part, "en")) for part in found) <= 250


def test_a_number_that_the_tokenizer_cannot_read_is_said_otherwise(tokenizer: Any) -> None:
    assert parts(tokenizer, "V roce 2024.", "cs") == ["V roce 2024 ."]
    assert parts(tokenizer, "a 12 b", "hi") == ["a एक दो b"]


def test_a_language_whose_package_is_missing_is_left_to_whoever_speaks_it(
    tokenizer: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    def encode(text: str, language: str) -> list[int]:
        raise ImportError("Chinese requires: pypinyin")

    monkeypatch.setattr(tokenizer, "encode", encode)
    assert parts(tokenizer, "a 12 b", "zh") == ["a 12 b"]
