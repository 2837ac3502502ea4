"""The segmenter: an exact partition of the text, whatever the deltas, cut where a speaker would pause."""

import sys
import unicodedata
from collections.abc import Callable, Iterable
from itertools import pairwise
from types import FrameType
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.pipeline.segmenter import Segmenter, speakable

# The longest lookahead past the maximum: white space cut at the maximum, then 16 characters to find a letter.
LOOKAHEAD = 24


def segments_of(deltas: Iterable[str], **lengths: int) -> list[str]:
    segmenter = Segmenter(**lengths)
    segments = [segment for delta in deltas for segment in segmenter.feed(delta)]
    return segments + segmenter.flush()


def sentences_of(text: str) -> list[str]:
    """The segments by the rules for sentences alone."""
    return segments_of([text], first_characters=300, short_characters=0)


ONE_SENTENCE = [
    "Dr. Smith met Mrs. Jones and Prof. Lee at St. Mary.",
    "Gen. Lee and Sen. Ray spoke.",
    "dr. smith is in.",
    "Cats vs. Dogs is a film.",
    "Use fruit, e.g. Apples, i.e. These.",
    "No. 5 is alive, see Fig. 3 and pp. 10 to 12.",
    "It is due Jan. 5 or so.",
    "J. K. Rowling wrote it.",
    "J.R.R. Tolkien wrote that.",
    "It costs $3.50 or 3.5 percent of 1,000.00 now.",
    "Version v1.2.3 is out.",
    "Go to example.com or https://example.com/a?b=c!d.e for more.",
    "Mail jane.doe@mail.example.org please.",
    "I have ten U.S. dollars.",
    "It opens at 3 p.m. on Monday.",
    "It opens at 3p.m. on Monday.",
    "Apples, pears, etc. are fruit.",
    "1. First we mix it.",
    "**1. First** we mix it.",
    "12. Twelfth of all.",
    "Wait... what is it?",
    "Wait… what is it?",
    "Well . . . maybe so.",
    "Das ist »Wasser«, oder?",
    '"Stop!" he said.',
    "“Why?” she asked.",
    "(Really!) and then some.",
    "El Sr. García y la Dra. Ruiz llegaron.",
    "Das ist z.B. Wasser.",
    "３．５です",
    "A line\nwrapped by hand.",
    "... !!! Hello there.",
    "Thank you! 😀🎉",
    "Thank you. ***",
]


@pytest.mark.parametrize("text", ONE_SENTENCE)
def test_a_mark_inside_a_sentence_is_no_end(text: str) -> None:
    assert sentences_of(text) == [text]


# A bar marks each cut.
SENTENCES = [
    "Hello. |How are you? |Fine! |Good.",
    "hello. |how are you? |fine",
    "He came at 3 p.m. |Then he left.",
    "We like pears, etc. |They are good.",
    "She is at Acme Inc. |He is at Foo Ltd. |They live in the U.S. |Good for them.",
    "No. |I do not.",
    "It was you and I. |Then we left.",
    "I was born in 1990. |Then I grew.",
    "Is it 3.5? |Or $3.50? |It is v1.2.3. |See example.com. |Bye.",
    "Write to a.b@example.com. |Thanks.",
    "What?! |No!!! |Yes… |Well... |Good.",
    'He said "Stop!" |She did.',
    "(It is so.) |“Good.” |‘Fine.’ |He left.",
    "**Note.** |_This too._ |Plain.",
    'Hello. |"Come in," he said. |¿Qué? |$5 is fine.',
    "Great! 😀 |Next one. 👩‍👩‍👧🏽 |Last one 🎉",
    "Great!😀 |Next.",
    "¿Cómo estás? |¡Muy bien! |Adiós.",
    "Bonjour ! |Ça va ? |« Oui ! » |Il part. |« Non ! » dit-il.",
    "你好。|你好吗？|很好！|走了",
    "他说：“你好。”|然后（真的！）|走了。",
    "「こんにちは。」|元気ですか？|はい｡|そう",
    "你好!|今天好吗?|好",
    "真的吗？！|好的。",
    "नमस्ते दुनिया। |आप कैसे हैं? |ठीक है।",
    "كيف حالك؟ |أنا بخير. |شكرا",
    "Ինչպես ես։ |Լավ եմ։",
    "እንዴት ነህ። |ደህና።",
    "А. С. Пушкин писал. |Он жил тут.",
]


