from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.pipeline.alignment import TimedWord, Transcript


def test_words_of_a_whole_segment_fill_its_sound() -> None:
    transcript = Transcript()
    index = transcript.add("Hello there. ")
    words = transcript.made(index, 1.0) + transcript.complete(index)
    assert [word.text for word in words] == ["Hello", "there."]
    assert words[0].start == 0.0
    assert words[0].end == words[1].start
    assert words[-1].end == pytest.approx(1.0)


def test_words_are_told_while_their_segment_is_still_being_made() -> None:
    transcript = Transcript()
    index = transcript.add("one two three four five six seven eight nine ten")
    early = transcript.made(index, 1.0)
    assert early
    assert early[-1].end <= 1.0
    late = transcript.made(index, 2.0) + transcript.complete(index)
    assert len(early) + len(late) == 10
    assert late[-1].end == pytest.approx(3.0)


def test_a_segment_made_ahead_is_timed_when_the_one_before_it_is_complete() -> None:
    transcript = Transcript()
    first, second = transcript.add("First. "), transcript.add("Second.")
    assert transcript.made(second, 0.5) == []
    assert transcript.complete(second) == []
    transcript.made(first, 1.0)
    words = transcript.complete(first)
    assert [word.text for word in words][-1] == "Second."
    assert words[-1].end == pytest.approx(1.5)


def test_an_engines_own_words_are_passed_on() -> None:
    transcript = Transcript()
    transcript.complete(transcript.add("silent "))
    index = transcript.add("It is 25.")
    native = [TimedWord("It", 0.0, 0.2), TimedWord("is", 0.2, 0.3)]
    assert transcript.made(index, 0.4, native) == native
    more = [TimedWord("twenty", 0.3, 0.5), TimedWord("five", 0.5, 0.8)]
    assert transcript.made(index, 0.4, more) == more
    assert transcript.complete(index) == []


def test_native_words_of_a_segment_made_ahead_are_shifted_to_its_start() -> None:
    transcript = Transcript()
    first, second = transcript.add("One. "), transcript.add("Two.")
    assert transcript.made(second, 0.5, [TimedWord("Two", 0.1, 0.4)]) == []
    transcript.made(first, 1.0)
    assert TimedWord("Two", 1.1, 1.4) in transcript.complete(first)


def test_the_text_is_split_at_what_was_heard() -> None:
    transcript = Transcript()
    index = transcript.add("Hello there. ")
    transcript.made(index, 1.0)
    transcript.complete(index)
    assert transcript.split(0.0) == ("", "Hello there. ")
    assert transcript.split(0.6) == ("Hello ", "there. ")
    assert transcript.split(1.0) == ("Hello there. ", "")


@given(st.lists(st.tuples(st.text(max_size=30), st.floats(0.0, 5.0)), max_size=6), st.floats(0.0, 40.0))
def test_the_two_parts_are_always_the_whole_text(parts: list[tuple[str, float]], heard: float) -> None:
    transcript = Transcript()
    for text, seconds in parts:
        index = transcript.add(text)
        transcript.made(index, seconds)
        transcript.complete(index)
    spoken, remaining = transcript.split(heard)
    assert spoken + remaining == "".join(text for text, _ in parts)


@given(st.lists(st.tuples(st.text(max_size=30), st.lists(st.floats(0.01, 2.0), max_size=4)), max_size=6))
def test_word_times_never_go_back(parts: list[tuple[str, list[float]]]) -> None:
    transcript = Transcript()
    words: list[TimedWord] = []
    for text, pieces in parts:
        index = transcript.add(text)
        for seconds in pieces:
            words += transcript.made(index, seconds)
        words += transcript.complete(index)
    times = [time for word in words for time in (word.start, word.end)]
    assert all(a <= b + 1e-9 for a, b in pairwise(times))


def test_chinese_is_timed_by_the_character_with_the_marks_behind_it() -> None:
    transcript = Transcript()
    index = transcript.add("你好，world。「天气」很好！ ")
    words = transcript.made(index, 3.0) + transcript.complete(index)
    assert [word.text for word in words] == ["你", "好，", "world。「", "天", "气」", "很", "好！"]
    assert transcript.split(words[1].end) == ("你好，", "world。「天气」很好！ ")


def test_an_engines_characters_time_the_words_that_they_are_in() -> None:
    transcript = Transcript(native=True)
    index = transcript.add("你好 world")
    native = [TimedWord("你", 0.0, 0.2), TimedWord("好", 0.2, 0.4), TimedWord("world", 0.4, 0.9)]
    assert transcript.made(index, 1.0, native) == native
    assert transcript.split(0.5) == ("你好 ", "world")


def test_words_that_an_engine_speaks_otherwise_are_timed_by_those_around_them() -> None:
    transcript = Transcript(native=True)
    index = transcript.add("It is 25 degrees.")
    spoken = ["It", "is", "twenty", "five", "degrees"]
    transcript.made(index, 2.0, [TimedWord(word, n * 0.4, n * 0.4 + 0.4) for n, word in enumerate(spoken)])
    assert transcript.split(1.0) == ("It is ", "25 degrees.")
    assert transcript.split(1.6) == ("It is 25 ", "degrees.")


def test_text_that_is_added_to_a_span_is_timed_from_where_what_was_before_it_is_known_to_end() -> None:
    transcript = Transcript()
    index = transcript.add("")
    pieces = transcript.extend(index, "One. ")
    transcript.made(index, 2.0)
    transcript.reached(index, pieces)
    transcript.extend(index, "Two.")
    words = transcript.made(index, 1.0) + transcript.complete(index)
    assert (words[-1].text, words[-1].start, words[-1].end) == ("Two.", 2.0, pytest.approx(3.0))


def test_what_a_span_still_owes_is_measured_by_the_rate_so_far() -> None:
    transcript = Transcript()
    index = transcript.add("")
    pieces = transcript.extend(index, "Five words of this size. ")
    assert transcript.owed(index) == pytest.approx(2.0, abs=0.3)
    transcript.made(index, 4.0)
    transcript.reached(index, pieces)
    transcript.extend(index, "Five words of this size. ")
    assert transcript.owed(index) == pytest.approx(4.0)


_WORDS = st.lists(st.tuples(st.text(max_size=5), st.floats(0.0, 1.0)), max_size=3)


@given(st.lists(st.tuples(st.text(max_size=20), st.floats(0.01, 2.0), _WORDS, st.booleans()), max_size=8))
def test_whatever_an_engine_says_of_its_words_the_text_is_whole_and_its_times_never_go_back(
    parts: list[tuple[str, float, list[tuple[str, float]], bool]],
) -> None:
    transcript = Transcript(native=True)
    index = transcript.add("")
    made = 0.0
    for text, seconds, spoken, whole in parts:
        pieces = transcript.extend(index, text)
        made += seconds
        words = [TimedWord(word, made, made + length) for word, length in spoken]
        transcript.made(index, seconds, words)
        if whole:
            transcript.reached(index, pieces)
    transcript.complete(index)
    text = "".join(text for text, *_ in parts)
    heard = [transcript.split(made * tenth / 10)[0] for tenth in range(10)]
    assert all(text.startswith(part) for part in heard)
    assert all(len(a) <= len(b) for a, b in pairwise(heard))
    assert "".join(transcript.split(made / 2)) == text
