from __future__ import annotations

import json
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from providers.volcano.answers import Heard, Objects, Sentence, failed, refusal, sentence, table
from providers.volcano.errors import Refusal

_JSON: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | st.integers(-1000, 1000) | st.text(max_size=12),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=8,
)
_OBJECTS = st.lists(st.dictionaries(st.text(max_size=5), _JSON, max_size=4), max_size=6)


@given(_OBJECTS, st.sampled_from(["", "\n", "\r\n\r\n", " "]), st.booleans(), st.lists(st.integers(0, 400), max_size=8))
def test_objects_are_found_wherever_the_stream_is_cut(
    objects: list[dict[str, Any]], between: str, ascii_only: bool, cuts: list[int]
) -> None:
    data = between.join(json.dumps(value, ensure_ascii=ascii_only) for value in objects).encode()
    edges = [0, *sorted(min(cut, len(data)) for cut in cuts), len(data)]
    stream = Objects()
    assert [value for a, b in pairwise(edges) for value in stream.feed(data[a:b])] == objects


@given(st.lists(st.binary(max_size=60), max_size=6))
def test_whatever_comes_is_objects_or_a_value_error(pieces: list[bytes]) -> None:
    stream = Objects()
    try:
        for piece in pieces:
            assert all(isinstance(value, dict) for value in stream.feed(piece))
    except ValueError:
        pass


def test_an_object_that_never_ends_is_refused() -> None:
    stream = Objects()
    assert list(stream.feed(b'{"data":"')) == []
    assert list(stream.feed(b"a" * (3 << 20))) == []
    with pytest.raises(ValueError, match="too long"):
        list(stream.feed(b"a" * (2 << 20)))


def test_a_server_sent_event_is_an_object_too() -> None:
    assert list(Objects().feed(b'event: 352\ndata: {"code":0,"data":"AAA="}\n\n')) == [{"code": 0, "data": "AAA="}]


def test_the_words_of_a_sentence_are_read() -> None:
    said = {"text": "你好", "words": [{"confidence": 0.8, "word": "你", "startTime": 0.1, "endTime": 0.3}]}
    assert sentence(said) == Sentence("你好", (Heard("你", 0.1, 0.3),))


@pytest.mark.parametrize(
    "words",
    [None, 3, [3], [{}], [{"word": 1, "startTime": 0, "endTime": 1}], [{"word": "a", "startTime": "0", "endTime": 1}]],
)
def test_words_that_are_none_are_not_said(words: object) -> None:
    assert sentence({"text": 5, "words": words}) == Sentence("")


def test_a_payload_that_is_no_object_says_nothing() -> None:
    assert table(b"[1]") == table(b"\xff") == table(b"") == {}


def test_an_answer_says_how_it_went_in_any_of_its_forms() -> None:
    assert failed({"status_code": 20000000, "message": "ok"}) is None
    assert failed({}) is None
    assert failed({"status_code": 45000000, "message": "no"}) == Refusal(45000000, "no")
    assert refusal({"header": {"code": 45000010, "message": "Invalid X-Api-Key"}}, 401) == Refusal(
        45000010, "Invalid X-Api-Key", 401
    )
    assert refusal({"error": "quota"}, 200) == Refusal(0, "quota")
    assert refusal({"code": "x", "message": 5}) == Refusal()
