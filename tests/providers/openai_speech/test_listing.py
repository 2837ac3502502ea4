"""The lists of voices that servers have, in their own forms."""

from __future__ import annotations

from typing import Any

import orjson
import pytest

from providers.openai_speech.listing import names


@pytest.mark.parametrize(
    "listing",
    [
        {"voices": ["a", "b"]},
        {"voices": [{"id": "a", "name": "A"}, {"id": "b", "name": "B"}]},
        {"voices": [{"name": "a", "language": "en-us", "gender": "f"}, {"name": "b"}], "object": "list"},
        {"voices": ["a"], "uploaded_voices": [{"name": "b", "consent": "c", "created_at": 1}]},
        {"voices": [], "uploaded_voices": [{"name": "a"}, {"name": "b"}]},
        {"object": "list", "data": [{"id": "a", "object": "voice"}, {"id": "b", "object": "voice"}]},
        {"status": "ok", "voices": ["a", "b", "a"]},
        {"voices": [{"voice_id": "a"}, {"voice_id": "b"}]},
        ["a", {"id": "b"}],
    ],
)
def test_forms_of_lists_that_servers_have(listing: Any) -> None:
    assert names(orjson.dumps(listing)) == ["a", "b"]


@pytest.mark.parametrize("data", [b"", b"{", b"\xff\xfe", b"5", b'"a"', b'{"voices": {"en": 1}}', b"[" * 10_000])
def test_what_is_no_list_has_no_voices(data: bytes) -> None:
    assert names(data) == []


def test_ids_that_are_none_are_left_out() -> None:
    listing = ["", "a\n", "x" * 201, "\u202e", "zf_xiaoxiao(晓晓)", {"id": 5}, {"id": None, "name": "b"}, None, []]
    assert names(orjson.dumps(listing)) == ["zf_xiaoxiao(晓晓)", "b"]


def test_a_list_has_a_thousand_voices_at_most() -> None:
    assert len(names(orjson.dumps([str(number) for number in range(5000)]))) == 1000
