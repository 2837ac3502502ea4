"""A file in base64 inside JSON, written piece by piece."""

from __future__ import annotations

import base64
import json

from hypothesis import given
from hypothesis import strategies as st

from gateway.dialects.packed import PackedJson
from gateway.dialects.refusal import error_response
from gateway.events import Audio, Ended


@given(st.lists(st.binary(max_size=7), min_size=1))
def test_however_it_is_cut_the_file_is_whole(pieces: list[bytes]) -> None:
    form = PackedJson("test", "audio", lambda ended: {"duration": ended.audio}, error_response)
    body = b"".join(form.audio(Audio(piece, index, 0, 0)) for index, piece in enumerate(pieces))
    said = json.loads(body + form.ended(Ended(1.5, None, len(pieces))))
    assert said == {"audio": base64.b64encode(b"".join(pieces)).decode(), "duration": 1.5}
