"""The codec against frames that published encoders have made, and against anything."""

from __future__ import annotations

import gzip
import json
import struct
from pathlib import Path
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from providers.volcano.frames import (
    LONGEST,
    Compression,
    Event,
    Flags,
    Frame,
    FrameError,
    Kind,
    Serialization,
    decode,
    encode,
    request,
)

VECTORS: list[dict[str, Any]] = json.loads((Path(__file__).parent / "vectors.json").read_text())
SESSION = "5f0c6c1e-8d5e-4a53-9a0b-0c7f3c8f1d2a"


def frame(vector: dict[str, Any]) -> Frame:
    return Frame(
        Kind(vector["kind"]),
        Flags(vector["flags"]),
        orjson.dumps(vector["json"]) if "json" in vector else bytes.fromhex(vector["raw"]),
        vector["event"],
        vector["id"],
        vector["sequence"],
        vector["code"],
        Serialization(vector["serialization"]),
        Compression(vector["compression"]),
    )


def named(vector: dict[str, Any]) -> str:
    return f"{vector['name']}-{vector['encoder'].split()[0]}"


@pytest.mark.parametrize("vector", VECTORS, ids=named)
def test_a_published_frame_is_made_byte_for_byte(vector: dict[str, Any]) -> None:
    data = bytes.fromhex(vector["hex"])
    at = 0
    if vector["compression"]:
        # A gzip stream begins with the time at which it was made.
        at = int.from_bytes(data[12:16], "little")
    assert encode(frame(vector), compressed_at=at) == data


@pytest.mark.parametrize("vector", VECTORS, ids=named)
def test_a_published_frame_is_read_back(vector: dict[str, Any]) -> None:
    assert decode(bytes.fromhex(vector["hex"])) == frame(vector)


@pytest.mark.parametrize(
    ("made", "name"),
    [
        (request(Event.START_CONNECTION), "StartConnection"),
        (request(Event.FINISH_CONNECTION), "FinishConnection"),
        (request(Event.FINISH_SESSION, session=SESSION), "FinishSession"),
        (request(Event.CANCEL_SESSION, session=SESSION), "CancelSession"),
    ],
)
def test_requests_are_the_published_ones(made: Frame, name: str) -> None:
    published = {vector["hex"] for vector in VECTORS if vector["name"] == name}
    assert published == {encode(made).hex()}


# ---- what is none


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        ("", "four bytes"),
        ("111410", "four bytes"),
        ("21141000", "version 1"),
        ("10141000", "header is too short"),
        ("11541000", "unknown"),
        ("11142200", "unknown"),
        ("111c1000", "flags"),
        ("11141000", "cut short"),
        ("1114100000000001", "cut short"),
        ("11141000000000640000", "cut short"),
        ("111410000000006400000005616263", "cut short"),
        ("1114100000000064000000017f00", "cut short"),
        ("111410000000006400000001ff0000000000", "UTF-8"),
        ("1110100000000003 7b7d", "length"),
        ("1110100000000002 7b7d00", "length"),
        ("11101100000000027b7d", "no gzip"),
        ("11f0100000", "cut short"),
    ],
)
def test_bytes_that_are_no_frame_are_refused(data: str, reason: str) -> None:
    with pytest.raises(FrameError, match=reason):
        decode(bytes.fromhex(data))


def test_a_longer_header_is_skipped() -> None:
    assert decode(bytes.fromhex("12101000 deadbeef 00000002 7b7d")).payload == b"{}"


def test_an_empty_payload_needs_no_gzip_stream() -> None:
    assert decode(bytes.fromhex("1110110000000000")).payload == b""


def test_an_event_that_is_unknown_is_a_number() -> None:
    read = decode(encode(Frame(Kind.RESPONSE, Flags.EVENT, b"{}", 4711, "s")))
    assert (read.event, read.id) == (4711, "s")


def packed(payload: bytes) -> bytes:
    return bytes.fromhex("11101100") + struct.pack(">I", len(payload)) + payload


def test_a_payload_that_unpacks_to_more_than_the_limit_is_refused() -> None:
    with pytest.raises(FrameError, match="at most"):
        decode(packed(gzip.compress(bytes(LONGEST + 1))))
    assert len(decode(packed(gzip.compress(bytes(LONGEST)))).payload) == LONGEST


@pytest.mark.parametrize("stream", [gzip.compress(b"{}")[:-1], gzip.compress(b"{}") + b"more"])
def test_half_a_gzip_stream_or_more_than_one_is_refused(stream: bytes) -> None:
    with pytest.raises(FrameError, match="whole gzip"):
        decode(packed(stream))


@pytest.mark.parametrize(
    "unwritable",
    [
        Frame(Kind.ERROR),
        Frame(Kind.ERROR, code=1 << 32),
        Frame(Kind.AUDIO, Flags.SEQUENCE),
        Frame(Kind.AUDIO, Flags.SEQUENCE, sequence=1 << 31),
        Frame(Kind.RESPONSE, Flags.EVENT),
        Frame(Kind.RESPONSE, Flags.EVENT, event=150, id="\ud800"),
        Frame(Kind.RESPONSE, payload=bytes(LONGEST + 1)),
    ],
    ids=lambda value: f"{value.kind.name} {value.flags}",
)
def test_a_frame_that_cannot_be_written_is_refused(unwritable: Frame) -> None:
    with pytest.raises(FrameError):
        encode(unwritable)


# ---- anything

_I32 = st.integers(-(1 << 31), (1 << 31) - 1)
_IDS = st.text(st.characters(exclude_categories=["Cs"]), max_size=40)


@st.composite
def frames(draw: st.DrawFn) -> Frame:
    kind, flags = draw(st.sampled_from(Kind)), Flags(draw(st.integers(0, 7)))
    event = draw(st.one_of(st.sampled_from(Event), _I32)) if flags & Flags.EVENT else None
    named_by = event is not None and event not in (Event.START_CONNECTION, Event.FINISH_CONNECTION)
    return Frame(
        kind,
        flags,
        draw(st.binary(max_size=200)),
        event,
        draw(_IDS) if named_by else None,
        draw(_I32) if flags & Flags.SEQUENCE and kind is not Kind.ERROR else None,
        draw(st.integers(0, (1 << 32) - 1)) if kind is Kind.ERROR else None,
        draw(st.sampled_from(Serialization)),
        draw(st.sampled_from(Compression)),
    )


@given(frames())
def test_every_frame_is_read_as_it_was_written(written: Frame) -> None:
    assert decode(encode(written)) == written


def read(data: bytes) -> None:
    try:
        found = decode(data)
    except FrameError:
        return
    assert decode(encode(found)) == found


@given(st.binary(max_size=200))
def test_any_bytes_are_a_frame_or_refused(data: bytes) -> None:
    read(data)


@given(frames(), st.data())
def test_a_damaged_frame_is_a_frame_or_refused(written: Frame, data: st.DataObject) -> None:
    damaged = bytearray(encode(written))
    for _ in range(data.draw(st.integers(1, 4))):
        match data.draw(st.sampled_from(["change", "cut", "insert"])):
            case "change" if damaged:
                damaged[data.draw(st.integers(0, len(damaged) - 1))] = data.draw(st.integers(0, 255))
            case "cut":
                del damaged[data.draw(st.integers(0, len(damaged))) :]
            case _:
                damaged.insert(data.draw(st.integers(0, len(damaged))), data.draw(st.integers(0, 255)))
    read(bytes(damaged))