@pytest.mark.parametrize("marked", SENTENCES)
def test_sentences_end_where_a_reader_would_say(marked: str) -> None:
    assert sentences_of(marked.replace("|", "")) == marked.split("|")


LINES = [
    ["Title\n\n", "Body"],
    ["Title\r\n\r\n", "Body"],
    ["See etc.\n\n", "and so on"],
    ["Items:\n", "- one\n", "- two\n", "* three\n", "• four"],
    ["Steps:\n", "1. mix\n", "2) bake\n", "10. eat"],
    ["Text\n", "## Heading"],
    ["List\n", "✅ done\n", "❌ not done"],
    ["他说\n", "1、一\n", "2、二"],
    ["Dice 3\n3.5 is no item"],
    ["A range of\n-5 degrees"],
]


@pytest.mark.parametrize("expected", LINES)
def test_blank_lines_and_list_items_part_segments(expected: list[str]) -> None:
    assert sentences_of("".join(expected)) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Hello.", []),
        ("Hello. ", []),
        ("Hello. W", ["Hello. "]),
        ("Hello. “W", ["Hello. "]),
        ("Hello.W", []),
        ("你好。", []),
        ("你好。”", []),
        ("你好。世", ["你好。"]),
        ("It was 3 p.m.", []),
        ("It was 3 p.m. T", ["It was 3 p.m. "]),
    ],
)
def test_a_sentence_is_given_out_as_soon_as_it_is_certain(text: str, expected: list[str]) -> None:
    segmenter = Segmenter()
    assert segmenter.feed(text) == expected
    assert segmenter.pending == len(text) - len("".join(expected))


def test_short_sentences_are_joined_to_the_next_except_the_first() -> None:
    text = "Hi. OK. No. Yes I do think so. Fine. That is that. Good."
    assert segments_of([text]) == ["Hi. ", "OK. No. Yes I do think so. ", "Fine. That is that. ", "Good."]


LONG_FIRST = [
    # The first clause mark past 20 characters.
    (
        "Well then, this is a long first sentence, and it has many clauses, so that it goes on and on.",
        "Well then, this is a long first sentence, ",
    ),
    # No clause mark: the last white space in the first 60 characters.
    (
        "This is a long first sentence without any mark that goes on for quite some time and then ends.",
        "This is a long first sentence without any mark that goes on ",
    ),
    # Abbreviations, numbers and words with hyphens are not parted.
    ("The sum of 1,000,000 at 10:30 was well-earned by Dr. Smith-Jones and by all of the others here.", None),
    # A giant first word: the first break after it.
    ("https://example.com/" + "x" * 90 + " is the page", "https://example.com/" + "x" * 90 + " "),
    # A wide character counts as three.
    ("今天天气非常好，我们一起去公园散步，然后去吃饭，晚上再去看电影，你觉得怎么样呢", "今天天气非常好，"),
    # A sentence that fits is not cut, whatever its clause marks.
    ("If you would like to, I can go now, or I can go on a later day. Then", None),
]


@pytest.mark.parametrize(("text", "first"), LONG_FIRST)
def test_a_long_first_sentence_is_cut_early_at_a_break(text: str, first: str | None) -> None:
    segments = segments_of([text])
    if first is not None:
        assert segments[0] == first
    assert len(segments[0]) <= 80 or " " not in segments[0].strip()


