from hypothesis import given
from hypothesis import strategies as st

from providers.base import Word
from providers.volcano.answers import Heard, Sentence
from providers.volcano.track import Track

RATE = 8000


@given(st.lists(st.binary(max_size=4000), max_size=6))
def test_whatever_it_is_cut_into_the_sound_is_whole_samples_and_nothing_is_lost(parts: list[bytes]) -> None:
    track = Track(RATE)
    chunks = [chunk.pcm for part in parts for chunk in track.sound(part)]
    assert all(chunk and len(chunk) % 2 == 0 and len(chunk) <= RATE // 5 * 2 for chunk in chunks)
    whole = b"".join(parts)
    assert b"".join(chunks) == whole[: len(whole) // 2 * 2]


def sentence(*words: tuple[str, float, float]) -> Sentence:
    return Sentence(" ".join(word for word, _, _ in words), tuple(Heard(*word) for word in words))


def test_words_go_with_the_next_sound_and_are_timed_from_the_first_session() -> None:
    track = Track(RATE)
    list(track.sound(bytes(RATE * 2)))
    track.begin()
    track.sentence(sentence(("one", 0.0, 0.5)))
    chunk, *_ = track.sound(bytes(1000))
    assert chunk.words == (Word("one", 8000, 12000),)
    assert track.words() == ()


def test_sentences_that_are_timed_from_the_session_are_where_they_say() -> None:
    track = Track(RATE)
    track.sentence(sentence(("one", 0.0, 0.5)))
    track.sentence(sentence(("two", 1.0, 1.5)))
    assert [word.start for word in track.words()] == [0, 8000]


def test_sentences_that_are_timed_from_their_own_start_follow_each_other() -> None:
    track = Track(RATE)
    track.sentence(sentence(("one", 0.1, 0.5), ("more", 0.5, 1.0)))
    track.sentence(sentence(("two", 0.1, 0.5)))
    track.sentence(sentence(("three", 0.1, 0.5)))
    assert [word.start for word in track.words()] == [800, 4000, 8800, 12800]


def test_half_a_sample_is_not_carried_into_another_session() -> None:
    track = Track(RATE)
    assert [chunk.pcm for chunk in track.sound(b"abc")] == [b"ab"]
    track.begin()
    assert [chunk.pcm for chunk in track.sound(b"de")] == [b"de"]
