"""Server-sent events out of bytes that are cut anywhere."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from providers.orpheus.sse import LONGEST, Events, NoEvents

STREAM = b'data: {"a":1}\n\n: a comment\n\nevent: x\r\ndata:{"b":2}\r\n\r\nerror: {"c":3}\n\nid\nretry: 3\n\n'
FIELDS = [(b"data", b'{"a":1}'), (b"data", b'{"b":2}'), (b"error", b'{"c":3}')]


@given(st.lists(st.integers(0, len(STREAM)), max_size=20))
def test_the_fields_are_the_same_however_the_bytes_are_cut(cuts: list[int]) -> None:
    events = Events()
    edges = [0, *sorted(cuts), len(STREAM)]
    pieces = [STREAM[start:stop] for start, stop in pairwise(edges)]
    assert [field for piece in pieces for field in events.feed(piece)] == FIELDS


def test_a_line_that_has_not_ended_waits() -> None:
    events = Events()
    assert events.feed(b"data: 1") == []
    assert events.feed(b"2\n") == [(b"data", b"12")]


@pytest.mark.parametrize("page", [b"<html>\n", b'{"error": 1}\n', b"tokens: 1\n", b"\xff\xfe\n"])
def test_what_is_no_event_is_refused(page: bytes) -> None:
    with pytest.raises(NoEvents):
        Events().feed(page)


def test_a_line_without_an_end_is_refused() -> None:
    events = Events()
    events.feed(b"x" * LONGEST)
    with pytest.raises(NoEvents):
        events.feed(b"x")
