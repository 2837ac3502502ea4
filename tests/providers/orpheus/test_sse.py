"""Server-sent events out of bytes that are cut anywhere."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from providers.orpheus.sse import LONGEST, Events, NoEvents

STREAM = b'data: {"a":1}\n\n: a comment\n\nevent: x\r\ndata:{"b":2}\r\n\r\nerror: {"c":3}\n\nid\nretry: 3\n\n'
STREAM += b'data: {"d":\nid: 7\n: a comment\ndata: 4}\n\n\n\ndata\n\n'
FIELDS = [
    (b"data", b'{"a":1}'),
    (b"data", b'{"b":2}'),
    (b"error", b'{"c":3}'),
    (b"data", b'{"d":\n4}'),
]


@given(st.lists(st.integers(0, len(STREAM)), max_size=20))
def test_the_fields_are_the_same_however_the_bytes_are_cut(cuts: list[int]) -> None:
    events = Events()
    edges = [0, *sorted(cuts), len(STREAM)]
    pieces = [STREAM[start:stop] for start, stop in pairwise(edges)]
    assert [field for piece in pieces for field in events.feed(piece)] == FIELDS


def test_an_event_that_has_not_ended_waits() -> None:
    events = Events()
    assert list(events.feed(b"data: 1")) == []
    assert list(events.feed(b"2\n")) == []
    assert list(events.feed(b"\n")) == [(b"data", b"12")]


@pytest.mark.parametrize("page", [b"<html>\n", b'{"error": 1}\n', b"tokens: 1\n", b"\xff\xfe\n"])
def test_what_is_no_event_is_refused(page: bytes) -> None:
    with pytest.raises(NoEvents):
        list(Events().feed(page))


def test_a_line_without_an_end_is_refused() -> None:
    events = Events()
    assert list(events.feed(b"x" * LONGEST)) == []
    with pytest.raises(NoEvents):
        list(events.feed(b"x"))


@pytest.mark.parametrize("line", [b"data: 0123456789\n", b"data\n"])
def test_an_event_of_endless_lines_is_refused(line: bytes) -> None:
    events = Events()
    pieces = (list(events.feed(line)) for _ in range(LONGEST))
    with pytest.raises(NoEvents):
        assert all(piece == [] for piece in pieces)


def test_what_came_before_something_that_is_no_event_is_given_first() -> None:
    fed = Events().feed(b"data: 1\n\n<html>\n")
    assert next(fed) == (b"data", b"1")
    with pytest.raises(NoEvents):
        next(fed)