def test_the_first_segment_comes_before_its_sentence_does() -> None:
    segmenter = Segmenter()
    text = "This is the start of it, and then there is a lot more that follows without an end " + "and on " * 9
    given_at = next(count for count, character in enumerate(text, 1) if segmenter.feed(character))
    assert given_at <= 82


def test_a_flush_starts_a_new_utterance() -> None:
    text = "This is the start of it, and then there is a lot more that follows without an end of it. Then more."
    segmenter = Segmenter()
    once = segmenter.feed(text) + segmenter.flush()
    assert segmenter.pending == 0
    assert segmenter.feed(text) + segmenter.flush() == once


def test_a_flush_of_nothing_gives_nothing() -> None:
    assert Segmenter().flush() == []


def test_a_long_sentence_is_cut_at_its_last_clause_mark() -> None:
    text = "So " + "many words " * 8 + "here, " + "and more " * 2 + "that come " * 30
    first = segments_of([text], first_characters=150, max_characters=150)[0]
    assert first.endswith("here, ")


def test_a_long_sentence_without_clause_marks_is_cut_at_white_space() -> None:
    segments = segments_of(["word " * 200], first_characters=100, max_characters=103)
    assert {segment[-1] for segment in segments} == {" "}
    assert max(map(len, segments)) == 100


@pytest.mark.parametrize(
    "grapheme",
    ["x", "字", "e\u0301", "👩\u200d👩\u200d👧", "👍🏽", "❤\ufe0f", "🇫🇷", "กำ", "नि", "\ud83d\ude00"],
    ids=ascii,
)
def test_text_without_breaks_is_cut_between_graphemes(grapheme: str) -> None:
    text = "字" + grapheme * 60
    segments = segments_of([text], max_characters=32)
    assert "".join(segments) == text
    assert all(len(segment) <= 32 for segment in segments)
    assert all(segment.replace(grapheme, "") in ("", "字") for segment in segments)


def test_a_grapheme_longer_than_a_segment_is_cut_all_the_same() -> None:
    assert max(map(len, segments_of(["a" + "\u0301" * 500], max_characters=40))) == 40


@pytest.mark.parametrize("text", ["a", "Ж", "字", "नमस्ते", "7", "٣", "…a…"])
def test_text_with_a_letter_or_digit_is_speakable(text: str) -> None:
    assert speakable(text)


@pytest.mark.parametrize("text", ["", " \n", "...", "😀", "—", "«»", "***", "\u200b"])
def test_text_without_letters_or_digits_is_not_speakable(text: str) -> None:
    assert not speakable(text)


@pytest.mark.parametrize("lengths", [{"first_characters": 0}, {"max_characters": 0}, {"short_characters": -1}])
def test_impossible_lengths_are_refused(lengths: dict[str, int]) -> None:
    with pytest.raises(ValueError, match="characters"):
        Segmenter(**lengths)


# Pieces that make every rule likely to meet every other.
PIECES = [
    *("a", "B", "7", "Dr", "e.g", "U.S", "No", "p.m", "I", "word", "字", "好", "न", "é", "ß", "e\u0301"),
    *(".", "!", "?", "…", "...", "。", "！", "।", "．", "؟", ",", ";", ":", "—", "–", "-", "，", "、"),
    *('"', "'", "”", "“", "」", "(", ")", "»", "«", "*", "_", "#", "¿"),
    *(" ", " ", " ", "  ", "\n", "\n\n", "\r\n", "\t", "\u00a0", "\u3000", "\u2029"),
    *("😀", "👍🏽", "👩\u200d👩\u200d👧", "🇫🇷", "\u200d", "\ufe0f", "\u0301", "\ud83d", "\ude00", "✅"),
    *("- ", "1. ", "2) ", "• ", "## ", "xxxxxxxxxxxx", "           ", "............"),
]
TEXTS = st.lists(st.sampled_from(PIECES) | st.text(max_size=3), max_size=80).map("".join)
LENGTHS = st.fixed_dictionaries(
    {
        "first_characters": st.integers(1, 60),
        "max_characters": st.integers(1, 90),
        "short_characters": st.integers(0, 15),
    }
)


