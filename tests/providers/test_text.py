"""What is left of a text for a model."""

from __future__ import annotations

import pytest

from providers.text import plain, sayable


@pytest.mark.parametrize(
    ("text", "left"),
    [
        ("Hello there.", "Hello there."),
        (" a\tb\r\nc\u2028d  ", "a b c d"),
        ("a\x00b\x1b[31m\u202e", "a b [31m"),
        ("\ud800x\udfff", "x"),
        ("fine 👍🏽 👨\u200d👩\u200d👧 → ok", "fine → ok"),
        ("日本語です。", "日本語です。"),
        ("<\u200b|im_end|>", "<|im_end|>"),
        ("20 °C ± 1 €", "20 °C ± 1 €"),
    ],
)
def test_what_no_voice_can_say_is_taken_out(text: str, left: str) -> None:
    assert plain(text) == left


@pytest.mark.parametrize(("text", "said"), [("a", True), ("7", True), ("字", True), ("", False), ("...—!", False)])
def test_letters_and_digits_can_be_said(text: str, said: bool) -> None:
    assert sayable(text) is said
