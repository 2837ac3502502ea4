import struct

import pytest

from audio.mp4 import index_first, is_mp4
from tests.support.sound_files import made


def kinds(data: bytes) -> list[bytes]:
    found, at = [], 0
    while at < len(data):
        size, kind = struct.unpack_from(">I4s", data, at)
        found.append(kind)
        at += size
    return found


def box(kind: bytes, content: bytes) -> bytes:
    return struct.pack(">I4s", 8 + len(content), kind) + content


def test_the_index_comes_in_front_of_the_sound_and_nothing_is_lost() -> None:
    data = made("m4a")
    assert kinds(data) == [b"ftyp", b"free", b"mdat", b"moov"]
    moved = index_first(data)
    assert kinds(moved) == [b"ftyp", b"free", b"moov", b"mdat"]
    assert len(moved) == len(data)


def test_a_file_whose_index_is_in_front_is_left_alone() -> None:
    data = made("faststart")
    assert index_first(data) is data


@pytest.mark.parametrize(("kind", "width", "form"), [(b"stco", 4, ">I"), (b"co64", 8, ">Q")])
def test_offsets_into_the_sound_move_with_it_and_others_do_not(kind: bytes, width: int, form: str) -> None:
    start = box(b"ftyp", b"M4A ")
    sound = box(b"mdat", b"sound!")
    inside, behind = len(start) + 8, len(start) + len(sound) + 5000
    table = bytes(4) + struct.pack(">I", 2) + struct.pack(form, inside) + struct.pack(form, behind)
    index = table_in = box(kind, table)
    for outer in (b"stbl", b"minf", b"mdia", b"trak", b"moov"):
        index = box(outer, index)
    moved = index_first(start + sound + index)
    first = moved.index(table_in[:16]) + 16
    offsets = [struct.unpack_from(form, moved, first + n * width)[0] for n in range(2)]
    assert moved[offsets[0] : offsets[0] + 6] == b"sound!"
    assert offsets[1] == behind


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\0\0\0\x08ftyp",
        box(b"mdat", b"") + b"\0\0\0\x04moov",
        box(b"mdat", b"") + b"\xff\xff\xff\xffmoov",
        box(b"mdat", b"") + box(b"moov", box(b"trak", b"\0\0\0\x01mdia")),
        box(b"mdat", b"") + box(b"moov", box(b"stco", bytes(4) + b"\xff\xff\xff\xff")),
        box(b"mdat", b"") + box(b"moov", b"") * 20_000,
        box(b"mdat", b"") + box(b"moov", box(b"trak", b"") * 20_000),
    ],
)
def test_what_does_not_add_up_is_left_alone(data: bytes) -> None:
    assert index_first(data) == data


def test_an_mp4_is_known_by_its_first_bytes() -> None:
    assert is_mp4(made("m4a")[:8])
    assert not is_mp4(made("wav")[:8])
