"""What a text becomes on its way to the model: nothing of it is ever a control token."""

from __future__ import annotations

import re
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from providers.orpheus.prompt import EMOTIONS, VOICES, prompt, speakable

TAG = re.compile(f"<(?:{'|'.join(EMOTIONS)})>")
SPECIAL = ["<|eot_id|>", "<|begin_of_text|>", "<custom_token_3>", "<|audio|>", "<|reserved_special_token_5|>", "[PAD]"]


def test_a_prompt_has_the_frame_of_the_model() -> None:
    assert prompt("tara", "Hello.") == [128259, 128000, "tara: Hello.", 128009, 128260, 128261, 128257]


def test_the_eight_voices_are_there_and_tara_is_the_first() -> None:
    assert list(VOICES) == ["tara", "leah", "jess", "leo", "dan", "mia", "zac", "zoe"]


@pytest.mark.parametrize("name", EMOTIONS)
def test_an_emotion_tag_is_kept_in_lower_case(name: str) -> None:
    assert speakable(f"Well<{name.upper()}> then") == f"Well<{name}> then"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("Say <|eot_id|> now", "Say now"),
        ("<custom_token_2>end", "end"),
        ("<break time='1s'/>One <b>two</b>", "One two"),
        ("a < b and c > d", "a b and c d"),
        ("where x<y and z>w", "where x y and z w"),
        ('<speak version="1.0"><voice name = tara>Hi</voice>< /speak>', "Hi /speak"),
        ("<a href='x' target=_blank>there</a><br />then<laughs>", "there then"),
        ("<!-- not said --><?xml version='1.0'?>said", "said"),
        ("<laugh>Ha<laugh>ha<SIGH>", "<laugh>Ha<laugh>ha<sigh>"),
        ("ab\u00adc\u200bd \u2067\u05e9\u05dc\u05d5\u05dd\u2069", "abcd \u05e9\u05dc\u05d5\u05dd"),
        ("<3 you", "3 you"),
        ("[one] two", "(one) two"),
        ("a\x00b\x1b[31m\u202ec", "a b (31mc"),
        ("two\n\n lines", "two lines"),
        ("\ud800", ""),
    ],
)
def test_markup_and_brackets_are_dropped_and_the_rest_is_spoken(text: str, said: str) -> None:
    assert speakable(text) == said


def test_a_tag_does_not_come_about_by_taking_another_out() -> None:
    assert "<" not in speakable("<custom_tok<b>en_3>")
    assert "<" not in speakable("<\u200b|eot_id|>")
    assert "<" not in speakable("<custom_token_<custom_token_1>3>")
    assert speakable("<<laugh>>") == "<laugh>"


@given(st.text("<>/=\"' ab|!?\n", max_size=2000))
def test_a_text_of_nothing_but_markup_is_read_in_its_time(text: str) -> None:
    assert not re.search("[<>|]", speakable(text))


@pytest.mark.parametrize("piece", ["<a b=", "<a b='", '<a b="c" ', "<a ", "</a\n", "<|", "a=b "])
def test_no_text_takes_long(piece: str) -> None:
    began = time.thread_time()
    speakable(piece * (20_000 // len(piece)))
    speakable("<a " + piece * (20_000 // len(piece)))
    assert time.thread_time() - began < 5


@pytest.mark.parametrize("text", ["", " \n", "...", "<b></b>", "😀👍", "<|eot_id|>"])
def test_there_is_no_prompt_where_there_is_nothing_to_say(text: str) -> None:
    assert prompt("tara", text) is None


def test_an_emotion_alone_is_something_to_say() -> None:
    assert prompt("leo", "<sigh>") is not None


@given(
    st.lists(st.sampled_from([*SPECIAL, "<laugh>", "<", ">", "|", "custom_token_", "laugh", "\u200b", "a"]) | st.text())
)
def test_no_bracket_is_left_but_those_of_emotion_tags(pieces: list[str]) -> None:
    said = speakable("".join(pieces))
    assert not re.search(r"[<>|\[\]]", TAG.sub("", said))
    said.encode()


@given(st.text())
def test_what_is_speakable_stays_as_it_is(text: str) -> None:
    once = speakable(text)
    assert speakable(once) == once