@settings(max_examples=300, deadline=None)
@given(st.lists(TEXTS, max_size=3), LENGTHS, st.data())
def test_segments_are_a_partition_that_no_delta_influences(
    utterances: list[str], lengths: dict[str, int], data: st.DataObject
) -> None:
    whole, by_character, by_token = (Segmenter(**lengths) for _ in range(3))
    for text in utterances:
        expected = whole.feed(text) + whole.flush()
        assert "".join(expected) == text
        assert all(0 < len(segment) <= lengths["max_characters"] for segment in expected)

        segments = []
        for character in text:
            segments += by_character.feed(character)
            assert by_character.pending <= lengths["max_characters"] + LOOKAHEAD
        assert segments + by_character.flush() == expected

        cuts = sorted(data.draw(st.lists(st.integers(0, len(text)), max_size=8)))
        tokens = [text[begin:end] for begin, end in pairwise([0, *cuts, len(text)])]
        assert [segment for token in tokens for segment in by_token.feed(token)] + by_token.flush() == expected


@settings(max_examples=200, deadline=None)
@given(TEXTS)
def test_what_a_feed_gave_out_is_a_beginning_of_what_the_whole_text_gives(text: str) -> None:
    segmenter = Segmenter(first_characters=30, max_characters=60)
    early = segmenter.feed(text)
    assert segments_of([text + "And more. "], first_characters=30, max_characters=60)[: len(early)] == early


WORDS = st.sampled_from(["Hello", "you there", "3.5", "yes", "Dr. Who", "字字", "well, so"])
MARKS = st.sampled_from([". ", "! ", "? ", "... ", "。", "! 😀 ", '." ', "\n\n", " — ", "\n- ", " *** "])


@settings(max_examples=200, deadline=None)
@given(st.lists(st.tuples(WORDS, MARKS), min_size=1, max_size=20))
def test_no_segment_of_ordinary_text_is_unspeakable(pairs: list[tuple[str, str]]) -> None:
    assert all(map(speakable, segments_of(["".join(word + mark for word, mark in pairs)])))


@settings(max_examples=100, deadline=None)
@given(st.lists(st.sampled_from(["e\u0301", "字", "👍🏽", "🇫🇷", "x", "👩\u200d👧"]), min_size=1, max_size=80))
def test_no_segment_starts_inside_a_grapheme(graphemes: list[str]) -> None:
    for segment in segments_of(["字" + "".join(graphemes)], max_characters=40):
        assert unicodedata.category(segment[0]) not in ("Mn", "Me", "Mc", "Sk", "Cf")


def lines_executed(work: Callable[[], Any]) -> int:
    count = 0

    def trace(_frame: FrameType, event: str, _argument: object) -> Any:
        nonlocal count
        count += event == "line"
        return trace

    previous = sys.gettrace()
    sys.settrace(trace)
    try:
        work()
    finally:
        sys.settrace(previous)
    return count


@pytest.mark.parametrize(
    "unit",
    [
        *("The quick brown fox, which jumps over Dr. Smith, ran. ", "x", " ", ".", "\n", "! - ", "A. ", "a\n"),
        *("你好吗，我很好", "a, " + "x" * 299 + " ", "a!" + "😀" * 298),
    ],
    ids=ascii,
)
def test_the_work_for_a_character_does_not_grow_with_the_text(unit: str) -> None:
    text = (unit * 2400)[:2400]
    work = [lines_executed(lambda size=size: segments_of(text[:size])) / size for size in (1200, 2400)]
    assert work[1] < work[0] * 1.25
    # A scan that began again for each character would take hundreds of steps for each.
    assert work[1] < 150
