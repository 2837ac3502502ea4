"""How a segment's phonemes are parted: sentences, and something to hear soon."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as some

from providers.kokoro.batches import LONGEST, batches

CLAUSE = "ðə mˈɔːɹnɪŋ tɹˈeɪn lˈiːvz ðə stˈeɪʃən"


def test_each_sentence_is_a_batch() -> None:
    assert list(batches("hˈaɪ. ðˈɛɹ! wˌɪl juː? jˈɛs…")) == ["hˈaɪ.", "ðˈɛɹ!", "wˌɪl juː?", "jˈɛs…"]
    assert list(batches("")) == []


def test_a_long_first_sentence_begins_with_its_first_clause() -> None:
    assert list(batches(f"{CLAUSE}, {CLAUSE}, {CLAUSE}.")) == [f"{CLAUSE},", f"{CLAUSE}, {CLAUSE}."]


def test_a_short_clause_is_no_batch_and_later_sentences_are_whole() -> None:
    assert next(batches(f"hˈaɪ, {CLAUSE}, {CLAUSE}.")) == f"hˈaɪ, {CLAUSE},"
    assert list(batches(f"hˈaɪ. {CLAUSE}, {CLAUSE}, {CLAUSE}.")) == ["hˈaɪ.", f"{CLAUSE}, {CLAUSE}, {CLAUSE}."]


def test_a_sentence_without_clauses_is_cut_between_words_and_at_last_anywhere() -> None:
    words = " ".join(["tɹˈeɪn"] * 200)
    made = list(batches(words))
    assert all(len(batch) <= LONGEST and batch.endswith("tɹˈeɪn") for batch in made)
    assert [len(batch) for batch in batches("z" * 1200)] == [510, 510, 180]


@given(some.text("ab ,.;!?…—ˈ", max_size=2500))
def test_nothing_is_lost_and_nothing_too_long(phonemes: str) -> None:
    made = list(batches(phonemes))
    assert all(batch and len(batch) <= LONGEST for batch in made)
    assert "".join("".join(made).split()) == "".join(phonemes.split())
